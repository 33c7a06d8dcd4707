"""Inversion times that are milliseconds shorter than told are found where T1 is short, and only there."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.data.errors import InvalidInputError
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.runs.time_shift import choose_shift
from bids_t1.sequences.inversion_readout import Readout
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1_phantom.physics.simulate import inversion_recovery
from tests import command
from tests.runs.series import series_of
from tests.small_bids import change_json, sidecar, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TIMES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
VARYING = (1.0, 1.0, 1.0, 1.26, 1.86, 2.46)
ECHO_TIME = 0.012
SPHERES = (0.984, 0.706, 0.4967, 0.3515, 0.247, 0.1753, 0.1259, 0.089)
"""T1 of solutions [s], as the NIST phantom has them."""

SHAPE = (64, 64, 1)

TRUTH = np.zeros(SHAPE)
for number, value in enumerate(SPHERES):
    TRUTH[2 + 15 * (number % 4) :, 2 + 15 * (number // 4) :][:13, :13] = value

PULSES = partial(inversion_recovery, echo_time=ECHO_TIME)


def magnitudes(
    delay: float, kappa: float, repeat: tuple[float, ...] | float = 1.0, sd: float = 8.0, seed: int = 0
) -> NDArray[np.float32]:
    """Magnitudes of squares in air, read so much earlier after the inversion than their times tell."""
    rng = np.random.default_rng(seed)
    clean = np.zeros((len(TIMES), *SHAPE))
    clean[:, TRUTH > 0] = PULSES(
        TRUTH[TRUTH > 0],
        1000.0,
        inversion_times=[time - delay for time in TIMES],
        repetition_times=repeat,
        inversion_efficiency=kappa,
    )
    noise = rng.normal(0, sd, (2, *clean.shape))
    found: NDArray[np.float32] = np.hypot(clean + noise[0], noise[1]).astype(np.float32)
    return found


def model_of(repeat: tuple[float, ...] | float = 1.0) -> InversionRecovery:
    repeats = (repeat,) * len(TIMES) if isinstance(repeat, float) else repeat
    readout = Readout(n_pulses=1, spacing=ECHO_TIME, is_known=True)
    return InversionRecovery(inversion_times=TIMES, repetition_times=repeats, readout=readout)


@pytest.mark.parametrize("repeat", [1.0, VARYING])
@pytest.mark.parametrize("kappa", [1.95, 2.0])
def test_times_shorter_than_told_are_found_and_kappa_is_then_that_of_a_pulse(
    kappa: float, repeat: tuple[float, ...] | float
) -> None:
    model, series = model_of(repeat), series_of(magnitudes(0.005, kappa, repeat), "magnitude")
    shift = choose_shift(model, series, None, EstimationOptions())
    sd = float(str(shift.record["SD"]))
    assert abs(shift.added + 0.005) < 3 * sd < 0.003
    assert "shorter than told" in shift.warnings[0]
    meant = estimate(shift.of(model), series.measurements, "magnitude", EstimationOptions())
    for t1 in SPHERES:
        inside = t1 == TRUTH
        assert np.nanmedian(meant.ratio[inside]) < 2.02
        noise = np.nanmedian(meant.time_sd[inside]) / np.sqrt(np.count_nonzero(inside))
        assert abs(np.nanmedian(meant.time[inside]) - t1) < 0.005 * t1 + 3 * noise


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("delay", "kappa", "sd"), [(0.0, 2.0, 8.0), (0.0, 1.93, 8.0), (0.0, 2.0, 40.0), (-0.004, 1.98, 8.0)]
)
def test_nothing_is_shifted_where_no_pulse_is_exceeded(delay: float, kappa: float, sd: float, seed: int) -> None:
    series = series_of(magnitudes(delay, kappa, sd=sd, seed=seed), "magnitude")
    shift = choose_shift(model_of(), series, None, EstimationOptions())
    assert shift.added == 0
    assert not shift.warnings
    assert shift.of(model_of()) == model_of()


def test_tissue_whose_efficiency_is_above_two_by_chance_or_other_causes_is_not_shifted() -> None:
    # All of one T1, or an efficiency that is the same everywhere: no shift does that.
    images = magnitudes(0.0, 2.15)
    assert choose_shift(model_of(), series_of(images, "magnitude"), None, EstimationOptions()).added == 0


@pytest.mark.parametrize("given", [None, 0.0, -0.002])
@pytest.mark.parametrize(
    ("images", "kappa"),
    [
        (magnitudes(0.0, 2.3), 2.3),
        (magnitudes(0.0, 1.95) * np.array([1.15, 1.15, 1, 1, 0.9, 0.9], np.float32)[:, None, None, None], 2.27),
    ],
)
def test_an_efficiency_beyond_that_of_any_inversion_is_told(
    images: NDArray[np.float32], kappa: float, given: float | None
) -> None:
    (warning,) = choose_shift(model_of(), series_of(images, "magnitude"), given, EstimationOptions()).warnings
    told = re.search(r"kappa is (2\.\d\d) in \d+% of the voxels that tell it, and no inversion gives more", warning)
    assert told is not None
    assert float(told[1]) == pytest.approx(kappa, abs=0.05)
    assert "scaled differently" in warning


@pytest.mark.parametrize(("given", "times"), [(0.0, TIMES), (-0.01, (0.04, 0.09, 0.19, 0.39, 0.59, 0.79))])
def test_a_shift_that_is_given_is_taken_whatever_the_image_shows(given: float, times: tuple[float, ...]) -> None:
    series = series_of(magnitudes(0.005, 2.0), "magnitude")
    shift = choose_shift(model_of(), series, given, EstimationOptions())
    assert shift.of(model_of()).inversion_times == pytest.approx(times)
    assert not shift.warnings


def test_a_shift_that_leaves_no_time_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"--ir-time-shift -0\.05 s leaves 0 s"):
        choose_shift(model_of(), series_of(magnitudes(0.0, 2.0), "magnitude"), -0.05, EstimationOptions())


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = write_root(tmp_path_factory.mktemp("shifted") / "data")
    for image in write_run(dataset, times=TIMES, images=magnitudes(0.005, 2.0)):
        change_json(sidecar(image), RepetitionTime=1.0, ScanningSequence="SE", EchoTime=ECHO_TIME)
    return dataset


def told(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "sub-01/anat/sub-01_desc-IRT1_T1map.json").read_text())
    return found


def test_a_shift_is_told_on_terminal_page_and_sidecar(shifted: Path, tmp_path: Path) -> None:
    answer = command.participant(shifted, tmp_path / "out")
    assert answer.code == 0, answer.said
    record = told(tmp_path / "out")
    assert record["TimeShift"]["Added"] == pytest.approx(-0.005, abs=0.0015)  # type: ignore[index]
    assert record["InversionTimes"] == list(TIMES)
    assert "shorter than told" in answer.said
    page = (tmp_path / "out/sub-01.html").read_text(encoding="utf-8")
    assert "Inversion times were read as" in page
    assert "All inversion times were taken as" in page


def test_a_shift_is_turned_off_or_given_by_an_option(shifted: Path, tmp_path: Path) -> None:
    for given in ("0", "-0.003"):
        out = tmp_path / given
        answer = command.participant(shifted, out, "--ir-time-shift", given)
        assert answer.code == 0, answer.said
        assert told(out)["TimeShift"] == {"Added": float(given), "Reason": "given with --ir-time-shift"}
        assert "shorter than told" not in answer.said


def test_an_efficiency_beyond_any_inversion_is_told_on_terminal_page_and_sidecar(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    for image in write_run(dataset, times=TIMES, images=magnitudes(0.0, 2.3)):
        change_json(sidecar(image), RepetitionTime=1.0, ScanningSequence="SE", EchoTime=ECHO_TIME)
    answer = command.participant(dataset, tmp_path / "out")
    assert answer.code == 0, answer.said
    page = (tmp_path / "out/sub-01.html").read_text(encoding="utf-8")
    for place in (answer.said, page, str(told(tmp_path / "out")["Warnings"])):
        assert "and no inversion gives more than 2" in place
