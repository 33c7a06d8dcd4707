"""MP2RAGE from the files of scanners: named, timed and measured, with nothing of the patient left."""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import command, validator
from tests.integration.readouts import TISSUES, Measured, Truth, sampling_error, t1_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Finished

    Convert = Callable[[str], Finished]

SCANNERS = {
    "siemens": (),
    "siemens in one series": ("--one-series", "--slice-partial-fourier", "0.75"),
    "philips": ("--vendor", "philips", "--sequences", "IRT1,MP2RAGE"),
    "ge": ("--vendor", "ge"),
}
FIELD = ("--b1-range", "1", "1")
"""Scanner files hold no map of B1+ here."""

POLAR = {f"inv-{number}_part-{part}_MP2RAGE" for number in (1, 2) for part in ("mag", "phase")}
KEPT = {
    "siemens": {*POLAR, "UNIT1", "rec-denoised_UNIT1"},
    "siemens in one series": {*POLAR, "UNIT1", "rec-denoised_UNIT1"},
    "philips": {
        *(f"inv-{number}_part-{part}_MP2RAGE" for number in (1, 2) for part in ("real", "imag")),
        *(f"inv-{number}_IRT1" for number in range(1, 7)),
    },
    "ge": {f"inv-{number}_MP2RAGE" for number in (1, 2)},
}
FORMS = {"siemens": "complex", "siemens in one series": "complex", "philips": "complex", "ge": "magnitudes"}


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """Convert and process the files of each scanner once, with the protocol file of a user."""

    @cache
    def scan_and_process(scanner: str) -> Finished:
        folder = tmp_path_factory.mktemp("scanner")
        words = ("--sequences", "MP2RAGE", "--format", "dicom", "--slices", "2", *FIELD, *SCANNERS[scanner])
        data = command.phantom(folder / "data", *words)
        protocol = folder / "data_truth" / "protocol.toml"
        answer = command.participant(data, folder / "out", "--protocol", protocol, "--b1-prior", "1", "0")
        assert answer.code == 0, answer.said
        return command.Finished(data, folder / "out", answer)

    return scan_and_process


@pytest.mark.parametrize("scanner", SCANNERS)
def test_images_are_named_and_raw_data_and_derivatives_validate(scanner: str, convert: Convert) -> None:
    out_dir = convert(scanner).out_dir
    raw = out_dir / "sourcedata" / "raw"
    names = {path.name.removeprefix("sub-01_").removesuffix(".nii.gz") for path in raw.rglob("*.nii.gz")}
    assert names == KEPT[scanner]
    assert validator.errors(raw) == []
    assert validator.errors(out_dir) == []
    assert command.leftovers(out_dir) == []


@pytest.mark.parametrize("scanner", SCANNERS)
def test_t1_of_scanner_files_is_right(scanner: str, convert: Convert) -> None:
    done = convert(scanner)
    truth, measured = Truth.read(done.bids_dir.with_name("data_truth")), Measured.read(done.out_dir)
    assert t1_sidecar(done.out_dir)["DataKind"] == FORMS[scanner]
    for tissue in TISSUES:
        where = truth.voxels(tissue, measured)
        assert where.sum() > 300
        # M0 of magnitudes has a prior learned from the image, which is not exact in every tissue.
        nominal = 0.95 if FORMS[scanner] == "complex" else 0.93
        assert truth.coverage(tissue, measured) > nominal - 4 * sampling_error(where.sum())
        standard = (measured.t1 - truth.t1)[where] / measured.sd[where]
        wrong = np.abs(standard) > 4
        assert not wrong[~measured.two_modes[where]].any()
        assert FORMS[scanner] == "magnitudes" or abs(np.median(standard)) < 0.3


@pytest.mark.parametrize("scanner", SCANNERS)
def test_nothing_of_the_patient_is_in_any_output(scanner: str, convert: Convert) -> None:
    done = convert(scanner)
    secrets = command.secrets_of(done.bids_dir)
    assert command.betrayed(done.out_dir, secrets) == []
    assert not [secret for secret in secrets if secret in done.answer.said]


@pytest.mark.parametrize("scanner", ["siemens", "siemens in one series"])
def test_derived_images_of_the_scanner_are_kept_apart_or_left_out_with_a_reason(scanner: str, convert: Convert) -> None:
    out_dir = convert(scanner).out_dir
    log = json.loads((out_dir / "logs" / "sub-01.json").read_text())
    outcomes = {note["description"].removeprefix("t1_mp2rage_sag_p3_1mm_"): note["outcome"] for note in log["series"]}
    assert outcomes["UNI_Images"] == "kept as UNIT1"
    assert outcomes["UNI-DEN"].startswith("kept as UNIT1 rec-denoised; its regularisation changes T1")
    assert outcomes["T1_Images"].startswith("skipped: computed from other images: a T1 map of the scanner")
    assert "a T1 map of the scanner" in (out_dir / "sub-01.html").read_text()
    assert not [source for source in t1_sidecar(out_dir)["Sources"] if "UNIT1" in source]


def test_partial_fourier_is_read_from_the_header(convert: Convert) -> None:
    written = t1_sidecar(convert("siemens in one series").out_dir)
    assert written["NumberShotsPerReadout"] == [[44, 88], [44, 88]]
    assert written["TimingOrigins"]["NumberShots"] == "sidecar"


def test_inversion_recovery_among_the_files_is_measured_too(convert: Convert) -> None:
    done = convert("philips")
    assert "2 runs of 1 participant without failure" in done.answer.said
    assert (done.out_dir / "sub-01" / "anat" / "sub-01_desc-IRT1_T1map.nii.gz").is_file()


def test_values_of_the_protocol_file_are_told_from_those_of_the_header(convert: Convert) -> None:
    origins = t1_sidecar(convert("siemens").out_dir)["TimingOrigins"]
    assert origins["InversionTime"] == origins["FlipAngle"] == "sidecar"
    assert origins["RepetitionTimePreparation"] == "sidecar"
    assert origins["RepetitionTimeExcitation"].startswith("protocol file")
    assert origins["InversionEfficiency"].startswith("protocol file")


def test_without_a_protocol_what_no_header_holds_is_asked_for_and_can_be_given_later(
    convert: Convert, tmp_path: Path
) -> None:
    data = convert("siemens").bids_dir
    answer = command.participant(data, tmp_path / "out", "--b1-prior", "1", "0")
    assert answer.code == 16, answer.said
    assert "  RepetitionTimeExcitation: missing in sub-01_inv-1_part-mag_MP2RAGE.json" in answer.said
    assert "InversionTime: missing" not in answer.said
    assert not (tmp_path / "out" / "sub-01").exists()
    protocol = data.with_name("data_truth") / "protocol.toml"
    answer = command.participant(data, tmp_path / "out", "--b1-prior", "1", "0", "--protocol", protocol)
    assert answer.code == 0, answer.said
    done = convert("siemens").out_dir / "sub-01"
    again = tmp_path / "out" / "sub-01"
    assert {k: v for k, v in command.listing(again).items() if k.endswith(".nii.gz")} == {
        k: v for k, v in command.listing(done).items() if k.endswith(".nii.gz")
    }
    assert validator.errors(tmp_path / "out" / "sourcedata" / "raw") == []


def test_a_second_run_reuses_the_conversion(convert: Convert, tmp_path: Path) -> None:
    done = convert("philips")
    before = command.listing(done.bids_dir, times=True)
    shutil.copytree(done.out_dir, tmp_path / "out")
    images = command.listing(tmp_path / "out" / "sourcedata" / "raw" / "sub-01", times=True)
    maps = command.listing(tmp_path / "out" / "sub-01")
    protocol = done.bids_dir.with_name("data_truth") / "protocol.toml"
    words = ("--protocol", protocol, "--b1-prior", "1", "0")
    assert command.participant(done.bids_dir, tmp_path / "out", *words).code == 0
    assert command.listing(tmp_path / "out" / "sourcedata" / "raw" / "sub-01", times=True) == images
    assert command.listing(tmp_path / "out" / "sub-01") == maps
    assert command.listing(done.bids_dir, times=True) == before


def test_files_with_only_a_denoised_uni_are_refused(convert: Convert, tmp_path: Path) -> None:
    shutil.copytree(convert("siemens").bids_dir, tmp_path / "data")
    for folder in sorted((tmp_path / "data" / "sub-01" / "dicom").iterdir()):
        if "UNI-DEN" not in folder.name:
            shutil.rmtree(folder)
    assert list((tmp_path / "data").rglob("*.dcm"))
    answer = command.participant(tmp_path / "data", tmp_path / "out")
    assert answer.code in {16, 66}, answer.said
    assert not list((tmp_path / "out").rglob("*T1map*"))
    assert "UNI-DEN" in answer.said
