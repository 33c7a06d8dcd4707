"""The command line and the BIDS datasets it makes."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bids_t1_phantom import dataset
from bids_t1_phantom.cli import main
from tests import validator

TINY = ["--resolution", "10", "--slices", "2", "--inversion-times", "0.1", "1.0"]


def _load(path: Path) -> nibabel.Nifti1Image:
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    return image


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("below", [".", "derivatives/truth"])
def test_the_validator_finds_no_errors(bids_dataset: Path, below: str) -> None:
    assert validator.errors(bids_dataset / below) == []


def test_images_and_truth_share_their_grid_and_names(bids_dataset: Path) -> None:
    anat = bids_dataset / "sub-02" / "anat"
    truth = bids_dataset / "derivatives" / "truth" / "sub-02" / "anat"
    assert len(list(anat.glob("sub-02_inv-*_part-mag_IRT1.nii.gz"))) == 10
    images = [_load(path) for path in (*anat.glob("*.nii.gz"), *truth.glob("*.nii.gz"))]
    assert len(images) == 25
    for image in images:
        assert image.shape == images[0].shape
        np.testing.assert_array_equal(image.affine, images[0].affine)


def test_sidecars_are_in_seconds(bids_dataset: Path) -> None:
    sidecar = json.loads((bids_dataset / "sub-01" / "anat" / "sub-01_inv-10_part-phase_IRT1.json").read_text())
    assert (sidecar["InversionTime"], sidecar["RepetitionTime"], sidecar["EchoTime"]) == (3.0, 6.0, 0.01)
    assert sidecar["Units"] == "rad"


def test_noiseless_images_follow_the_truth(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--part", "real", "--snr", "inf", "--repetition-times", "3", "28"]
    assert main([str(out), *TINY, *arguments]) == 0
    truth = out / "derivatives" / "truth" / "sub-01" / "anat"
    t1, m0, kappa = (
        _load(truth / f"sub-01_desc-{name}.nii.gz").get_fdata()
        for name in ("truth_T1map", "truth_M0map", "truthefficiency_T1map")
    )
    image = _load(out / "sub-01" / "anat" / "sub-01_inv-2_part-real_IRT1.nii.gz").get_fdata()
    matter = m0 > 0
    # TR is 28 s: what is left of the previous repetition is below 0.1 % of M0.
    expected = m0 * (1 - kappa * np.exp(-1.0 / t1))
    np.testing.assert_allclose(image[matter], expected[matter], atol=2)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main([str(tmp_path / name), *TINY]) == 0
    assert main([str(tmp_path / "c"), *TINY, "--seed", "1"]) == 0
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")
    assert _digests(tmp_path / "a") != _digests(tmp_path / "c")


def test_a_used_folder_is_refused_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    assert main([str(tmp_path), *TINY]) == 73
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file" / "out"), *TINY]) == 73


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(dataset, "write_truth", fail)
    assert main([str(tmp_path / "out"), *TINY]) == 74
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--inversion-times", "350"], "Divide ms by 1000"),
        (["--repetition-times", "1", "2", "3"], "one for all"),
        (["--snr", "0"], "SNR"),
        (["--participants", "0"], "participants"),
        (["--seed", "-1"], "seed"),
        (["--format", "dicom", "--layout", "flat", "--participants", "2"], "flat"),
        (["--format", "dicom", "--vendor", "ge", "--enhanced"], "GE"),
    ],
)
def test_contradictions_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(tmp_path / "out"), *arguments]) == 64
    assert message in capsys.readouterr().err


def test_unknown_options_leave_with_the_code_for_usage() -> None:
    with pytest.raises(SystemExit) as left:
        main(["out", "--sequence", "MAGIC"])
    assert left.value.code == 64


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, bids_t1_phantom.cli as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(bool({'numpy', 'nibabel', 'pydicom', 'scipy', 'nilearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
