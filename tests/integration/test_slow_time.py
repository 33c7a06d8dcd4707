"""T1 of the slow component without pairs, from the command to the map."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from tests.command import participant, phantom

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a phantom with two pools."""
    folder = tmp_path_factory.mktemp("slow") / "bids"
    phantom(folder, "--sequences", "MP2RAGE", "--bias", "mt", "--slices", "4")
    return folder


def field_of(folder: Path, tesla: float) -> None:
    for path in folder.glob("sub-01/anat/*MP2RAGE.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(content | {"MagneticFieldStrength": tesla}), encoding="utf-8")


def test_the_slow_map_is_nearer_to_the_truth_and_the_measured_one_stays(tissue: Path, tmp_path: Path) -> None:
    plain, corrected = tmp_path / "plain", tmp_path / "corrected"
    assert participant(tissue, plain, "--maps-only").code == 0
    assert participant(tissue, corrected, "--maps-only", "--mt-prior", "tissue").code == 0
    name = "sub-01/anat/sub-01_desc-MP2RAGE_T1map.nii.gz"
    assert (plain / name).read_bytes() == (corrected / name).read_bytes()
    measured = nib.Nifti1Image.from_filename(corrected / name).get_fdata()
    slow = nib.Nifti1Image.from_filename(corrected / name.replace("MP2RAGE_", "MP2RAGEslow_")).get_fdata()
    sd = nib.Nifti1Image.from_filename(corrected / name.replace("MP2RAGE_", "MP2RAGEslowsd_")).get_fdata()
    truth_of = tissue / "derivatives/truth/sub-01/anat/sub-01_desc-truth_T1map.nii.gz"
    truth = nib.Nifti1Image.from_filename(truth_of).get_fdata()
    white = (truth > 0.78) & (truth < 0.92) & np.isfinite(slow)
    before, after = (float(np.median(values[white] / truth[white] - 1)) for values in (measured, slow))
    assert before < -0.08
    assert abs(after) < 0.04
    assert np.median(sd[white] / slow[white]) > 0.02


def test_a_field_without_numbers_is_refused_with_the_fields_that_have_them(tissue: Path, tmp_path: Path) -> None:
    field_of(tissue, 1.5)
    try:
        answer = participant(tissue, tmp_path / "out", "--maps-only", "--mt-prior", "tissue")
        olsson = participant(tissue, tmp_path / "out", "--maps-only", "--mt-prior", "olsson-hs")
    finally:
        field_of(tissue, 3.0)
    assert answer.code == olsson.code == 16
    assert "expected 3 T or 7 T" in answer.said
    assert "expected 7 T" in olsson.said


def test_two_beliefs_about_the_inversion_contradict_each_other(tissue: Path, tmp_path: Path) -> None:
    words = ("--mt-prior", "olsson-hs", "--inversion-efficiency", "0.9")
    answer = participant(tissue, tmp_path / "out", *words)
    assert answer.code == 64
    assert "contradict each other" in answer.said
