"""Converted MP2RAGE: names, values and timing, completed by what the user says and by nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from bids_t1.data.protocol import Protocol
from bids_t1.data.sidecar import Sidecar
from bids_t1.dicom.convert import Destination, convert
from bids_t1_phantom.cli import main as make_phantom
from tests import validator
from tests.dicom.scanner_files import (
    CSA_SERIES,
    MP2RAGE,
    PHILIPS,
    SECRETS,
    SIEMENS,
    UNI,
    asc_conv,
    protocol_lines,
    write_mp2rage,
    write_set,
    write_volume,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.writing.record import Conversion

REQUIRED = (
    "RepetitionTimePreparation",
    "RepetitionTimeExcitation",
    "NumberShots",
    "FlipAngle",
    "MagneticFieldStrength",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "dicom"


@pytest.fixture
def raw_dir(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def run(source: Path, raw_dir: Path, table: dict[str, object] | None = None, **options: Any) -> Conversion:
    tables = {} if table is None else {"MP2RAGE": Sidecar("protocol.toml", table)}
    return convert(source, Destination(raw_dir, "01", **options), raw_dir.with_name("work"), Protocol(tables))


def sidecars(raw_dir: Path) -> dict[str, dict[str, Any]]:
    return {
        path.stem.removeprefix("sub-01_"): json.loads(path.read_text()) for path in sorted(raw_dir.rglob("sub-*.json"))
    }


def siemens(**lines: object) -> dict[Any, Any]:
    return MP2RAGE | {CSA_SERIES: asc_conv(protocol_lines() | lines)}


def timing(sidecar: dict[str, Any]) -> list[object]:
    return [sidecar.get(key) for key in REQUIRED]


def test_the_header_gives_all_but_the_excitation_time(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, siemens(), parts="M")
    record = run(source, raw_dir)
    found = sidecars(raw_dir)
    assert [found[f"inv-{rank}_MP2RAGE"]["InversionTime"] for rank in (1, 2)] == [0.7, 2.5]
    assert timing(found["inv-1_MP2RAGE"]) == [5.0, None, [88, 88], 4, 3]
    assert timing(found["inv-2_MP2RAGE"]) == [5.0, None, [88, 88], 5, 3]
    assert "RepetitionTime" not in found["inv-1_MP2RAGE"]
    (warning,) = record.warnings
    assert warning.startswith("MP2RAGE: RepetitionTimeExcitation missing in the DICOM headers")
    assert "--protocol FILE" in warning


def test_flip_angles_come_from_the_protocol_where_the_header_repeats_the_first(source: Path, raw_dir: Path) -> None:
    for series, time in enumerate((700, 2500)):
        write_volume(source, time, siemens() | {"FlipAngle": 4}, series=series)
    run(source, raw_dir)
    assert [sidecar["FlipAngle"] for sidecar in sidecars(raw_dir).values()] == [4, 5]


def test_the_reference_voltage_comes_from_the_protocol_of_the_header(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, siemens(**{"sTXSPEC.asNucleusInfo[0].flReferenceAmplitude": 231.5}), parts="M")
    run(source, raw_dir)
    assert [sidecar["TxRefAmp"] for sidecar in sidecars(raw_dir).values()] == [231.5, 231.5]


def test_excitations_that_are_played_come_from_the_protocol_file(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, MP2RAGE | {"ProtocolName": "mp2rage"}, parts="M")
    table: dict[str, object] = {
        "ExcitationsPerReadout": 132,
        "SlicePartialFourier": 0.75,
        "RepetitionTimeExcitation": 0.007,
    }
    assert run(source, raw_dir, table).warnings == ()
    sidecar = sidecars(raw_dir)["inv-2_MP2RAGE"]
    assert (sidecar["ExcitationsPerReadout"], sidecar["SlicePartialFourier"]) == (132, 0.75)
    assert sidecar["ProtocolFields"] == ["ExcitationsPerReadout", "RepetitionTimeExcitation", "SlicePartialFourier"]


def test_without_a_protocol_in_the_header_nothing_is_made_up(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, MP2RAGE | {"ProtocolName": "mp2rage"}, parts="M")
    (warning,) = run(source, raw_dir).warnings
    assert "NumberShots, RepetitionTimeExcitation missing" in warning
    assert timing(sidecars(raw_dir)["inv-2_MP2RAGE"]) == [5.0, None, None, 5, 3]


def test_a_short_repetition_time_is_that_of_excitations(source: Path, raw_dir: Path) -> None:
    philips = PHILIPS | {"ScanningSequence": "GR", "MRAcquisitionType": "3D", "RepetitionTime": 5.5, "FlipAngle": 6}
    for time in (800, 2700):
        for letter in "RI":
            typed = {"ImageType": ["ORIGINAL", "PRIMARY", f"{letter}_FFE", letter, "FFE"]}
            write_volume(source, time, philips | typed | {"AcquisitionTime": "101112"}, series=1)
    record = run(source, raw_dir)
    assert "NumberShots, RepetitionTimePreparation missing" in " ".join(record.warnings)
    found = sidecars(raw_dir)
    assert len(found) == 4
    assert timing(found["inv-2_part-imag_MP2RAGE"]) == [None, 0.0055, None, 6, 3]


def test_the_protocol_file_completes_and_never_replaces(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, MP2RAGE | {"ProtocolName": "mp2rage"}, parts="M")
    table = {
        "RepetitionTimePreparation": 9.9,
        "InversionTime": [0.1, 0.2],
        "FlipAngle": [8, 9],
        "MagneticFieldStrength": 7,
        "RepetitionTimeExcitation": [0.006, 0.007],
        "NumberShots": [60, 80],
        "InversionEfficiency": 0.84,
    }
    record = run(source, raw_dir, table)
    assert record.warnings == ()
    found = sidecars(raw_dir)
    assert timing(found["inv-1_MP2RAGE"]) == [5.0, 0.006, [60, 80], 4, 3]
    assert timing(found["inv-2_MP2RAGE"]) == [5.0, 0.007, [60, 80], 5, 3]
    assert found["inv-2_MP2RAGE"]["InversionTime"] == 2.5
    assert found["inv-2_MP2RAGE"]["ProtocolFields"] == ["NumberShots", "RepetitionTimeExcitation"]
    assert validator.errors(raw_dir) == []


def test_a_number_of_partitions_is_taken_over_with_its_partial_fourier(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, MP2RAGE | {"ProtocolName": "mp2rage"}, parts="M")
    run(source, raw_dir, {"NumberShots": 176, "SlicePartialFourier": 0.75})
    sidecar = sidecars(raw_dir)["inv-1_MP2RAGE"]
    assert (sidecar["NumberShots"], sidecar["SlicePartialFourier"]) == (176, 0.75)
    assert sidecar["ProtocolFields"] == ["NumberShots", "SlicePartialFourier"]


def test_a_list_of_another_protocol_is_not_used(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, siemens(), parts="M")
    record = run(source, raw_dir, {"RepetitionTimeExcitation": [0.006, 0.006, 0.006]})
    assert "RepetitionTimeExcitation" not in sidecars(raw_dir)["inv-1_MP2RAGE"]
    assert "not given by a protocol file for each readout" in record.warnings[0]


def test_inversion_recovery_takes_nothing_from_the_protocol_file(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS)
    run(source, raw_dir, {"RepetitionTimePreparation": 5, "NumberShots": [88, 88]})
    sidecar = sidecars(raw_dir)["inv-1_IRT1"]
    assert not {"RepetitionTimePreparation", "NumberShots", "ProtocolFields"} & set(sidecar)


def test_another_protocol_file_converts_again(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, siemens(), parts="M")
    first = run(source, raw_dir, {"RepetitionTimeExcitation": 0.006})
    assert run(source, raw_dir, {"RepetitionTimeExcitation": 0.006}, previous=first) is first
    again = run(source, raw_dir, {"RepetitionTimeExcitation": 0.007}, previous=first)
    assert again is not first
    assert sidecars(raw_dir)["inv-1_MP2RAGE"]["RepetitionTimeExcitation"] == 0.007


def test_an_uncertain_number_of_shots_is_told(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, siemens(**{"sFastImaging.lTurboFactor": 90}), parts="M")
    warnings = run(source, raw_dir).warnings
    assert "turbo factor 90; expected a turbo factor of 176" in warnings[0]
    assert "NumberShots" in warnings[1]


def test_phase_is_in_radians_and_uni_as_stored(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, siemens())
    write_volume(source, None, UNI | {CSA_SERIES: asc_conv(protocol_lines())}, series=9, value=3000)
    run(source, raw_dir)
    found = sidecars(raw_dir)
    assert found["inv-1_part-phase_MP2RAGE"]["Units"] == "rad"
    anat = raw_dir / "sub-01" / "anat"
    phase = nib.nifti1.Nifti1Image.from_filename(anat / "sub-01_inv-1_part-phase_MP2RAGE.nii.gz").get_fdata()
    np.testing.assert_allclose(phase.min(), (2 * 4000 - 4096) * np.pi / 4096, rtol=1e-5)
    uni = nib.nifti1.Nifti1Image.from_filename(anat / "sub-01_UNIT1.nii.gz").get_fdata()
    assert (uni.min(), uni.max()) == (3000, 3047)
    sidecar = found["UNIT1"]
    assert (sidecar["Units"], sidecar["UNIT1Scaling"]) == ("arbitrary", "0..4095")
    assert (sidecar["RepetitionTimePreparation"], sidecar["MagneticFieldStrength"]) == (5, 3)
    assert "UNI" in sidecar["ImageType"]
    assert "InversionTime" not in sidecar


def test_a_denoised_uni_is_named_so(source: Path, raw_dir: Path) -> None:
    write_mp2rage(source, siemens())
    write_volume(source, None, UNI | {"SeriesDescription": "UNI_Images"}, series=9)
    write_volume(source, None, UNI | {"SeriesDescription": "UNI-DEN"}, series=10, value=3000)
    run(source, raw_dir)
    anat = raw_dir / "sub-01" / "anat"
    smallest = {
        name: nib.nifti1.Nifti1Image.from_filename(anat / f"sub-01_{name}.nii.gz").get_fdata().min()
        for name in ("UNIT1", "rec-denoised_UNIT1")
    }
    assert smallest == {"UNIT1": 100, "rec-denoised_UNIT1": 3000}
    assert "UNIT1Scaling" not in sidecars(raw_dir)["rec-denoised_UNIT1"]


def test_the_protocol_text_names_nobody(source: Path, raw_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_mp2rage(source, siemens())
    write_volume(source, None, UNI | {CSA_SERIES: asc_conv(protocol_lines())}, series=9)
    with caplog.at_level("DEBUG"):
        record = run(source, raw_dir)
    texts = [path.read_text() for path in raw_dir.rglob("*.json")]
    everything = "\n".join([*texts, json.dumps(asdict(record)), *caplog.messages]).lower()
    assert [secret for secret in SECRETS if secret.lower() in everything] == []


@pytest.mark.parametrize("vendor", ["siemens", "philips", "ge"])
def test_a_phantom_scanned_with_both_sequences_is_converted_to_valid_bids(
    tmp_path: Path, raw_dir: Path, vendor: str
) -> None:
    words = ["--sequences", "IRT1", "MP2RAGE", "MP3RAGE", "--inversion-times", "0.1", "0.6", "2.0"]
    size = ["--resolution", "8", "--slices", "3", "--layout", "flat", "--slice-partial-fourier", "0.75"]
    make_phantom([str(tmp_path / "scans"), *words, *size, "--format", "dicom", "--vendor", vendor])
    table = {"RepetitionTimePreparation": 5, "RepetitionTimeExcitation": 0.0069, "NumberShots": [44, 88]}
    record = run(tmp_path / "scans", raw_dir, table)
    assert validator.errors(raw_dir) == []
    found = sidecars(raw_dir)
    n_parts = {"siemens": 2, "philips": 2, "ge": 1}[vendor]
    assert len([name for name in found if name.endswith("IRT1")]) == 3
    assert len([name for name in found if name.endswith("MP2RAGE")]) == 5 * n_parts
    assert len([name for name in found if name.endswith("UNIT1")]) == (4 if vendor == "siemens" else 0)
    assert "different inversion times or geometry" in " ".join(record.warnings)


def test_the_shots_of_a_phantom_with_partial_fourier_are_those_that_were_played(tmp_path: Path, raw_dir: Path) -> None:
    size = ["--resolution", "8", "--slices", "3", "--layout", "flat", "--slice-partial-fourier", "0.75"]
    make_phantom([str(tmp_path / "scans"), "--sequences", "MP2RAGE", *size, "--format", "dicom", "--one-series"])
    run(tmp_path / "scans", raw_dir)
    shots = {tuple(sidecar["NumberShots"]) for sidecar in sidecars(raw_dir).values()}
    assert shots == {(44.0, 88.0)}


def test_complex_images_of_each_vendor_give_the_scanners_uni(tmp_path: Path) -> None:
    """Signs, phase unit, per-volume scales and readout order at once: S of the readouts is that of UNI."""
    size = ["--sequences", "MP2RAGE", "--resolution", "8", "--slices", "3", "--layout", "flat", "--format", "dicom"]
    anat = {}
    for vendor in ("siemens", "philips"):
        make_phantom([str(tmp_path / vendor), *size, "--vendor", vendor])
        run(tmp_path / vendor, tmp_path / f"raw_{vendor}")
        anat[vendor] = tmp_path / f"raw_{vendor}" / "sub-01" / "anat"

    def image(vendor: str, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(nib.nifti1.Nifti1Image.from_filename(anat[vendor] / f"sub-01_{name}.nii.gz").get_fdata())

    uni = image("siemens", "UNIT1") / 4095 - 0.5
    polar = [
        image("siemens", f"inv-{rank}_part-mag_MP2RAGE")
        * np.exp(1j * image("siemens", f"inv-{rank}_part-phase_MP2RAGE"))
        for rank in (1, 2)
    ]
    cartesian = [
        image("philips", f"inv-{rank}_part-real_MP2RAGE") + 1j * image("philips", f"inv-{rank}_part-imag_MP2RAGE")
        for rank in (1, 2)
    ]
    bright = np.abs(polar[1]) > 0.2 * np.abs(polar[1]).max()
    for first, second in (polar, cartesian):
        energy = np.abs(first[bright]) ** 2 + np.abs(second[bright]) ** 2
        found = (np.conj(first[bright]) * second[bright]).real / energy
        np.testing.assert_allclose(found, uni[bright], atol=0.001)
