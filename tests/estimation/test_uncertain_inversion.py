"""Intervals hold the truth where the inversion efficiency, or a map of the transmit field, is known with an SD only."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from benchmarks.adiabatic_pulses import hyperbolic_secant, invert
from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation.posterior.posterior import PosteriorOptions, ReadoutImages, TransmitPrior, estimate_posterior
from bids_t1.estimation.posterior.uni import log_density_of_uni
from bids_t1.sequences.adiabatic import HYPERBOLIC_SECANT, relative_curve
from tests.estimation.readout_scenes import FIXED, shortest
from tests.sequences.test_mp2rage import seven_tesla, three_tesla

if TYPE_CHECKING:
    from collections.abc import Callable

    from bids_t1.data.estimate import PosteriorEstimate
    from bids_t1.sequences.mp2rage import Mp2rage

TISSUES = (0.85, 1.45, 2.0)
NOMINAL = torch.tensor(1.0, dtype=torch.float64)


def measure(
    model: Mp2rage, shifts: np.ndarray, time: np.ndarray | float, noise_sd: float, fields: np.ndarray | float = 1.0
) -> np.ndarray:
    """Return complex readouts (readout, voxel), the efficiency of each voxel shifted."""
    played = replace(model, efficiency_sd=0.0, efficiency_shift=torch.from_numpy(shifts))  # type: ignore[arg-type]
    times, transmit = (torch.as_tensor(each, dtype=torch.float64).expand(len(shifts)) for each in (time, fields))
    signals = played.signals(times, transmit).numpy()
    noise = np.random.default_rng(len(shifts)).standard_normal((2, *signals.shape)) * noise_sd
    readouts: np.ndarray = (signals + noise[0] + 1j * noise[1]).astype(np.complex64)
    return readouts


def images_of(readouts: np.ndarray, form: str, field: np.ndarray | None) -> ReadoutImages:
    """Return what one form of input holds of complex readouts."""
    uni = ((readouts[0].conj() * readouts[1]).real / np.square(np.abs(readouts[:2])).sum(0)).astype(np.float32)
    magnitudes = np.abs(readouts)
    return {
        "complex": ReadoutImages(form="complex", readouts=readouts, transmit=field),
        "UNIT1 and magnitudes": ReadoutImages(
            form="UNIT1 and magnitudes", readouts=magnitudes, uni=uni, transmit=field
        ),
        "UNIT1 and last magnitude": ReadoutImages(
            form="UNIT1 and last magnitude", readouts=magnitudes[1:2], uni=uni, transmit=field
        ),
        "UNIT1": ReadoutImages(form="UNIT1", uni=uni, transmit=field),
        "magnitudes": ReadoutImages(form="magnitudes", readouts=magnitudes, transmit=field),
    }[form]


def covered(estimate: PosteriorEstimate, time: float) -> float:
    return float(((estimate.lower <= time) & (time <= estimate.upper)).mean())


CASES = {
    "two readouts": (three_tesla(), "complex"),
    "three readouts": (replace(seven_tesla(3), efficiency=0.96), "complex"),
    "UNI and magnitudes": (three_tesla(), "UNIT1 and magnitudes"),
    "UNI and last magnitude": (three_tesla(), "UNIT1 and last magnitude"),
    "UNI alone": (three_tesla(), "UNIT1"),
    "magnitudes": (three_tesla(), "magnitudes"),
}
NOISE = 0.0005


@pytest.fixture(autouse=True)
def voxels_in_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bids_t1.estimation.posterior.posterior.looks_like_noise", lambda uni: np.zeros(uni.shape, bool)
    )


PRIOR = TransmitPrior(sd=0.15, range=(0.7, 1.3))
"""Narrower than the default."""


def drawn(prior: TransmitPrior, rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw transmit fields from their prior, which is cut off."""
    fields = prior.mean + prior.sd * rng.standard_normal(4 * n)
    return fields[(fields > prior.range[0]) & (fields < prior.range[1])][:n]


def of_head(_: TransmitPrior, rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw transmit fields as they are in a head of the phantom, from its edge to its middle."""
    return rng.uniform(0.8, 1.2, n)


def nominal(_: TransmitPrior, __: np.random.Generator, n: int) -> np.ndarray:
    return np.ones(n)


@dataclass(frozen=True)
class Transmit:
    """What transmit fields are, and what is known of them."""

    draw: Callable[[TransmitPrior, np.random.Generator, int], np.ndarray]
    prior: TransmitPrior = PRIOR
    has_map: bool = False


TRANSMIT = {
    "map": Transmit(nominal, has_map=True),
    "no map": Transmit(of_head, TransmitPrior()),
    "no map, narrow prior": Transmit(drawn),
}


def coverage(  # noqa: PLR0913, PLR0917 - one argument per quantity of the scene
    case: str, spread: float, offset: float, told: float, transmit: str, n_voxels: int
) -> list[float]:
    """Return the share of intervals that hold the truth, by tissue."""
    (model, form), known = CASES[case], TRANSMIT[transmit]
    rng = np.random.default_rng(7)
    times = np.repeat(TISSUES, n_voxels)
    shifts = offset + spread * rng.standard_normal(len(times))
    fields = known.draw(known.prior, rng, len(times))
    images = images_of(
        measure(model, shifts, times, NOISE, fields), form, fields.astype(np.float32) if known.has_map else None
    )
    options = PosteriorOptions(noise_sd=NOISE, transmit_prior=known.prior)
    estimate = estimate_posterior(replace(model, efficiency_sd=told), images, options)
    held = (estimate.lower <= times) & (times <= estimate.upper)
    return [float(share) for share in held.reshape(len(TISSUES), n_voxels).mean(1)]


@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_an_efficiency_of_the_spread_that_is_told(case: str) -> None:
    shares = coverage(case, 0.02, 0.0, 0.02, "map", 1500)
    assert 0.935 < np.mean(shares) < (0.98 if case == "magnitudes" else 0.965)
    assert min(shares) > 0.93


@pytest.mark.parametrize("offset", [-0.03, 0.03])
@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_an_efficiency_that_is_off_by_three_hundredths(case: str, offset: float) -> None:
    assert min(coverage(case, 0.0, offset, 0.025, "map", 500)) > 0.93


@pytest.mark.parametrize("case", ["two readouts", "three readouts"])
def test_intervals_cover_it_without_a_map_of_the_transmit_field(case: str) -> None:
    assert min(coverage(case, 0.02, -0.03, 0.025, "no map, narrow prior", 500)) > 0.92


def test_an_efficiency_taken_as_known_is_what_the_interval_was_too_sure_of() -> None:
    assert max(coverage("two readouts", 0.02, -0.03, 0.0, "map", 1000)) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("transmit", ["map", "no map"])
@pytest.mark.parametrize(("spread", "offset"), [(0.02, 0.0), (0.0, -0.03), (0.0, 0.03)])
@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_in_every_form_by_default(case: str, spread: float, offset: float, transmit: str) -> None:
    shares = coverage(case, spread, offset, 0.025, transmit, 20_000)
    print(case, spread, offset, transmit, [f"{share:.3f}" for share in shares])  # noqa: T201 - for the table of the docs
    assert min(shares) > 0.93


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != "magnitudes"])
def test_where_the_transmit_field_is_as_uncertain_as_told_both_sides_of_the_efficiency_make_up_for_each_other(
    case: str,
) -> None:
    """One efficiency for all voxels is one draw of its prior: intervals hold for the draws, not for each of them."""
    shares = {offset: coverage(case, 0.0, offset, 0.025, "no map, narrow prior", 20_000) for offset in (-0.03, 0.03)}
    print(case, {offset: [f"{share:.3f}" for share in each] for offset, each in shares.items()})  # noqa: T201 - likewise
    assert np.mean(list(shares.values()), axis=0).min() > 0.93


def reference(model: Mp2rage, data: np.ndarray, noise_sd: float, transmit_sd: float) -> list[float]:
    """Compute one posterior as a sum over efficiencies and transmit fields, in double precision."""
    times = torch.linspace(0.1, 6.0, 3001, dtype=torch.float64)
    scores = np.linspace(-4, 4, 41)
    densities = []
    for field in scores if transmit_sd else [0.0]:
        for score in scores:
            signals = model.at_score(score).signals(times, NOMINAL + transmit_sd * field)
            directions = (signals / signals.norm(dim=0)).to(torch.complex128)
            explained = (directions * torch.from_numpy(data.astype(np.complex128))[:, None]).sum(0).abs().square()
            densities.append(explained / (2 * noise_sd**2) - (score**2 + field**2) / 2)
    norms = model.signals(times, NOMINAL).norm(dim=0)
    log_density = torch.logsumexp(torch.stack(densities), 0) - 2 * torch.log(norms)
    density = torch.softmax(log_density, 0)
    mean = float((density * times).sum())
    sd = math.sqrt(float((density * (times - mean).square()).sum()))
    return [float(times[log_density.argmax()]), mean, sd, *shortest(times.numpy(), log_density.numpy())]


@pytest.mark.parametrize("transmit_sd", [0.0, pytest.param(0.05, marks=pytest.mark.slow)])
@pytest.mark.parametrize("noise_sd", [0.0002, 0.002])
@pytest.mark.parametrize("n_readouts", [2, 3])
def test_the_first_order_is_the_whole_integral(n_readouts: int, noise_sd: float, transmit_sd: float) -> None:
    model = replace(seven_tesla(n_readouts), efficiency=0.94, efficiency_sd=0.025)
    rng = np.random.default_rng(3)
    found, expected = [], []
    for time in (0.5, 0.9, 1.5, 2.2, 3.0):
        data = measure(model, 0.025 * rng.standard_normal(1), time, noise_sd)
        images = ReadoutImages(form="complex", readouts=data, transmit=np.ones(1, np.float32))
        options = PosteriorOptions(noise_sd=noise_sd, time_range=(0.1, 6.0), transmit_sd=transmit_sd)
        one = estimate_posterior(model, images, options)
        found.append([float(one_map[0]) for one_map in (one.time, one.mean, one.time_sd, one.lower, one.upper)])
        expected.append(reference(model, data[:, 0], noise_sd, transmit_sd))
    apart = np.abs(np.array(found) - expected) / np.array(expected)[:, 2:3]
    assert np.median(apart, axis=0).max() < 0.05


def test_uni_alone_is_the_whole_integral_also_where_one_s_has_two_t1() -> None:
    """S of this protocol turns at -1/2, near the T1 of fluid: there noise and efficiency are not alike."""
    model, noise_sd, n = three_tesla(efficiency_sd=0.025), 0.0004, 12
    readouts = measure(model, np.full(n, 0.03), np.linspace(3.6, 4.4, n), noise_sd)
    images = images_of(readouts, "UNIT1", np.ones(n, np.float32))
    assert images.uni is not None
    one = estimate_posterior(model, images, PosteriorOptions(noise_sd=noise_sd, time_range=(0.1, 6.0)))
    uni = torch.from_numpy(images.uni).double()[:, None]
    times, scores = torch.linspace(0.1, 6.0, 1501, dtype=torch.float64), torch.linspace(-4, 4, 121)
    log_density = torch.stack([
        log_density_of_uni(uni, *model.at_score(float(score)).signals(times, NOMINAL)[:, None] / noise_sd)
        - score**2 / 2
        for score in scores
    ]).logsumexp(0)  # fmt: skip
    density = torch.softmax(log_density, 1)
    mean = density @ times
    sd = (density @ times.square() - mean.square()).sqrt().numpy()
    assert np.abs((one.mean - mean.numpy()) / sd).max() < 0.05
    assert np.abs(one.time_sd / sd - 1).max() < 0.05


@pytest.mark.parametrize("time", [0.5, 0.9])
def test_bright_voxels_without_a_map_are_not_called_noise(time: float) -> None:
    model = three_tesla(efficiency_sd=0.025)
    for field in (0.75, 1.2):
        clean = measure(model, np.zeros(1), time, 0.0, field)
        noise_sd = float(np.linalg.norm(clean)) / 300
        readouts = measure(model, np.zeros(300), time, noise_sd, field)
        estimate = estimate_posterior(
            model, ReadoutImages(form="complex", readouts=readouts), PosteriorOptions(noise_sd=noise_sd)
        )
        assert (estimate.status == VoxelStatus.FITTED).all()


def test_a_map_of_the_transmit_field_with_an_sd_widens_and_covers() -> None:
    rng = np.random.default_rng(1)
    model, fields = three_tesla(), 1 + 0.05 * rng.standard_normal(3000)
    readouts = measure(model, np.zeros(3000), 1.45, 0.0005, fields)
    images = ReadoutImages(form="complex", readouts=readouts, transmit=np.ones(3000, np.float32))
    taken, widened = (
        covered(estimate_posterior(model, images, PosteriorOptions(noise_sd=0.0005, transmit_sd=sd)), 1.45)
        for sd in (0.0, 0.05)
    )
    assert taken < 0.93
    assert 0.935 < widened < 0.965


def test_the_efficiency_of_a_weak_transmit_field_leaves_no_bias() -> None:
    peak, plateau = 14.0, 0.95
    pulse = hyperbolic_secant(0.01024, 4.9, 672.0)
    model = replace(
        seven_tesla(2),
        efficiency=plateau,
        efficiency_curve=relative_curve(HYPERBOLIC_SECANT, peak),
        efficiency_sd=0.025,
    )
    at_nominal = invert(*pulse, peak)
    for field in (0.42, 0.5, 0.63, 0.8, 1.2):
        efficiency = plateau * invert(*pulse, peak * field) / at_nominal
        plain = replace(model, efficiency_curve=())
        for time in TISSUES:
            readouts = measure(plain, np.array([efficiency - plateau]), time, 0.0, field)
            images = ReadoutImages(form="complex", readouts=readouts, transmit=np.array([field], np.float32))
            options = PosteriorOptions(noise_sd=0.0002, transmit_prior=FIXED, lowest_transmit=model.lowest_transmit)
            estimate = estimate_posterior(model, images, options)
            assert float(estimate.time[0]) == pytest.approx(time, rel=0.01)
            doubtful = estimate.status[0] == VoxelStatus.INVERSION_DOUBTFUL
            assert doubtful == (field < 0.55)
