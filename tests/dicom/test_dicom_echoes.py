"""Which images are a multi-echo gradient echo, and how they are converted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from bids_t1.dicom.convert import Destination, convert
from bids_t1.dicom.writing.survey import series_records, survey
from bids_t1_phantom.cli import main as make_phantom
from tests import validator
from tests.dicom.plans import names, plan_of, reasons
from tests.dicom.scanner_files import (
    ECHO,
    GE,
    GE_IMAGE_TYPE,
    PHILIPS,
    SIEMENS,
    UNI,
    write_echoes,
    write_enhanced,
    write_mp2rage,
    write_set,
    write_volume,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.writing.record import Conversion

ECHOES = ["echo-1_MEGRE", "echo-2_MEGRE", "echo-3_MEGRE"]
EPI_FACTOR = (0x2001, "Philips Imaging DD 001", 0x13, "SL")


def run(source: Path, raw_dir: Path) -> Conversion:
    return convert(source, Destination(raw_dir, "01"), raw_dir.with_name("work"))


@pytest.mark.parametrize("one_series", [True, False])
def test_echoes_are_ranked_by_their_time_and_not_by_their_order(tmp_path: Path, one_series: bool) -> None:
    for rank, time in enumerate((20, 5, 10)):
        write_volume(tmp_path, None, ECHO | {"EchoTime": time}, series=1 if one_series else 9 - rank)
    assert names(tmp_path) == ECHOES
    times = {image.echo: image.volume.timing.echo_time for image in plan_of(tmp_path).kept}
    assert times == {1: 0.005, 2: 0.01, 3: 0.02}


def test_magnitude_and_phase_are_parts_of_one_echo(tmp_path: Path) -> None:
    write_echoes(tmp_path, parts="MP")
    assert names(tmp_path) == [f"echo-{rank}_part-{part}_MEGRE" for rank in (1, 2, 3) for part in ("mag", "phase")]


def test_four_parts_in_one_series_are_told_apart(tmp_path: Path) -> None:
    echo = GE | {"ScanningSequence": "GR", "RepetitionTime": 40}
    for code in range(4):
        for time in (5, 10, 20):
            write_volume(tmp_path, None, echo | {"EchoTime": time, GE_IMAGE_TYPE: code}, series=1)
    assert len(names(tmp_path)) == 12
    assert {image.part for image in plan_of(tmp_path).kept} == {"mag", "phase", "real", "imag"}


def test_frames_of_an_enhanced_file_have_echo_times_of_their_own(tmp_path: Path) -> None:
    frames = [
        {"time": None, "place": place, "value": 100, "echo": echo, "index": rank}
        for rank, echo in enumerate((5.0, 10.0, 20.0), start=1)
        for place in (0, 1)
    ]
    gradient: dict[str, Any] = {"EchoPulseSequence": "GRADIENT", "InversionRecovery": "NO", "MRAcquisitionType": "3D"}
    write_enhanced(tmp_path / "1.dcm", frames, **gradient)
    assert names(tmp_path) == ECHOES
    write_enhanced(tmp_path / "1.dcm", frames, **gradient, EchoPlanarPulseSequence="YES")
    assert "echo planar" in reasons(tmp_path)


def test_two_echoes_are_too_few(tmp_path: Path) -> None:
    write_echoes(tmp_path, times=(4.92, 7.38), parts="MP")
    assert "2 echo times (4.92, 7.38 ms), as of a field map; T2* needs at least 3" in reasons(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"RepetitionTime": 45},
        {"FlipAngle": 20},
        {"PixelSpacing": [1, 1]},
        {"ImagePositionPatient": [0, 9, 0]},
        {"SequenceName": "*qfl3d"},
    ],
    ids=["repetition", "flip", "voxels", "position", "sequence"],
)
def test_another_scan_lends_no_echo(tmp_path: Path, change: dict[str, Any]) -> None:
    write_echoes(tmp_path, times=(5, 10))
    write_volume(tmp_path, None, ECHO | {"EchoTime": 20} | change, series=7)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ScanningSequence": ["EP", "GR"]}, "echo planar"),
        ({"Manufacturer": "Philips", EPI_FACTOR: 31}, "echo planar"),
        ({"DiffusionBValue": 1000.0}, "diffusion"),
        ({"ScanningSequence": "SE"}, "3 echo times of spin echoes, which measure T2"),
        ({"ScanningSequence": ["GR", "IR"]}, "without a plausible inversion time"),
        ({"SeriesDescription": "gre_field_mapping"}, "field map by its name"),
        ({"ProtocolName": "B0_map_3echo"}, "field map by its name"),
        ({"SequenceName": "*fm2d2r"}, "field map by its name"),
        ({"ImageType": ["DERIVED", "SECONDARY", "M", "ND"]}, "computed from other images"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "SWI", "ND"]}, "computed from other images"),
    ],
)
def test_what_only_looks_like_echoes_is_refused(tmp_path: Path, change: dict[Any, Any], reason: str) -> None:
    for rank, time in enumerate((5, 10, 20)):
        write_volume(tmp_path, None, ECHO | {"EchoTime": time, "EchoNumbers": rank + 1} | change, series=1)
    assert reason in reasons(tmp_path)


def test_echo_times_in_another_unit_are_refused(tmp_path: Path) -> None:
    write_echoes(tmp_path, times=(500, 1000, 2000))
    assert "echo times run to 2000 ms" in reasons(tmp_path)


def test_a_time_series_is_no_multi_echo_image(tmp_path: Path) -> None:
    for repetition in range(11):
        write_echoes(tmp_path, ECHO | {"TemporalPositionIdentifier": repetition + 1})
    assert "a time series of 11 images of each echo" in reasons(tmp_path)


def test_repeated_scans_are_runs(tmp_path: Path) -> None:
    write_echoes(tmp_path, parts="MP")
    write_echoes(tmp_path, ECHO | {"AcquisitionTime": "112233"}, parts="MP", first_series=11)
    kept = {(image.run, image.volume.first.series.number) for image in plan_of(tmp_path).kept}
    assert kept == {(1, 1), (1, 2), (2, 11), (2, 12)}


def test_scans_of_another_flip_angle_are_runs_of_their_own(tmp_path: Path) -> None:
    """Multi-parameter mapping has several multi-echo scans."""
    write_echoes(tmp_path)
    write_echoes(tmp_path, ECHO | {"FlipAngle": 5}, times=(6, 12, 18, 24), first_series=11)
    assert {(image.run, image.volume.timing.flip_angle) for image in plan_of(tmp_path).kept} == {(1, 15), (2, 5)}


def test_echoes_of_separate_scans_are_warned_about(tmp_path: Path) -> None:
    for series, time in enumerate((5, 10, 20)):
        write_volume(tmp_path, None, ECHO | {"EchoTime": time, "AcquisitionTime": f"10{series}112"}, series=series)
    assert names(tmp_path) == ECHOES
    assert "acquired one after the other; movement between them changes T2*" in " ".join(plan_of(tmp_path).warnings)


def test_other_reconstructions_and_other_scans_do_not_disturb(tmp_path: Path) -> None:
    write_echoes(tmp_path)
    filtered = ECHO | {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"]}
    for time in (5, 10, 20):
        write_volume(tmp_path, None, filtered | {"EchoTime": time}, series=2)
    write_set(tmp_path, SIEMENS, first_series=21)
    write_mp2rage(tmp_path, parts="M", first_series=31)
    write_volume(tmp_path, None, UNI, series=39)
    expected = [*ECHOES, "UNIT1", *(f"inv-{n}_IRT1" for n in (1, 2, 3, 4)), "inv-1_MP2RAGE", "inv-2_MP2RAGE"]
    assert names(tmp_path) == sorted(expected)
    assert "another reconstruction (DIS2D, NORM)" in " ".join(reason for _, reason in plan_of(tmp_path).skipped)


def test_the_reconstruction_with_all_echoes_is_kept(tmp_path: Path) -> None:
    filtered = ECHO | {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"]}
    for time in (5, 10):
        write_volume(tmp_path, None, filtered | {"EchoTime": time}, series=1)
    write_echoes(tmp_path, first_series=2)
    assert names(tmp_path) == ECHOES
    assert {image.volume.first.series.number for image in plan_of(tmp_path).kept} == {2}


def test_converted_echoes_have_their_times_and_radians(tmp_path: Path) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "raw"
    write_echoes(source, parts="MP")
    record = run(source, raw_dir)
    assert validator.errors(raw_dir) == []
    anat = raw_dir / "sub-01" / "anat"
    for rank, time in enumerate((0.005, 0.01, 0.02), start=1):
        sidecar = json.loads((anat / f"sub-01_echo-{rank}_part-mag_MEGRE.json").read_text())
        timing = [sidecar[key] for key in ("EchoTime", "RepetitionTime", "FlipAngle", "MagneticFieldStrength")]
        assert timing == [time, 0.04, 15, 3]
        image = nib.nifti1.Nifti1Image.from_filename(anat / f"sub-01_echo-{rank}_part-mag_MEGRE.nii.gz")
        assert image.get_fdata().min() == 100 * (4 - rank)
    phase = nib.nifti1.Nifti1Image.from_filename(anat / "sub-01_echo-2_part-phase_MEGRE.nii.gz").get_fdata()
    np.testing.assert_allclose(phase.min(), (2 * 4000 - 4096) * np.pi / 4096, rtol=1e-5)
    assert json.loads((anat / "sub-01_echo-2_part-phase_MEGRE.json").read_text())["Units"] == "rad"
    outcomes = [note.outcome for note in record.series]
    assert outcomes == [f"kept as part-{part} MEGRE, echo time 5, 10, 20 ms" for part in ("mag", "phase")]


def test_echoes_of_a_readout_are_valid_bids(tmp_path: Path) -> None:
    source, raw_dir = tmp_path / "dicom", tmp_path / "raw"
    write_mp2rage(source, parts="M")
    write_volume(source, None, UNI, series=9)
    readout = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"], "EchoTime": 6.1, "FlipAngle": 5}
    write_volume(source, 2500, UNI | readout, series=10)
    run(source, raw_dir)
    (path,) = (raw_dir / "sub-01" / "anat").glob("*echo-2_inv-2_MP2RAGE.json")
    sidecar = json.loads(path.read_text())
    assert (sidecar["EchoTime"], sidecar["InversionTime"]) == (0.0061, 2.5)
    missing = {"RepetitionTimeExcitation", "NumberShots"}
    found = {str(error) for error in validator.errors(raw_dir)}
    assert not [error for error in found if not any(field in error for field in missing)]


def test_a_series_of_one_echo_is_told_what_it_is(tmp_path: Path) -> None:
    write_volume(tmp_path, None, PHILIPS | {"ScanningSequence": "GR"}, series=1)
    (note,) = series_records(survey(tmp_path), plan_of(tmp_path))
    assert note.outcome.endswith("neither an inversion recovery nor a multi-echo gradient echo")


@pytest.mark.parametrize(("vendor", "echo_series"), [("siemens", "each"), ("philips", "one"), ("ge", "one")])
def test_converted_echoes_of_each_vendor_decay_as_the_phantom_does(
    tmp_path: Path, vendor: str, echo_series: str
) -> None:
    """Ranks, times and scales at once: T2* of the complex images is the true one."""
    source, raw_dir = tmp_path / "scans", tmp_path / "raw"
    size = ["--sequences", "MEGRE", "--resolution", "8", "--slices", "3", "--layout", "flat"]
    written = ["--megre-part", "complex", "--megre-snr", "inf", "--echo-series", echo_series]
    written += ["--echo-times", "0.004", "0.014", "0.024"]
    make_phantom([str(source), *size, *written, "--format", "dicom", "--vendor", vendor])
    run(source, raw_dir)
    assert validator.errors(raw_dir) == []

    def image(rank: int, part: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        path = raw_dir / "sub-01" / "anat" / f"sub-01_echo-{rank}_part-{part}_MEGRE.nii.gz"
        return np.asarray(nib.nifti1.Nifti1Image.from_filename(path).get_fdata())

    polar = vendor == "siemens"
    first, last = (
        image(rank, "mag") * np.exp(1j * image(rank, "phase"))
        if polar
        else image(rank, "real") + 1j * image(rank, "imag")
        for rank in (1, 3)
    )
    (path,) = (tmp_path / "scans_truth").rglob("*T2starmap.nii.gz")
    truth = np.asarray(nib.nifti1.Nifti1Image.from_filename(path).get_fdata())
    tissue = (truth > 0.02) & (truth < 0.2)
    assert tissue.sum() > 100
    decay = np.abs(last[tissue]) / np.abs(first[tissue])
    assert float(np.median(np.abs(-0.02 / np.log(decay) / truth[tissue] - 1))) < 0.01
