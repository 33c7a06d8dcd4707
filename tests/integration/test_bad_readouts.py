"""A run of MP2RAGE that cannot be right is refused with file, value and advice; other runs and participants go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from bids_t1.data.estimate import VoxelStatus
from tests import command, validator
from tests.integration.readouts import Measured, read
from tests.small_bids import (
    READOUT_T1,
    change_json,
    complex_readouts,
    sidecar,
    write_image,
    write_json,
    write_readouts,
    write_root,
    write_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Answer

Images = list["Path"]
FIELD = ("--b1-prior", "1", "0")
GOOD = "_acq-good"


def for_all(images: Images, **changes: object) -> None:
    for image in images:
        change_json(sidecar(image), **changes)


def for_second(images: Images, **changes: object) -> None:
    for image in images[2:]:
        change_json(sidecar(image), **changes)


def short_cycle(images: Images) -> None:
    for_all(images, RepetitionTimePreparation=2.6)


def overlapping_trains(images: Images) -> None:
    for_second(images, InversionTime=1.5)


def early_train(images: Images) -> None:
    for_all(images, NumberShots=[120, 56])


def radians(images: Images) -> None:
    for_all(images[:2], FlipAngle=0.0698)
    for_second(images, FlipAngle=0.0873)


def large_angle(images: Images) -> None:
    for_second(images, FlipAngle=180)


def inversion_milliseconds(images: Images) -> None:
    for_all(images[:2], InversionTime=700)
    for_second(images, InversionTime=2500)


def excitation_milliseconds(images: Images) -> None:
    for_all(images, RepetitionTimeExcitation=6.9)


def cycle_milliseconds(images: Images) -> None:
    for_all(images, RepetitionTimePreparation=5000)


def cycle_as_excitation(images: Images) -> None:
    for_all(images, RepetitionTimeExcitation=5.0)


def swapped_times(images: Images) -> None:
    for_all(images[:2], InversionTime=2.5)
    for_second(images, InversionTime=0.7)


def times_of_parts(images: Images) -> None:
    change_json(sidecar(images[3]), InversionTime=0.7)


def two_cycles(images: Images) -> None:
    for_second(images, RepetitionTimePreparation=6.0)


def three_shots(images: Images) -> None:
    for_all(images, NumberShots=[44, 88, 44])


def half_share(images: Images) -> None:
    for_all(images, NumberShots=176, SlicePartialFourier=0.3)


def words(images: Images) -> None:
    for_second(images, FlipAngle="5 degrees")


def efficiency(images: Images) -> None:
    for_all(images, InversionEfficiency=96)


def other_grid(images: Images) -> None:
    write_image(images[2], np.ones((17, 16, 4), np.float32))


def all_zero(images: Images) -> None:
    for image in images[:2]:
        write_image(image, np.zeros(READOUT_T1.shape, np.int16))


def all_nan(images: Images) -> None:
    for image in images[:2]:
        write_image(image, np.full(READOUT_T1.shape, np.nan, np.float32))


def truncated(images: Images) -> None:
    images[2].write_bytes(images[2].read_bytes()[:300])


def lone_readout(images: Images) -> None:
    for image in images[2:]:
        image.unlink()
        sidecar(image).unlink()


def lone_phases(images: Images) -> None:
    for image in images[::2]:
        image.unlink()
        sidecar(image).unlink()


def unnumbered(images: Images) -> None:
    for path in [file for image in images[2:] for file in (image, sidecar(image))]:
        path.rename(path.with_name(path.name.replace("_inv-2", "")))


BAD: dict[Callable[[Images], None], str] = {
    short_cycle: "readout 2 and the next inversion overlap by 0.5072 s: InversionTime 0.7, 2.5 s",
    overlapping_trains: "readout 1 and readout 2 overlap by 0.4144 s: InversionTime 0.7, 1.5 s",
    early_train: "the inversion and readout 1 overlap by 0.1280 s",
    radians: "FlipAngle is 0.0698, 0.0873; expected degrees. These look like radians: multiply by 57.3.",
    large_angle: "FlipAngle is 4, 180; expected degrees, above 0 and at most 90.",
    inversion_milliseconds: "InversionTime is 700; expected seconds, below 30. BIDS times are in seconds: divide by",
    excitation_milliseconds: "RepetitionTimeExcitation is 6.9; expected seconds, below 0.1",
    cycle_milliseconds: "RepetitionTimePreparation is 5000; expected seconds, below 30. BIDS times are in seconds",
    cycle_as_excitation: "RepetitionTimeExcitation is 5; expected seconds, below 0.1: the delay between two",
    swapped_times: "InversionTime is 2.5 s and 0.7 s; expected rising times. The TI order is not that of the readouts",
    times_of_parts: "InversionTime is 2.5 s and 0.7 s; expected the same, as parts of one readout",
    two_cycles: "RepetitionTimePreparation differs between the readouts of one run",
    three_shots: "NumberShots has 3 numbers; expected [before, after] the k-space centre",
    half_share: "SlicePartialFourier is 0.3; expected a share of the partitions, 0.5 to 1.",
    words: "FlipAngle is '5 degrees'; expected one number. Correct the sidecar.",
    efficiency: "InversionEfficiency is 96; expected above 0 and at most 1.",
    other_grid: "its grid is 17 x 16 x 4 voxels",
    all_zero: "holds only zeros; expected an image. Convert it again.",
    all_nan: "holds no number; expected an image. Convert it again.",
    truncated: "cannot be read as NIfTI",
    lone_readout: "has only inv-1 (mag, phase); expected magnitude and phase, or real and imaginary images of two",
    lone_phases: "has only inv-1 (phase), inv-2 (phase); expected magnitude and phase",
    unnumbered: "its name lacks inv-; expected the number of the readout, such as inv-1. Rename it",
}


def label(spoil: Callable[[Images], None]) -> str:
    return spoil.__name__.replace("_", "")


def write_bad(data: Path) -> Path:
    """Write a run of each kind of mistake, all of one participant."""
    images = complex_readouts()
    write_root(data)
    for spoil in BAD:
        spoil(write_readouts(data, entities=f"_acq-{label(spoil)}", images=images))
    return data


class Done(NamedTuple):
    answer: Answer
    out_dir: Path


@pytest.fixture(scope="module")
def nothing_good(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A participant whose runs are all bad."""
    folder = tmp_path_factory.mktemp("bad")
    data = write_bad(folder / "data")
    return Done(command.participant(data, folder / "out", *FIELD), folder / "out")


@pytest.fixture(scope="module")
def some_good(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The same participant with good runs of two sequences, and another participant."""
    folder = tmp_path_factory.mktemp("some_good")
    data = write_bad(folder / "data")
    write_readouts(data, entities=GOOD)
    write_run(data, entities=GOOD)
    write_readouts(data, "02", entities=GOOD)
    return Done(command.participant(data, folder / "out", *FIELD), folder / "out")


def failures(out_dir: Path) -> list[str]:
    return list(json.loads((out_dir / "logs" / "sub-01.json").read_text())["failures"])


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_run_is_refused_with_its_name_and_what_to_do(spoil: Callable[[Images], None], nothing_good: Done) -> None:
    (found,) = [message for message in failures(nothing_good.out_dir) if f"sub-01_acq-{label(spoil)}_" in message]
    assert BAD[spoil] in found
    assert found in nothing_good.answer.said


def test_bad_runs_alone_are_invalid_input_and_leave_nothing_but_a_page(nothing_good: Done) -> None:
    assert nothing_good.answer.code == 16
    assert "Traceback" not in nothing_good.answer.said
    assert len(failures(nothing_good.out_dir)) == len(BAD)
    assert not list(nothing_good.out_dir.rglob("*.nii.gz"))
    assert not (nothing_good.out_dir / "sub-01").exists()
    assert (nothing_good.out_dir / "sub-01.html").is_file()
    assert command.leftovers(nothing_good.out_dir) == []


def test_good_runs_and_other_participants_go_on(some_good: Done) -> None:
    answer, out_dir = some_good
    assert answer.code == 1
    assert "1 participant with failures: 01" in answer.said
    assert len(failures(out_dir)) == len(BAD)
    for participant, sequences in (("01", ("IRT1", "MP2RAGE")), ("02", ("MP2RAGE",))):
        written = {path.name for path in (out_dir / f"sub-{participant}").rglob("*.nii.gz")}
        assert {name.split("_")[1] for name in written} == {"acq-good"}
        assert {f"sub-{participant}{GOOD}_desc-{sequence}_T1map.nii.gz" for sequence in sequences} <= written
    assert validator.errors(out_dir) == []
    assert command.leftovers(out_dir) == []


def test_every_failure_is_on_the_page(some_good: Done) -> None:
    page = (some_good.out_dir / "sub-01.html").read_text()
    assert not [label(spoil) for spoil in BAD if label(spoil) not in page]
    assert "shortcycle" not in (some_good.out_dir / "sub-02.html").read_text()


def test_nan_voxels_are_marked_and_the_others_fitted(tmp_path: Path) -> None:
    data, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    images = complex_readouts()
    images[0, 5, 6, 1] = np.nan
    images[1, 8, 9, 2] = np.inf
    write_readouts(data, images=images)
    answer = command.participant(data, out_dir, *FIELD)
    assert answer.code == 0, answer.said
    marked = read(out_dir, "desc-MP2RAGEstatus_dseg") == VoxelStatus.NOT_FINITE
    assert np.argwhere(marked).tolist() == [[5, 6, 1], [8, 9, 2]]
    measured = Measured.read(out_dir)
    assert np.isnan(measured.t1[marked]).all()
    where = (READOUT_T1 > 0) & ~marked
    assert measured.known[where].all()
    assert np.std((measured.t1 - READOUT_T1)[where] / measured.sd[where]) < 1.2


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_of_the_images_does_not_matter(tmp_path: Path, factor: float) -> None:
    data, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    write_readouts(data, images=complex_readouts() * factor)
    assert command.participant(data, out_dir, *FIELD).code == 0
    measured = Measured.read(out_dir)
    where = READOUT_T1 > 0
    assert measured.known[where].all()
    assert np.std((measured.t1 - READOUT_T1)[where] / measured.sd[where]) < 1.2


@pytest.mark.parametrize("scaling", ["mrad", "sidecar", "protocol"])
def test_a_declared_scaling_of_the_phase_is_used_and_recorded(scaling: str, tmp_path: Path) -> None:
    data, out_dir = write_root(tmp_path / "data"), tmp_path / "out"
    images = complex_readouts()
    units = 4096 / np.pi if scaling != "mrad" else 1000
    for path, image in zip(write_readouts(data, images=images)[1::2], images, strict=True):
        write_image(path, np.rint(np.angle(image) * units).astype(np.int16))
        change_json(sidecar(path), Units="mrad" if scaling == "mrad" else None)
        if scaling == "sidecar":
            change_json(sidecar(path), PhaseScaling=np.pi / 4096)
    write_json(tmp_path / "protocol.json", {"MP2RAGE": {"PhaseScaling": np.pi / 4096}})
    options = ("--protocol", tmp_path / "protocol.json") if scaling == "protocol" else ()
    answer = command.participant(data, out_dir, *FIELD, *options)
    assert answer.code == 0, answer.said
    measured = Measured.read(out_dir)
    where = READOUT_T1 > 0
    assert abs(np.median((measured.t1 - READOUT_T1)[where] / measured.sd[where])) < 0.3
    phase = json.loads((out_dir / "logs" / "sub-01.json").read_text())["runs"][0]["record"]["Scaling"]["Phase"]
    assert {"mrad": "Units 'mrad'", "sidecar": "of the sidecar", "protocol": "of the protocol file"}[scaling] in phase
