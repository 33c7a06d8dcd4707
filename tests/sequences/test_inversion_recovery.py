"""The signal equation equals the physics stepped pulse by pulse, and its derivative equals differences."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.sequences.inversion_readout import Readout
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.slice_timing import slice_delays
from bids_t1_phantom.physics.simulate import inversion_recovery

TIMES = (0.05, 0.2, 0.7, 1.5, 3.0)
T1 = torch.tensor([0.05, 0.3, 0.9, 1.5, 4.0], dtype=torch.float64)


def model(
    *, times: tuple[float, ...] = TIMES, tr: float | tuple[float, ...] = 6.0, ideal: bool = False
) -> InversionRecovery:
    repetition_times = tr if isinstance(tr, tuple) else (tr,) * len(times)
    return InversionRecovery(inversion_times=times, repetition_times=repetition_times, ideal=ideal)


def sidecars(times: tuple[float | None, ...] = TIMES, **fields: object) -> list[Sidecar]:
    return [
        Sidecar(f"sub-01_inv-{number}_IRT1.json", {"InversionTime": time, **fields})
        for number, time in enumerate(times, 1)
    ]


@pytest.mark.parametrize("kappa", [0.9, 1.5, 1.93, 2.0])
@pytest.mark.parametrize("tr", [3.1, 6.0, (1.0, 1.5, 2.5, 4.0, 8.0)])
def test_the_columns_are_the_pulses_stepped_to_their_steady_state(kappa: float, tr: float | tuple[float, ...]) -> None:
    first, second = model(tr=tr).columns(T1)[0].numpy()
    simulated = inversion_recovery(
        T1.numpy(),
        1000.0,
        inversion_times=TIMES,
        repetition_times=tr,
        inversion_efficiency=kappa,
        refocusing=False,
    )
    np.testing.assert_allclose(1000 * (first + kappa * second), simulated, atol=1e-6)


def test_the_ideal_column_is_a_perfect_inversion_of_a_rested_magnetisation() -> None:
    (column,) = model(ideal=True).columns(T1)[0].numpy()
    simulated = inversion_recovery(T1.numpy(), 1.0, inversion_times=TIMES, repetition_times=500.0)
    np.testing.assert_allclose(column, simulated, atol=1e-9)


@given(
    st.floats(0.02, 6.0),
    st.lists(st.floats(0.01, 10), min_size=3, max_size=8, unique=True),
    st.floats(0.01, 10),
    st.booleans(),
)
def test_the_derivative_equals_finite_differences(t1: float, times: list[float], rest: float, ideal: bool) -> None:
    tested = model(times=tuple(times), tr=tuple(time + rest for time in times), ideal=ideal)
    step = 1e-5
    logs = math.log(t1) + torch.tensor([-step, 0.0, step], dtype=torch.float64)
    columns, derivatives = tested.columns(torch.exp(logs))
    differences = (columns[..., 2] - columns[..., 0]) / (2 * step)
    np.testing.assert_allclose(derivatives[..., 1], differences, atol=1e-7)


@pytest.mark.parametrize("ideal", [True, False])
def test_columns_follow_the_axes_of_the_times_and_their_precision(ideal: bool) -> None:
    columns, derivatives = model(ideal=ideal).columns(torch.ones(2, 3, 4))
    assert columns.shape == derivatives.shape == (1 if ideal else 2, len(TIMES), 2, 3, 4)
    assert columns.dtype == torch.float32


def test_without_repetition_the_signal_is_the_textbook_one() -> None:
    first, second = model(tr=math.inf).columns(T1)[0]
    torch.testing.assert_close(first, torch.ones_like(first))
    expected = 1 - 2 * torch.exp(-torch.tensor(TIMES, dtype=torch.float64)[:, None] / T1)
    torch.testing.assert_close(first + 2 * second, expected)
    assert torch.isfinite(model(tr=math.inf).columns(T1)[1]).all()


def test_right_after_the_inversion_the_signal_is_what_was_inverted() -> None:
    tr, kappa = 6.0, 1.9
    first, second = model(times=(1e-9, 1.0, 2.0), tr=tr).columns(T1)[0][:, 0]
    torch.testing.assert_close(first + kappa * second, (1 - kappa) * (1 - torch.exp(-tr / T1)))


def test_long_after_the_inversion_the_signal_is_the_equilibrium() -> None:
    first, second = model(times=(0.1, 1.0, 29.0), tr=29.9).columns(T1[:3])[0][:, -1]
    torch.testing.assert_close(first + 1.9 * second, torch.ones(3, dtype=torch.float64))


def test_a_saturation_forgets_the_repetition() -> None:
    """With kappa = 1 nothing is left of the magnetisation, so TR cannot matter."""
    short, long = (model(tr=tr).columns(T1)[0].sum(0) for tr in (3.1, 12.0))
    torch.testing.assert_close(short, long)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"RepetitionTime": 5.0}, 5.0),
        ({"RepetitionTime": 5.0, "RepetitionTimeInversion": 7.0}, 7.0),
        ({"RepetitionTime": 5.0, "RepetitionTimeInversion": 7.0, "RepetitionTimePreparation": 8.0}, 8.0),
        ({"RepetitionTimeExcitation": 0.01}, math.inf),
        ({"RepetitionTimeExcitation": 2.9}, math.inf),
        ({"RepetitionTimeExcitation": 6.0}, 6.0),
        ({"RepetitionTimeExcitation": [6.0]}, 6.0),
        ({"RepetitionTimeExcitation": 0.01, "RepetitionTime": 5.0}, 5.0),
    ],
)
def test_the_repetition_time_is_the_delay_between_inversions(fields: dict[str, object], expected: float) -> None:
    found, notes = InversionRecovery.from_metadata(sidecars(TIMES, **fields))
    assert found.repetition_times == (expected,) * len(TIMES)
    assert found.inversion_times == TIMES
    assert bool(notes) == math.isinf(expected)


@pytest.mark.parametrize(
    ("field", "name"), [("SequenceName", "_tfi2d1_70"), ("SeriesDescription", "Look Locker"), ("ProtocolName", "MOLLI")]
)
def test_images_called_look_locker_are_told_to_measure_another_time(field: str, name: str) -> None:
    told = [Sidecar(one.name, {**one.fields, field: name}) for one in sidecars(RepetitionTime=6.0)]
    _, (doubt,) = InversionRecovery.from_metadata(told)
    assert f"sub-01_inv-1_IRT1.json: {field} is a name of Look-Locker sequences" in doubt
    assert name not in doubt


def test_an_unknown_repetition_time_is_said_to_be_taken_as_infinite() -> None:
    names = ", ".join(sidecar.name for sidecar in sidecars())
    _, (note,) = InversionRecovery.from_metadata(sidecars())
    assert note == f"{names}: RepetitionTime is missing; taken as infinite."
    assert InversionRecovery.from_metadata(sidecars(), ideal=True)[1] == ()


@pytest.mark.parametrize("others", [{"RepetitionTime": 5.0}, {"RepetitionTimeExcitation": 5.0}])
def test_no_repetition_time_is_infinite_beside_known_ones(others: dict[str, object]) -> None:
    images = [*sidecars(TIMES[:4], **others), Sidecar("sub-01_inv-5_IRT1.json", {"InversionTime": 3.0})]
    with pytest.raises(
        InvalidInputError, match=r"^sub-01_inv-5_IRT1\.json: RepetitionTime is missing, and other images"
    ):
        InversionRecovery.from_metadata(images)
    assert InversionRecovery.from_metadata(images, ideal=True)[1] == ()


def test_two_possible_repetition_times_of_an_image_are_told_where_they_change_t1() -> None:
    repetition = (2.0, 3.0, 4.0, 5.0, 6.0)
    images = [
        Sidecar(f"{number}.json", {"InversionTime": ti, "RepetitionTimePreparation": 6.0, "RepetitionTime": tr})
        for number, (ti, tr) in enumerate(zip(TIMES, repetition, strict=True))
    ]
    model, (doubt, *_) = InversionRecovery.from_metadata(images)
    assert model.repetition_times == (6.0,) * 5
    assert doubt.startswith("0.json: RepetitionTime of the sidecar is 2 s, and 6 s is used")
    assert InversionRecovery.from_metadata(sidecars(TIMES, RepetitionTimePreparation=6.0, RepetitionTime=7.0))[1] == ()


@pytest.mark.parametrize(
    ("own", "expected"),
    [({}, 6.0), ({"RepetitionTime": 0.007}, 6.0), ({"RepetitionTime": 7.0}, 7.0)],
)
def test_the_protocol_file_tells_a_repetition_time_that_sidecars_do_not(
    own: dict[str, object], expected: float
) -> None:
    behind = Sidecar("protocol.toml", {"RepetitionTimePreparation": 6.0}, "protocol file protocol.toml")
    images = [replace(sidecar, behind=behind) for sidecar in sidecars(TIMES, **own)]
    assert InversionRecovery.from_metadata(images)[0].repetition_times == (expected,) * 5


def test_fields_for_one_repetition_time_may_differ_from_image_to_image() -> None:
    images = [*sidecars(TIMES[:4], RepetitionTimeExcitation=4.0), *sidecars(TIMES[4:], RepetitionTime=5.0)]
    found, notes = InversionRecovery.from_metadata(images)
    assert found.repetition_times == (4.0, 4.0, 4.0, 4.0, 5.0)
    assert all("RepetitionTime is missing" not in note for note in notes)


def test_missing_inversion_times_are_named() -> None:
    with pytest.raises(
        InvalidInputError, match=r"^sub-01_inv-2_IRT1\.json: InversionTime is missing; expected seconds"
    ):
        InversionRecovery.from_metadata(sidecars((0.1, None, 0.5)))


@pytest.mark.parametrize(
    ("times", "ideal", "message"),
    [
        ((0.1, 0.5), False, r"2 different inversion times \(0\.1, 0\.5 s\); expected at least 3, one per unknown"),
        ((0.1, 0.5, 0.5), False, "2 different inversion times"),
        ((0.1,), True, "1 different inversion times .* expected at least 2"),
        ((0.1, 0.5, 5.0), False, "RepetitionTime 5 s is not longer than InversionTime 5 s; expected the delay between"),
    ],
)
def test_impossible_timing_is_refused(times: tuple[float, ...], ideal: bool, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        InversionRecovery.from_metadata(sidecars(times, RepetitionTime=5.0), ideal=ideal)


@pytest.mark.parametrize("time", [0.0, -1.0, math.nan, math.inf])
def test_times_that_are_none_are_refused_also_without_sidecars(time: float) -> None:
    with pytest.raises(InvalidInputError, match="expected positive seconds"):
        model(times=(0.1, 0.5, time))


def test_each_inversion_time_needs_its_repetition_time() -> None:
    with pytest.raises(InvalidInputError, match="3 inversion times and 2 repetition times; expected one TR per TI"):
        model(times=(0.1, 0.5, 1.0), tr=(6.0, 6.0))


def stepped(kappa: float, tr: tuple[float, ...], readout: Readout, flip_angle: float = 90.0) -> np.ndarray:
    """Step inversion, excitation and refocusing pulses until nothing changes."""
    return stepped_at(T1.numpy(), tr, readout, kappa, flip_angle)


def stepped_at(
    t1: np.ndarray | float, tr: tuple[float, ...], readout: Readout, kappa: float = 1.93, flip_angle: float = 90.0
) -> np.ndarray:
    """Return the same at any T1."""
    leaves = math.cos(math.radians(flip_angle))

    def wait(m: np.ndarray, time: float) -> np.ndarray:
        return np.asarray(1 - (1 - m) * np.exp(-time / t1))

    signals = []
    for ti, repetition in zip(TIMES, tr, strict=True):
        m = np.ones_like(np.asarray(t1))
        for _ in range(60):
            read = m = wait((1 - kappa) * m, ti)
            m = leaves * m
            for pulse in range(readout.n_pulses):
                m = -wait(m, readout.spacing / 2 if pulse == 0 else readout.spacing)
            m = wait(m, repetition - ti - readout.duration)
        signals.append(read)
    return np.array(signals)


@pytest.mark.parametrize("n_pulses", [1, 2, 15])
@pytest.mark.parametrize("tr", [(6.0,) * 5, (1.0, 1.5, 2.5, 4.0, 8.0)])
def test_refocusing_pulses_turn_what_has_recovered(n_pulses: int, tr: tuple[float, ...]) -> None:
    readout = Readout(n_pulses=n_pulses, spacing=0.01, is_known=True)
    first, second = replace(model(tr=tr), readout=readout).columns(T1)[0].numpy()
    np.testing.assert_allclose(first + 1.9 * second, stepped(1.9, tr, readout), atol=1e-9)


@pytest.mark.parametrize("flip_angle", [30.0, 70.0])
def test_a_small_excitation_leaves_something_to_invert(flip_angle: float) -> None:
    tr, readout = (1.0, 1.5, 2.5, 4.0, 8.0), Readout(flip_angle=flip_angle, is_known=True)
    first, second = replace(model(tr=tr), readout=readout).columns(T1)[0].numpy()
    np.testing.assert_allclose(first + 1.95 * second, stepped(1.95, tr, readout, flip_angle), atol=1e-9)


@pytest.mark.parametrize(("kappa", "flip_angle", "shift"), [(1.6, 90.0, 0.0), (1.93, 50.0, 0.0), (1.8, 70.0, 0.02)])
def test_at_one_repetition_time_nothing_but_relaxation_tells_t1(kappa: float, flip_angle: float, shift: float) -> None:
    times, truth = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8), np.array([0.3, 0.7, 1.0, 1.5, 2.0])
    signals = inversion_recovery(
        truth,
        1000.0,
        inversion_times=[time + shift for time in times],
        repetition_times=1.0,
        inversion_efficiency=kappa,
        echo_time=0.01,
        excitation_angle=flip_angle,
    )
    found = estimate(model(times=times, tr=1.0), np.repeat(signals, 4, axis=1), "real", EstimationOptions())
    np.testing.assert_allclose(found.time, np.repeat(truth, 4), rtol=1e-3)


@pytest.mark.parametrize(
    "readout",
    [
        Readout(n_pulses=1, spacing=0.02),
        Readout(n_pulses=8, spacing=0.01),
        Readout(flip_angle=40.0),
    ],
)
def test_the_derivative_knows_the_readout(readout: Readout) -> None:
    tested = replace(model(tr=(1.0, 1.5, 2.5, 4.0, 8.0)), readout=readout)
    step = 1e-5
    columns = [tested.columns(T1 * math.exp(move))[0] for move in (-step, step)]
    differences = (columns[1] - columns[0]) / (2 * step)
    np.testing.assert_allclose(tested.columns(T1)[1], differences, atol=1e-7)


@pytest.mark.parametrize(
    ("readout", "fields"),
    [
        (Readout(n_pulses=1, spacing=0.012), {"ScanningSequence": ["SE", "IR"], "EchoTime": 0.012}),
        (
            Readout(n_pulses=16, spacing=0.0094),
            {"ScanningSequence": "SE\\IR", "EchoTrainLength": 16, "EchoSpacing": 0.0094},
        ),
    ],
)
@pytest.mark.parametrize("t1", [1.0, 1.5, 2.5])
def test_t1_is_unbiased_where_tr_changes_and_the_readout_takes_time(
    readout: Readout, fields: dict[str, object], t1: float
) -> None:
    tr = tuple(1 + 1.5 * ti for ti in TIMES)
    images = [
        Sidecar(f"sub-01_inv-{number}_IRT1.json", {"InversionTime": ti, "RepetitionTime": repetition, **fields})
        for number, (ti, repetition) in enumerate(zip(TIMES, tr, strict=True), 1)
    ]
    found, notes = InversionRecovery.from_metadata(images)
    assert not notes
    assert found.readout == replace(readout, is_known=True)
    signal = stepped_at(t1, tr, readout)[:, None].astype(np.float32)
    estimated = estimate(found, np.repeat(signal, 4, axis=1), "real", EstimationOptions())
    np.testing.assert_allclose(estimated.time, t1, rtol=0.005)
    np.testing.assert_allclose(estimated.ratio, 1.93, rtol=0.005)


def test_a_readout_that_is_not_told_is_warned_about_where_tr_changes_and_only_there() -> None:
    changing = [
        Sidecar(f"sub-01_inv-{n}_IRT1.json", {"InversionTime": ti, "RepetitionTime": 1 + 1.5 * ti})
        for n, ti in enumerate(TIMES, 1)
    ]
    assert "do not tell the readout" in InversionRecovery.from_metadata(changing)[1][0]
    assert InversionRecovery.from_metadata(sidecars(TIMES, RepetitionTime=6.0))[1] == ()
    train = {"ScanningSequence": "SE", "EchoTrainLength": 8}
    without_spacing = [Sidecar(image.name, {**image.fields, **train}) for image in changing]
    assert "EchoSpacing" in InversionRecovery.from_metadata(without_spacing)[1][0]
    gradient = [Sidecar(image.name, {**image.fields, "ScanningSequence": "GR", "FlipAngle": 60}) for image in changing]
    found, notes = InversionRecovery.from_metadata(gradient)
    assert (found.readout.flip_angle, notes) == (60, ())


def test_slices_at_different_times_are_warned_about_unless_each_has_its_inversion() -> None:
    def images(**fields: object) -> list[Sidecar]:
        return sidecars(TIMES, RepetitionTime=6.0, **fields)

    _, (note,) = InversionRecovery.from_metadata(images(SliceTiming=[0.0, 0.12, 0.24]))
    assert "SliceTiming differs by up to 0.24 s" in note
    silent: tuple[dict[str, object], ...] = (
        {"SliceTiming": [0.0, 0.12, 0.24], "Inversion": "selective"},
        {"SliceTiming": [0.0, 0.12, 0.24], "Inversion": "non-selective"},
        {"SliceTiming": [0.3, 0.3, 0.3]},
        {"SliceTiming": []},
        {"SliceTiming": ["a", None]},
        {},
    )
    for fields in silent:
        assert InversionRecovery.from_metadata(images(**fields))[1] == ()
    with pytest.raises(InvalidInputError, match="an ideal inversion leaves no room"):
        InversionRecovery.from_metadata(images(SliceTiming=[0.0, 0.12]), ideal=True)


@pytest.mark.parametrize("spelt", ["non-selective", "Non-Selective", "nonselective", "non selective"])
def test_an_inversion_of_all_slices_may_be_spelt_otherwise(spelt: str) -> None:
    delays = slice_delays(sidecars(TIMES, SliceTiming=[0.0, 0.12, 0.24], Inversion=spelt), (4, 4, 3))
    assert delays is not None
    np.testing.assert_allclose(delays[1][0], [0.0, 0.12, 0.24])


def test_a_slice_timing_too_long_for_a_float_is_refused_in_words() -> None:
    images = sidecars(TIMES, RepetitionTime=6.0, SliceTiming=[0.0, 0.12, 10**350])
    declared = [Sidecar(image.name, {**image.fields, "Inversion": "non-selective"}) for image in images]
    with pytest.raises(InvalidInputError, match=r"SliceTiming is 1000+\.\.\.; expected one number"):
        slice_delays(declared, (4, 4, 3))
    _, (note,) = InversionRecovery.from_metadata(images)
    assert "SliceTiming differs by up to 0.12 s" in note
