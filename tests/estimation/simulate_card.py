"""Fits the scenes of `test_card` in Numba's simulator of a CUDA card: python -m tests.estimation.simulate_card OUT.npz.

Needs NUMBA_ENABLE_CUDASIM=1, and NUMBA_DISABLE_JIT=1 because what the simulator interprets cannot call compiled parts.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from bids_t1.estimation.curves import card, engine
from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from tests.estimation.scenes import MODEL, signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Kind
    from bids_t1.data.estimate import Estimate
    from bids_t1.data.signal_model import SignalModel

MAPS = ("time", "time_sd", "amplitude", "ratio", "residual", "relative_error", "share", "status")
ECHO_TIMES = (0.003, 0.008, 0.013, 0.02, 0.03, 0.045)
N_VOXELS, N_AIR = 100, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Images, and how they are fitted."""

    model: SignalModel
    images: NDArray[Any]
    kind: Kind = "magnitude"
    learn: bool = False
    restore: bool = False
    time_range: tuple[float, float] = (0.02, 6.0)

    def fit(self) -> Estimate:
        options = EstimationOptions(
            learn_ratio=self.learn, restore_polarity=self.restore, time_range=self.time_range, compiles_from=0
        )
        return estimate(self.model, self.images, self.kind, options)


def scenes() -> dict[str, Scene]:
    """Return every kind of curve that is compiled."""
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.35, 2.5, N_VOXELS)
    clean = np.concatenate([signal(truth, 1.93), np.zeros((len(MODEL.inversion_times), N_AIR))], axis=1)
    noise = rng.normal(0, 0.02, (2, *clean.shape))
    magnitudes, signed = np.hypot(clean + noise[0], noise[1]).astype(np.float32), (clean + noise[0]).astype(np.float32)
    turned = (signed + 1j * noise[1]) * np.exp(1j * np.arange(clean.shape[1]))
    signed[:, 7] = np.nan
    decays = np.exp(-np.array(ECHO_TIMES)[:, None] / rng.uniform(0.004, 0.15, N_VOXELS))
    decays = np.abs(decays + rng.normal(0, 0.02, decays.shape)).astype(np.float32)
    tissue, echoes = replace(MODEL, fast=0.048), MultiEchoGradientEcho(echo_times=ECHO_TIMES)
    return {
        "free": Scene(model=MODEL, images=magnitudes),
        "ideal": Scene(model=replace(MODEL, ideal=True), images=magnitudes),
        "learned": Scene(model=MODEL, images=magnitudes, learn=True),
        "fast component": Scene(model=tissue, images=magnitudes),
        "signed": Scene(model=MODEL, images=signed, kind="real"),
        "complex": Scene(model=MODEL, images=turned.astype(np.complex64), kind="complex", restore=True),
        "decays": Scene(model=echoes, images=decays, time_range=(0.001, 0.5)),
    }


def on_card(plan: Any, *rest: Any) -> None:
    """Fill maps as the engine does on a card, here with the memory of the processor."""
    engine._fill_on_card(card.CardFit.of(*plan.compiled), plan, *rest)


def main(path: str) -> None:
    with mock.patch.object(engine, "_fill_compiled", on_card):
        found = {name: scene.fit() for name, scene in scenes().items()}
    maps: dict[str, Any] = {name: np.stack([getattr(one, row) for row in MAPS]) for name, one in found.items()}
    np.savez(path, **maps)


if __name__ == "__main__":
    main(sys.argv[1])
