"""Variable flip angles from the command: T1 whatever B1+ is, intervals that hold it, and what cannot be in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from bids_t1.cli import main
from bids_t1_phantom.cli import main as make_phantom
from tests import validator
from tests.small_bids import change_json, write_image, write_json, write_root

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TR = 0.02
DEGREES = (4.0, 10.0, 20.0)
SHAPE = (24, 24, 12)
NOISE_SD = 0.5
B1_SD = 0.05
PREFIX = "sub-01/anat/sub-01_desc-VFA"


def heads_t1() -> NDArray[np.float64]:
    """T1 of a block in the middle of air [s]."""
    t1 = np.zeros(SHAPE)
    t1[4:20, 4:20, 2:10] = np.linspace(0.6, 1.8, 16)[:, None, None]
    return t1


def field() -> NDArray[np.float64]:
    b1: NDArray[np.float64] = np.ones(SHAPE) * np.interp(np.arange(SHAPE[1]), [4, 19], [0.7, 1.3])[:, None]
    return b1


def spoiled(t1: NDArray[np.float64], b1: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    recovery = np.exp(-TR / np.where(t1 > 0, t1, 1.0))
    angle = np.radians(degrees) * b1
    return np.where(t1 > 0, 1000 * np.sin(angle) * (1 - recovery) / (1 - np.cos(angle) * recovery), 0.0)


def write_angles(
    dataset: Path, *, t1: NDArray[np.float64] | None = None, parts: tuple[str | None, ...] = (None,)
) -> list[Path]:
    """Write one run with noise, and return its images."""
    t1, rng, written = heads_t1() if t1 is None else t1, np.random.default_rng(4), []
    b1 = field()[: t1.shape[0], : t1.shape[1], : t1.shape[2]]
    for number, degrees in enumerate(DEGREES, 1):
        noise = NOISE_SD * (rng.normal(size=t1.shape) + 1j * rng.normal(size=t1.shape))
        image = spoiled(t1, b1, degrees) * np.exp(0.4j) + noise
        for part in parts:
            name = f"sub-01_flip-{number}_{'' if part is None else f'part-{part}_'}VFA"
            path = dataset / "sub-01" / "anat" / f"{name}.nii.gz"
            values = {"real": image.real, "imag": image.imag}.get(part or "", np.abs(image))
            write_image(path, values.astype(np.float32))
            fields = {"FlipAngle": degrees, "RepetitionTimeExcitation": TR, "EchoTime": 0.003}
            write_json(path.with_name(f"{name}.json"), {**fields, "MagneticFieldStrength": 3})
            written.append(path)
    return written


def write_map(dataset: Path, *, sd: float = 0.0) -> None:
    """Write a map of B1+ whose voxels are wrong by an SD."""
    rng = np.random.default_rng(9)
    path = dataset / "sub-01" / "fmap" / "sub-01_TB1map.nii.gz"
    write_image(path, (field() + sd * rng.normal(size=SHAPE)).astype(np.float32))
    write_json(path.with_name("sub-01_TB1map.json"), {"Units": "arbitrary"})


def run(dataset: Path, *options: str) -> tuple[int, Path]:
    out = dataset.with_name(f"{dataset.name}-out")
    return main([str(dataset), str(out), "participant", "--maps-only", *options]), out


def load(out: Path, what: str) -> NDArray[Any]:
    return np.asarray(nib.Nifti1Image.from_filename(out / f"{PREFIX}{what}.nii.gz").dataobj)


def record(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"{PREFIX}_T1map.json").read_text())
    return found


def covered(out: Path, t1: NDArray[np.float64]) -> float:
    inside = t1 > 0
    held = (load(out, "lower_T1map") <= t1) & (t1 <= load(out, "upper_T1map"))
    return float(held[inside].mean())


@pytest.mark.parametrize("parts", [(None,), ("real", "imag")])
def test_t1_is_right_within_a_percent_at_every_b1_and_intervals_hold_it(
    tmp_path: Path, parts: tuple[str | None, ...]
) -> None:
    dataset = write_root(tmp_path / "data")
    write_angles(dataset, parts=parts)
    write_map(dataset)
    code, out = run(dataset)
    t1, b1, found = heads_t1(), field(), load(out, "_T1map")
    assert code == 0
    for low in np.arange(0.7, 1.3, 0.1):
        here = (t1 > 0) & (b1 >= low) & (b1 <= low + 0.1)
        assert np.median(found[here] / t1[here]) == pytest.approx(1, abs=0.01)
    assert covered(out, t1) == pytest.approx(0.95, abs=0.0125)
    assert record(out)["DataKind"] == ("positive readouts" if parts == (None,) else "complex")


def test_intervals_hold_t1_where_the_map_is_wrong_by_the_sd_that_is_told(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    write_angles(dataset)
    write_map(dataset, sd=B1_SD)
    code, out = run(dataset, "--b1-map-sd", str(B1_SD))
    assert code == 0
    assert covered(out, heads_t1()) == pytest.approx(0.95, abs=0.0125)
    assert f"an SD of the map of B1+ of {B1_SD}" in (out / "sub-01.html").read_text()


def test_without_a_map_t1_carries_the_uncertainty_of_b1_and_the_run_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = write_root(tmp_path / "data")
    write_angles(dataset)
    code, out = run(dataset)
    t1, sd = heads_t1(), load(out, "sd_T1map")
    assert code == 0
    assert np.median(sd[t1 > 0] / t1[t1 > 0]) > 0.2
    assert load(out, "twomodes_mask")[t1 > 0].mean() < 0.05
    assert covered(out, t1) > 0.9
    for text in (capsys.readouterr().err, (out / "sub-01.html").read_text(), json.dumps(record(out))):
        assert "No map of the transmit field B1+" in text


def test_images_without_air_give_the_same_t1(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    t1 = np.broadcast_to(np.linspace(0.6, 1.8, SHAPE[0])[:, None, None], SHAPE)
    write_angles(dataset, t1=np.array(t1))
    write_map(dataset)
    code, out = run(dataset)
    assert code == 0
    assert np.median(load(out, "_T1map") / t1) == pytest.approx(1, abs=0.01)
    assert record(out)["NoiseSD"]["Value"] == pytest.approx(NOISE_SD, rel=0.1)


def test_a_told_phase_increment_is_followed_and_can_be_left_aside(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    write_map(dataset)
    for image in write_angles(dataset):
        change_json(image.with_name(image.name.replace(".nii.gz", ".json")), SpoilingRFPhaseIncrement=50)
    _, out = run(dataset)
    assert record(out)["Spoiling"]["PhaseIncrement"] == 50
    followed = load(out, "_T1map")
    _, out = run(dataset, "--vfa-spoiling", "none")
    assert record(out)["Spoiling"] == "taken as perfect"
    inside = heads_t1() > 0
    assert abs(np.median(followed[inside] / load(out, "_T1map")[inside]) - 1) > 0.005


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"FlipAngle": 4}, "both have FlipAngle 4 degrees"),
        ({"FlipAngle": None}, "FlipAngle is missing"),
        ({"RepetitionTimeExcitation": 20}, "Divide by 1000 if these are milliseconds"),
        ({"RepetitionTimeExcitation": None}, "RepetitionTimeExcitation is missing"),
        ({"EchoTime": 0.006}, "T2* would be taken for T1"),
        ({"SpoilingState": False}, "expected spoiled gradient echoes"),
        ({"SpoilingRFPhaseIncrement": 400}, "above 0 and below 360"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], words: str
) -> None:
    dataset = write_root(tmp_path / "data")
    image = write_angles(dataset)[-1]
    change_json(image.with_name(image.name.replace(".nii.gz", ".json")), **changes)
    code, _ = run(dataset)
    assert code != 0
    assert words in capsys.readouterr().err


def test_one_angle_alone_and_angles_in_radians_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = write_root(tmp_path / "data")
    images = write_angles(dataset)
    for image, degrees in zip(images, DEGREES, strict=True):
        change_json(image.with_name(image.name.replace(".nii.gz", ".json")), FlipAngle=float(np.radians(degrees)))
    assert run(dataset)[0] != 0
    assert "look like radians" in capsys.readouterr().err
    for image in images[1:]:
        image.unlink()
    change_json(images[0].with_name("sub-01_flip-1_VFA.json"), FlipAngle=4)
    assert run(dataset)[0] != 0
    assert "expected images at two or more" in capsys.readouterr().err


def test_angles_and_times_of_a_protocol_file_complete_sidecars_in_the_order_of_flip(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    write_map(dataset)
    for image in write_angles(dataset):
        change_json(
            image.with_name(image.name.replace(".nii.gz", ".json")), FlipAngle=None, RepetitionTimeExcitation=None
        )
    protocol = tmp_path / "protocol.toml"
    protocol.write_text("[VFA]\nFlipAngle = [4, 10, 20]\nRepetitionTimeExcitation = 0.02\n")
    code, out = run(dataset, "--protocol", str(protocol))
    assert code == 0
    assert record(out)["FlipAngles"] == [4, 10, 20]
    assert record(out)["TimingOrigins"]["FlipAngle"] == "protocol file protocol.toml"


@pytest.mark.slow
def test_the_phantom_plays_flip_angles_and_t1_of_three_sequences_stands_on_one_page(tmp_path: Path) -> None:
    dataset, out = tmp_path / "data", tmp_path / "out"
    made = ["--sequences", "IRT1,MP2RAGE,VFA", "--resolution", "8", "--b1-range", "0.7", "1.3"]
    assert make_phantom([str(dataset), *made]) == 0
    assert main([str(dataset), str(out), "participant"]) == 0
    log = json.loads((out / "logs" / "sub-01.json").read_text())
    assert {row["sequence"] for row in log["comparisons"]} == {"MP2RAGE", "VFA"}
    truth = dataset / "derivatives" / "truth" / "sub-01" / "anat" / "sub-01_desc-truth_T1map.nii.gz"
    t1 = np.asarray(nib.Nifti1Image.from_filename(truth).dataobj)
    found = load(out, "_T1map")
    tissue = np.isfinite(found) & (t1 > 0.5) & (t1 < 2)
    assert np.median(found[tissue] / t1[tissue]) == pytest.approx(1, abs=0.01)


def test_t1_of_the_phantom_whose_pulses_are_played_one_by_one_is_right_and_all_files_are_valid(tmp_path: Path) -> None:
    dataset = tmp_path / "data"
    assert make_phantom([str(dataset), "--sequences", "VFA", "--resolution", "8", "--b1-range", "0.7", "1.3"]) == 0
    code, out = run(dataset)
    truth = dataset / "derivatives" / "truth" / "sub-01" / "anat" / "sub-01_desc-truth_T1map.nii.gz"
    t1 = np.asarray(nib.Nifti1Image.from_filename(truth).dataobj)
    tissue = (t1 > 0.5) & (t1 < 2)
    assert code == 0
    assert np.median(load(out, "_T1map")[tissue] / t1[tissue]) == pytest.approx(1, abs=0.01)
    assert validator.errors(dataset) == []
    assert validator.errors(out) == []
