"""Images that hold nothing, too much, or too little end in maps that say why, or in an expected failure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bids_t1.data.errors import BidsT1Error
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.forms import InputForm
from bids_t1.estimation.curves.demodulation import demodulate
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, TransmitPrior, estimate_posterior
from bids_t1.runs.common import near_one
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.mp2rage import Mp2rage
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from bids_t1_phantom.physics.trains import MP2RAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.estimate import Estimate, PosteriorEstimate
    from bids_t1.data.signal_model import SignalModel

SHAPE = (6, 5, 4)
IR: SignalModel = InversionRecovery(inversion_times=(0.1, 0.8, 2.5, 4.0), repetition_times=(8.0,) * 4)
IR_OF_THREE = InversionRecovery(inversion_times=(0.1, 0.8, 2.5), repetition_times=(8.0,) * 3)
TWO_ECHOES = MultiEchoGradientEcho(echo_times=(0.005, 0.015))
THREE_ECHOES = MultiEchoGradientEcho(echo_times=(0.005, 0.015, 0.025))
READOUTS = Mp2rage(
    cycle_time=MP2RAGE.cycle_time,
    inversion_times=MP2RAGE.inversion_times,
    excitation_times=(MP2RAGE.excitation_times[0],) * 2,
    flip_angles=tuple(math.radians(angle) for angle in MP2RAGE.flip_angles),
    excitations=((MP2RAGE.n_before, MP2RAGE.n_after),) * 2,
    efficiency=0.96,
)

AWKWARD = st.sampled_from(
    [0.0, 1.0, -1.0, 3.0, 100.0, 4095.0, 65535.0, 1e-37, 1e-20, 1e20, 3e38, math.nan, math.inf, -math.inf]
)


@st.composite
def stacks(draw: st.DrawFn, n_images: int) -> NDArray[np.float32]:
    """Images of few values, or of noise with islands of awkward values, some of them copies or zero."""
    shape = (n_images, *SHAPE)
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    kind = draw(st.sampled_from(["awkward", "noise", "integers", "constant"]))
    if kind == "awkward":
        stack = draw(arrays.arrays(np.float32, shape, elements=AWKWARD, fill=AWKWARD))
    elif kind == "constant":
        stack = np.full(shape, draw(AWKWARD), np.float32)
    else:
        stack = rng.standard_normal(shape).astype(np.float32) * 100
        stack = np.rint(stack) if kind == "integers" else stack
        stack[:, : draw(st.integers(0, 6))] = draw(AWKWARD)
    if draw(st.booleans()):
        stack[draw(st.integers(0, n_images - 1))] = stack[0]
    if draw(st.booleans()):
        stack[draw(st.integers(0, n_images - 1))] = draw(AWKWARD)
    return stack


def fitted(model: SignalModel, stack: NDArray[Any], kind: Any, **options: Any) -> Estimate:
    times = (0.001, 1.0) if isinstance(model, MultiEchoGradientEcho) else (0.02, 6.0)
    with near_one(stack) as unit:
        return estimate(model, stack, kind, EstimationOptions(time_range=times, **options)).in_images(unit)


def consistent(found: Estimate | PosteriorEstimate) -> None:
    """Whether voxels have a finite value exactly where their status says so."""
    has_estimate = np.isin(found.status, [status for status in VoxelStatus if status.has_estimate])
    np.testing.assert_array_equal(np.isfinite(found.time), has_estimate)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numbers beyond single precision are told by statuses
@settings(max_examples=15)
@given(st.data())
def test_degenerate_images_end_in_statuses_or_an_expected_failure(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from([IR, IR_OF_THREE, TWO_ECHOES, THREE_ECHOES]))
    stack = data.draw(stacks(model.n_measurements))
    kind = data.draw(st.sampled_from(["magnitude", "real", "complex"]))
    options = {
        "noise": data.draw(st.sampled_from(["floor", "gaussian", "rician"])),
        "learn_ratio": data.draw(st.booleans()),
    }
    try:
        if kind == "complex" and isinstance(model, MultiEchoGradientEcho):
            demodulate(stack.astype(np.complex64), model.echo_times)
        consistent(fitted(model, stack.astype(np.complex64) if kind == "complex" else stack, kind, **options))
    except BidsT1Error as error:
        assert str(error).strip()  # noqa: PT017 - either outcome is right


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=12)
@given(st.data())
def test_degenerate_readouts_end_in_statuses_or_an_expected_failure(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(get_args(InputForm)))
    n_readouts = {"UNIT1": 0, "UNIT1 and last magnitude": 1}.get(form, 2)
    readouts = data.draw(stacks(n_readouts)) if n_readouts else None
    if form == "complex" and readouts is not None:
        readouts = (readouts * np.exp(1j * data.draw(st.sampled_from([0.0, 0.7])))).astype(np.complex64)
    uni = np.clip(data.draw(stacks(1))[0] / 4095, -0.5, 0.5) if form.startswith("UNIT1") else None
    options = PosteriorOptions(transmit_prior=TransmitPrior(mean=1.0, sd=0.0))
    try:
        with near_one(readouts) as unit:
            consistent(
                estimate_posterior(READOUTS, ReadoutImages(form=form, readouts=readouts, uni=uni), options).in_images(
                    unit
                )
            )
    except BidsT1Error as error:
        assert str(error).strip()  # noqa: PT017
