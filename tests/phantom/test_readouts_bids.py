"""MP2RAGE and MP3RAGE as BIDS: every form, what the images hold, and the truth beside them."""

import hashlib
import json
import tomllib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas
from bids_t1_phantom.head.head import HeadOptions, make_head
from bids_t1_phantom.head.transmit import TransmitOptions
from bids_t1_phantom.physics.protocols import WHITE_MATTER_M0
from bids_t1_phantom.physics.simulate import rapid_gradient_echo_trains
from bids_t1_phantom.physics.trains import MP2RAGE
from bids_t1_phantom.sequences.mp2rage import FORMS, ReadoutScan, acquire_readouts, default_sequence
from tests import validator

TINY = ["--resolution", "10", "--slices", "2"]
REQUIRED: dict[str, list[object]] = {
    "InversionTime": [0.7, 2.5],
    "FlipAngle": [4.0, 5.0],
    "RepetitionTimeExcitation": [0.0069, 0.0069],
    "RepetitionTimePreparation": [5.0, 5.0],
    "NumberShots": [[88, 88], [88, 88]],
    "MagneticFieldStrength": [3.0, 3.0],
    "EchoTime": [0.0029, 0.0029],
}


def _make(folder: Path, *arguments: str) -> Path:
    assert main([str(folder), *TINY, *arguments]) == 0
    return folder


def _load(path: Path) -> nibabel.Nifti1Image:
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    return image


def _values(path: Path) -> NDArray[np.float64]:
    return np.asarray(_load(path).get_fdata())


def _images(folder: Path) -> set[str]:
    return {path.name.removesuffix(".nii.gz").removeprefix("sub-01_") for path in folder.glob("*.nii.gz")}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def scan(atlas: Atlas) -> ReadoutScan:
    head = make_head(atlas, HeadOptions(resolution=6.0, slices=6), seed=0)
    return acquire_readouts(head, default_sequence("MP2RAGE"), seed=0)


FILES = {
    "polar": {"inv-1_part-mag_MP2RAGE", "inv-1_part-phase_MP2RAGE", "inv-2_part-mag_MP2RAGE",
              "inv-2_part-phase_MP2RAGE"},
    "complex": {"inv-1_part-real_MP2RAGE", "inv-1_part-imag_MP2RAGE", "inv-2_part-real_MP2RAGE",
                "inv-2_part-imag_MP2RAGE"},
    "uni": {"UNIT1"},
    "uni-mag": {"UNIT1", "inv-1_MP2RAGE", "inv-2_MP2RAGE"},
    "uni-last": {"UNIT1", "inv-2_MP2RAGE"},
    "mag": {"inv-1_MP2RAGE", "inv-2_MP2RAGE"},
}  # fmt: skip
FILES["all"] = FILES["polar"] | {"UNIT1", "rec-denoised_UNIT1"}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_its_files_and_validates(tmp_path: Path, form: str) -> None:
    folder = _make(tmp_path / "out", "--sequences", "MP2RAGE", "--mp2rage-form", form)
    assert _images(folder / "sub-01" / "anat") == FILES[form]
    assert validator.errors(folder) == []
    if form == "all":
        assert validator.errors(folder / "derivatives" / "truth") == []


def test_both_spellings_of_several_sequences_give_labelled_runs_that_validate(tmp_path: Path) -> None:
    comma, spaces = (
        _make(tmp_path / name, "--inversion-times", "0.1", "1.0", "--sequences", *words)
        for name, words in (("a", ["IRT1,MP2RAGE,MP3RAGE"]), ("b", ["IRT1", "MP2RAGE", "MP3RAGE"]))
    )
    names = _images(comma / "sub-01" / "anat")
    assert names == _images(spaces / "sub-01" / "anat")
    assert {name for name in names if "part-mag" in name} == {
        *(f"acq-mp2rage_inv-{index}_part-mag_MP2RAGE" for index in (1, 2)),
        *(f"acq-mp3rage_inv-{index}_part-mag_MP2RAGE" for index in (1, 2, 3)),
    }
    assert {"inv-1_IRT1", "inv-2_IRT1"} < names
    assert validator.errors(comma) == []
    assert validator.errors(comma / "derivatives" / "truth") == []
    for name, count in (("mp2rage", 2), ("mp3rage", 3)):
        protocol = tomllib.loads((comma / "derivatives" / "truth" / f"protocol_acq-{name}.toml").read_text())
        assert len(protocol["MP2RAGE"]["InversionTime"]) == count


def test_sidecars_hold_what_bids_requires_of_each_readout(tmp_path: Path) -> None:
    anat = _make(tmp_path / "out", "--sequences", "MP2RAGE", "--mp2rage-form", "all") / "sub-01" / "anat"
    for index in range(2):
        phase = json.loads((anat / f"sub-01_inv-{index + 1}_part-phase_MP2RAGE.json").read_text())
        assert {key: phase[key] for key in REQUIRED} == {key: values[index] for key, values in REQUIRED.items()}
        assert phase["Units"] == "rad"
    uni = json.loads((anat / "sub-01_UNIT1.json").read_text())
    assert uni["RepetitionTimePreparation"] == 5.0
    assert not {"InversionTime", "FlipAngle", "NumberShots", "RepetitionTimeExcitation"} & set(uni)


def test_the_protocol_file_says_what_unit1_does_not(tmp_path: Path) -> None:
    folder = _make(
        tmp_path / "out", "--sequences", "MP2RAGE", "--mp2rage-form", "uni", "--slice-partial-fourier", "0.75"
    )
    text = (folder / "derivatives" / "truth" / "protocol.toml").read_text()
    assert tomllib.loads(text)["MP2RAGE"] == {
        "MagneticFieldStrength": 3.0,
        "RepetitionTimePreparation": 5.0,
        "RepetitionTimeExcitation": 0.0069,
        "NumberShots": [44, 88],
        "InversionTime": [0.7, 2.5],
        "FlipAngle": [4.0, 5.0],
        "InversionEfficiency": 0.96,
    }


def test_noiseless_images_are_the_simulated_signal_of_the_truth(tmp_path: Path) -> None:
    arguments = ["--mp2rage-form", "complex", "--mp2rage-noise", "0", "--mp2rage-efficiency", "0.9"]
    folder = _make(tmp_path / "out", "--sequences", "MP2RAGE", *arguments, "--b1-range", "0.7", "1.3")
    truth = folder / "derivatives" / "truth" / "sub-01"
    t1, m0, b1 = (
        _values(truth / kind / f"sub-01_desc-truth_{name}.nii.gz")
        for kind, name in (("anat", "T1map"), ("anat", "M0map"), ("fmap", "TB1map"))
    )
    matter = m0 > 0
    expected = rapid_gradient_echo_trains(
        t1[matter], m0[matter], protocol=MP2RAGE, transmit_field=b1[matter], inversion_efficiency=0.9
    )
    real, imag = (
        np.stack([_values(folder / f"sub-01/anat/sub-01_inv-{index}_part-{part}_MP2RAGE.nii.gz") for index in (1, 2)])
        for part in ("real", "imag")
    )
    np.testing.assert_allclose(np.hypot(real, imag)[:, matter], np.abs(expected), atol=1e-4)
    # One phase for both readouts: their product is real and has the sign of the simulation.
    product = (real[0] - 1j * imag[0]) * (real[1] + 1j * imag[1])
    np.testing.assert_allclose(product[matter], expected[0] * expected[1], atol=0.02)
    assert np.all(real[:, ~matter] == 0)


def test_uni_is_stored_as_asked(tmp_path: Path) -> None:
    stored = {}
    for scale in ("4095", "unit", "signed"):
        folder = _make(tmp_path / scale, "--sequences", "MP2RAGE", "--mp2rage-form", "all", "--uni-scale", scale)
        stored[scale] = _load(folder / "sub-01" / "anat" / "sub-01_UNIT1.nii.gz")
    kinds = {scale: image.get_data_dtype() for scale, image in stored.items()}
    assert kinds == {"4095": np.uint16, "unit": np.float32, "signed": np.int16}
    uni = stored["unit"].get_fdata()
    assert -0.5 <= uni.min() < -0.4
    assert 0.4 < uni.max() <= 0.5
    np.testing.assert_allclose(stored["4095"].get_fdata() / 4095 - 0.5, uni, atol=0.501 / 4095)
    np.testing.assert_allclose(stored["signed"].get_fdata() / 4095, uni, atol=0.501 / 4095)


def test_denoised_uni_differs_from_uni_in_air_and_little_in_brain(atlas: Atlas, scan: ReadoutScan) -> None:
    head = make_head(atlas, HeadOptions(resolution=6.0, slices=6), seed=0)
    uni, denoised = scan.uni(), scan.denoised_uni()
    air = head.m0 == 0
    assert np.std(uni[air]) > 0.2
    assert np.std(denoised[air]) < 0.05
    assert 0 < np.median(np.abs(uni - denoised)[head.brain]) < 0.1


def test_the_vendors_t1_map_is_near_the_truth_where_its_assumptions_hold(atlas: Atlas) -> None:
    head = make_head(atlas, HeadOptions(resolution=6.0, slices=6, transmit=TransmitOptions(1.0, 1.0)), seed=0)
    scan = acquire_readouts(head, default_sequence("MP2RAGE", inversion_efficiency=1.0, noise=0.0), seed=0)
    solid = head.brain & (head.t1 < 2.5)
    np.testing.assert_allclose(scan.vendor_t1()[solid], head.t1[solid], rtol=0.01)


@pytest.mark.parametrize(("name", "noise"), [("MP2RAGE", 0.0005), ("MP3RAGE", 0.01)])
def test_noise_has_the_level_asked_for_in_both_channels_of_each_readout(atlas: Atlas, name: str, noise: float) -> None:
    head = make_head(atlas, HeadOptions(resolution=6.0, slices=6), seed=0)
    noisy, clean = (acquire_readouts(head, default_sequence(name, noise=level), seed=0) for level in (noise, 0.0))
    for difference in noisy.images - clean.images:
        for channel in (difference.real, difference.imag):
            expected = WHITE_MATTER_M0 * noise
            assert np.std(channel) == pytest.approx(expected, rel=5 / np.sqrt(2 * channel.size))
            assert abs(np.mean(channel)) < 5 * expected / np.sqrt(channel.size)


def test_the_transmit_field_covers_its_range_in_the_brain(atlas: Atlas) -> None:
    head = make_head(atlas, HeadOptions(resolution=5.0, transmit=TransmitOptions(0.7, 1.3)), seed=1)
    low, middle, high = np.percentile(head.transmit_field[head.brain], [1, 50, 99])
    assert low == pytest.approx(0.7, abs=0.08)
    assert 0.8 < middle < 1.1
    assert high == pytest.approx(1.3, abs=0.08)
    steps = [np.abs(np.diff(head.transmit_field, axis=axis)).max() for axis in range(3)]
    assert max(steps) < 0.06


def test_the_transmit_field_is_the_only_thing_its_range_changes(atlas: Atlas) -> None:
    flat, steep = (
        make_head(atlas, HeadOptions(resolution=10.0, transmit=TransmitOptions(*limits)), seed=1)
        for limits in ((1.0, 1.0), (0.6, 1.4))
    )
    assert np.all(flat.transmit_field == 1)
    for quantity in ("t1", "m0", "inversion_efficiency", "phase", "tissue"):
        np.testing.assert_array_equal(getattr(flat, quantity), getattr(steep, quantity))


@pytest.mark.parametrize(("kind", "nominal"), [("ratio", 1), ("percent", 100)])
def test_the_b1_map_is_the_true_field_on_a_grid_of_its_own(tmp_path: Path, kind: str, nominal: int) -> None:
    folder = _make(tmp_path / "out", "--sequences", "MP2RAGE", "--b1-map", kind)
    measured = _load(folder / "sub-01" / "fmap" / "sub-01_TB1map.nii.gz")
    truth = _load(folder / "derivatives/truth/sub-01/fmap/sub-01_desc-truth_TB1map.nii.gz")
    assert not np.allclose(measured.affine, truth.affine)
    field = measured.get_fdata() / nominal
    assert 0.1 < np.mean(field == 0) < 0.9
    places = np.argwhere(field > 0)
    moved = np.linalg.inv(truth.affine) @ measured.affine @ np.c_[places, np.ones(len(places))].T
    nearest = np.rint(moved[:3]).astype(int).T
    inside = np.all((nearest >= 0) & (nearest < truth.shape), axis=1)
    assert inside.sum() > 100
    found, expected = field[tuple(places[inside].T)], truth.get_fdata()[tuple(nearest[inside].T)]
    # Voxels of the truth are 10 mm: the field changes by less than 0.08 over half their diagonal.
    np.testing.assert_allclose(found, expected, atol=0.08)


@pytest.mark.parametrize("arguments", [["--b1-range", "1", "1"], ["--b1-map", "none"]])
def test_there_may_be_no_b1_map(tmp_path: Path, arguments: list[str]) -> None:
    assert not (_make(tmp_path / "out", "--sequences", "MP2RAGE", *arguments) / "sub-01" / "fmap").exists()


def test_inversion_recovery_alone_has_no_trace_of_other_sequences(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "--inversion-times", "0.1", "1.0")
    names = {path.name for path in folder.rglob("*")}
    assert not {"fmap", "protocol.toml", ".bidsignore"} & names


def test_the_same_seed_gives_the_same_bytes_whatever_else_is_scanned(tmp_path: Path) -> None:
    words = {"a": ["MP2RAGE"], "b": ["MP2RAGE"], "c": ["MP2RAGE,IRT1"]}
    folders = {name: _make(tmp_path / name, "--sequences", *sequences) for name, sequences in words.items()}
    first, second = (
        {path.relative_to(folder): _digest(path) for path in folder.rglob("*") if path.is_file()}
        for folder in (folders["a"], folders["b"])
    )
    assert first == second
    for path in (folders["a"] / "sub-01" / "anat").iterdir():
        assert _digest(path) == _digest(folders["c"] / "sub-01" / "anat" / path.name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sequences", "MP2RAGE", "--mp2rage-efficiency", "1.93"], "inversion efficiency 1.93"),
        (["--sequences", "MP2RAGE", "--mp2rage-noise", "-1"], "noise -1"),
        (["--sequences", "MP2RAGE", "--slice-partial-fourier", "0.7"], "partial Fourier 0.7"),
        (["--sequences", "MP2RAGE", "--format", "dicom", "--enhanced"], "enhanced"),
        (["--sequences", "MP2RAGE", "--format", "dicom", "--b1-map", "ratio"], "B1"),
    ],
)
def test_contradictions_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(tmp_path / "out"), *arguments]) == 64
    assert message in capsys.readouterr().err


def test_a_transmit_field_far_from_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "out"), "--b1-range", "80", "120"]) != 0
    assert "80 to 120" in capsys.readouterr().err


def test_an_unknown_sequence_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["out", "--sequences", "IRT1,MPRAGE"])
    assert left.value.code == 64
    assert "IRT1, MP2RAGE, MP3RAGE" in capsys.readouterr().err
