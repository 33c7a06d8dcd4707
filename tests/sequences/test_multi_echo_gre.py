"""The decay of echoes, its derivative, and what is refused."""

from __future__ import annotations

import pytest
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho

TIMES = (0.004, 0.008, 0.012, 0.02)


@pytest.mark.parametrize("time", [0.002, 0.01, 0.05, 0.3, 1.0])
def test_the_slope_is_the_derivative_by_log_time(time: float) -> None:
    model = MultiEchoGradientEcho(echo_times=TIMES)
    step = 1e-6
    around = torch.tensor([time * (1 - step), time, time * (1 + step)], dtype=torch.float64)
    (columns,), (slopes,) = model.columns(around)
    difference = (columns[:, 2] - columns[:, 0]) / (2 * step)
    torch.testing.assert_close(slopes[:, 1], difference, rtol=1e-5, atol=1e-9)


def test_after_one_relaxation_time_a_third_is_left() -> None:
    (columns,), _ = MultiEchoGradientEcho(echo_times=(0.01, 0.02)).columns(torch.tensor([0.02], dtype=torch.float64))
    assert float(columns[1, 0]) == pytest.approx(0.36788, abs=1e-5)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((4.0, 8.0), "milliseconds"),
        ((0.004,), "1 different"),
        ((0.004, 0.004), "1 different"),
        ((0.0, 0.004), "above 0"),
    ],
)
def test_impossible_echo_times_are_refused(times: tuple[float, ...], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        MultiEchoGradientEcho(echo_times=times)


def test_echo_times_are_those_of_the_sidecars() -> None:
    sidecars = [Sidecar(f"sub-01_echo-{n}_MEGRE.json", {"EchoTime": time}) for n, time in enumerate(TIMES, 1)]
    assert MultiEchoGradientEcho.from_metadata(sidecars).echo_times == TIMES
