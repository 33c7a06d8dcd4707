"""What MP2RAGE sees of tissue: free water that exchanges magnetisation with protons of macromolecules.

An inversion turns free water and leaves most of the bound protons; exchange brings both together within 50 ms, which
looks like a poorer inversion and reads a T1 that is 8 to 20 % short in white matter. The sequence is played on two
pools here, for tissues as the literature has them, to learn by how much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.sequences.mp2rage import Mp2rage

    Values = NDArray[np.float64]

WITHOUT_MACROMOLECULES = 0.1
"""Share of the tissues drawn that are fluid: nothing bound, and a T1 of its own."""

FLUID_T1 = (2.2, 5.0)
"""[s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TissuePrior:
    """What is believed of brain tissue at one field strength, before any image is looked at.

    R1 of the slow component is `rate` + `rate_by_fraction` f, times a log-normal scatter, with f the bound fraction.
    At 3 T that is a T1 of 1.5 s at f = 0.05 (grey matter) and 0.88 s at 0.14 (white matter); 1.9 and 1.24 s at 7 T.
    Ranges: Dortch et al. 2011, doi 10.1002/mrm.22928; Rioux et al. 2016, doi 10.1002/mrm.25729; Reynolds et al. 2023,
    doi 10.1002/nbm.4936.
    """

    field: float
    """Field strength the numbers are of [T]."""

    rate: float
    rate_by_fraction: float
    """[1/s]."""

    rate_scatter: float = 0.10
    """SD of log R1 around that line."""

    fraction: tuple[float, float] = (0.0, 0.17)
    """Bound protons over all protons."""

    exchange: tuple[float, float] = (10.0, 30.0)
    """From the bound to the free pool [1/s]."""

    bound_rate: float = 1.0
    """R1 of bound protons [1/s]."""

    left: tuple[float, float] = (0.6, 0.1)
    """Mean and SD of the share of the bound magnetisation that an inversion leaves."""

    saturation: float = 0.09
    """W over the squared angle of an excitation, which leaves exp(-W) of the bound magnetisation [1/rad^2]."""


PRIORS = (
    TissuePrior(field=3.0, rate=0.40, rate_by_fraction=5.2),
    TissuePrior(field=7.0, rate=0.36, rate_by_fraction=3.2),
)

FIELD_TOLERANCE = 0.1
"""Of the field strength, relative: T1 changes by a third of it."""


def prior_of(field_strength: float | None) -> TissuePrior:
    """Return what is believed of tissue at a field strength [T].

    Raises
    ------
    InvalidInputError
        If it is not known, or none that numbers are known for.
    """
    known = " or ".join(f"{prior.field:g} T" for prior in PRIORS)
    if field_strength is None:
        raise InvalidInputError(f"MagneticFieldStrength is missing; expected {known}, which the tissue prior is of.")
    for prior in PRIORS:
        if abs(field_strength / prior.field - 1) < FIELD_TOLERANCE:
            return prior
    raise InvalidInputError(
        f"MagneticFieldStrength is {field_strength:g} T; expected {known}: at other fields nobody has measured what "
        "the tissue prior needs."
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pools:
    """Two pools in each of some tissues, by arrays (tissue); free water in equilibrium is 1."""

    free_rate: Values
    """R1 of free water [1/s]."""

    bound_rate: Values
    """R1 of bound protons [1/s]."""

    exchange: Values
    """From the bound to the free pool [1/s]."""

    ratio: Values
    """Bound over free protons."""

    @classmethod
    def with_slow_time(cls, time: Values, fraction: Values, exchange: Values, bound_rate: Values) -> Pools:
        """Return pools whose slow component recovers with T1 `time` [s]."""
        slow, ratio = 1 / time, fraction / (1 - fraction)
        free = slow - ratio * exchange * (1 - exchange / (bound_rate + exchange - slow))
        return cls(free_rate=free, bound_rate=bound_rate, exchange=exchange, ratio=ratio)

    def waits(self, duration: float) -> Values:
        """Return what waiting [s] does to (free, bound, 1), as matrices (tissue, 3, 3).

        Bloch-McConnell (Henkelman et al. 1993, doi 10.1002/mrm.1910290607); the exponential of the 2 x 2 matrix of
        losses by its eigenvalues, which are real and differ.
        """
        free = self.free_rate + self.ratio * self.exchange
        bound = self.bound_rate + self.exchange
        middle, apart = (free + bound) / 2, np.sqrt((free - bound) ** 2 / 4 + self.ratio * self.exchange**2)
        slow, fast = middle - apart, middle + apart
        slowly, quickly = np.exp(-slow * duration), np.exp(-fast * duration)
        of_identity = (slowly * fast - quickly * slow) / (fast - slow)
        of_losses = (quickly - slowly) / (fast - slow)
        matrix = np.zeros((len(free), 3, 3))
        matrix[:, 0, 0] = of_identity + of_losses * free
        matrix[:, 1, 1] = of_identity + of_losses * bound
        matrix[:, 0, 1] = -of_losses * self.exchange
        matrix[:, 1, 0] = -of_losses * self.ratio * self.exchange
        matrix[:, 0, 2] = 1 - matrix[:, 0, 0] - matrix[:, 0, 1] * self.ratio
        matrix[:, 1, 2] = self.ratio - matrix[:, 1, 0] - matrix[:, 1, 1] * self.ratio
        matrix[:, 2, 2] = 1
        return matrix


def draw_tissues(prior: TissuePrior, n: int, rng: np.random.Generator) -> tuple[Pools, Values]:
    """Return tissues that the prior allows, and T1 of their slow component [s]."""
    fraction = rng.uniform(*prior.fraction, n)
    rate = (prior.rate + prior.rate_by_fraction * fraction) * np.exp(rng.normal(0, prior.rate_scatter, n))
    is_fluid = rng.random(n) < WITHOUT_MACROMOLECULES
    fraction = np.where(is_fluid, 0.0, fraction)
    time = np.where(is_fluid, rng.uniform(*FLUID_T1, n), 1 / rate)
    exchange = rng.uniform(*prior.exchange, n)
    return Pools.with_slow_time(time, fraction, exchange, np.full(n, prior.bound_rate)), time


def two_pool_signals(model: Mp2rage, pools: Pools, transmit: Values, left: Values, saturation: float) -> Values:
    """Return the readouts (readout, tissue) of two pools, relative to the equilibrium of free water.

    Parameters
    ----------
    model
        The protocol, whose inversion efficiency is that of free water.
    pools
        The tissues.
    transmit
        Transmit field of each, relative to nominal.
    left
        Share of the bound magnetisation that the inversion leaves.
    saturation
        See `TissuePrior`.
    """
    fields = torch.from_numpy(transmit)
    efficiency = model.inversion_efficiency(torch.ones_like(fields), fields).numpy()
    cycle = pools.waits(max(model.delays[0], 0.0)) @ _pulses(-efficiency, left)
    echoes = []
    trains = zip(model.excitations, model.excitation_times, model.flip_angles, model.delays[1:], strict=True)
    for (before, after), spacing, flip_angle, rest in trains:
        angle = flip_angle * transmit
        excitation = pools.waits(spacing) @ _pulses(np.cos(angle), np.exp(-saturation * angle**2))
        first = np.linalg.matrix_power(excitation, int(before)) @ cycle
        echoes.append((first[:, 0], np.sin(angle)))
        second = np.linalg.matrix_power(excitation, math.floor(before + after) - int(before)) @ first
        cycle = pools.waits(max(rest, 0.0)) @ second
    steady = np.linalg.solve(np.eye(2) - cycle[:, :2, :2], cycle[:, :2, 2:])
    state = np.concatenate([steady, np.ones((len(steady), 1, 1))], axis=1)
    return np.stack([(row[:, None] @ state)[:, 0, 0] * sine for row, sine in echoes])


def _pulses(of_free: Values, of_bound: Values) -> Values:
    matrix = np.zeros((len(of_free), 3, 3))
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2] = of_free, of_bound, 1
    return matrix


def play(
    model: Mp2rage, prior: TissuePrior, n: int, fields: tuple[float, float], seed: int = 0
) -> tuple[Values, Values, Values]:
    """Play a protocol on tissues of a prior, at transmit fields drawn evenly between two.

    Returns readouts (readout, tissue), T1 of the slow component [s], and the transmit fields.
    """
    rng = np.random.default_rng(seed)
    pools, time = draw_tissues(prior, n, rng)
    transmit = rng.uniform(*fields, n)
    mean, sd = prior.left
    left = rng.normal(mean, sd, n).clip(0.0, 1.0)
    return two_pool_signals(model, pools, transmit, left, prior.saturation), time, transmit
