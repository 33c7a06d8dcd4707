"""A trained calibration corrects the T1 map of a scan: in overlapping tiles, with its uncertainty, and where it may."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.calibration.lattice import WEIGHTS, to_lattice
from bids_t1.calibration.network import network_of
from bids_t1.calibration.rungs import restored, started
from bids_t1.calibration.training import pad, reproducibly
from bids_t1.data.calibration import NETWORKS, Calibrated
from bids_t1.data.prior_correction import PriorCorrection
from bids_t1.resampling import resample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from bids_t1.calibration.baselines import Correction
    from bids_t1.calibration.lattice import LatticeScan, Sample
    from bids_t1.calibration.network import Corrector
    from bids_t1.data.calibration import CalibrationModel, MeasuredScan
    from bids_t1.data.shapes import Map, VoxelFlags

TILE = 96
"""Largest edge of the rectangle of voxels that is computed at once."""

QUANTILES = (0.0005, 0.9995)
"""Of the training voxels: what lies well beyond them is outside of the training."""

TIME_MARGIN = 0.05
"""Relative, of T1: heads differ by a few per cent, and another one is not left uncorrected for that."""

SD_MARGIN = 0.5
"""Relative, of its SD."""

TRANSMIT_MARGIN = 0.05
"""Of B1+."""

N_BINS = 8
"""Of T1, each with its own largest SD."""

MOSTLY = 0.99
"""Share of training voxels with B1+ from which a voxel without it is outside of the training."""


def _trained(sample: Sample, values_of: Callable[[LatticeScan], NDArray[np.floating]]) -> NDArray[np.floating]:
    return values_of(sample.scan)[np.isin(sample.tissue, list(WEIGHTS))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Between which values of its inputs a calibration was trained."""

    time: tuple[float, float]
    """T1 [s]."""

    bins: tuple[float, ...]
    """Edges of the bins of T1 [s]."""

    relative_sd: tuple[float, ...]
    """Largest relative SD in each bin of T1."""

    transmit: tuple[float, float] | None
    """B1+; None where it was never known."""

    transmit_needed: bool
    """Whether B1+ was known almost everywhere."""

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Ranges:
        """Measure them in the training voxels."""
        time, relative_sd, transmit = (
            np.concatenate([_trained(sample, values_of) for sample in samples]).astype(np.float64)
            for values_of in (attrgetter("time"), attrgetter("relative_sd"), attrgetter("transmit"))
        )
        bins = np.quantile(time, np.linspace(0, 1, N_BINS + 1))
        which = np.digitize(time, bins[1:-1])
        largest = [
            float(np.quantile(relative_sd[which == index], QUANTILES[1])) * (1 + SD_MARGIN)
            if (which == index).any()
            else 0.0
            for index in range(N_BINS)
        ]
        known = transmit[np.isfinite(transmit)]
        low, high = np.quantile(time, QUANTILES).tolist()
        return cls(
            time=(low * (1 - TIME_MARGIN), high * (1 + TIME_MARGIN)),
            bins=tuple(float(edge) for edge in bins),
            relative_sd=tuple(largest),
            transmit=_fields(known) if len(known) else None,
            transmit_needed=len(known) >= MOSTLY * len(transmit),
        )

    def hold(self, scan: LatticeScan) -> VoxelFlags:
        """Tell which voxels of a scan lie within."""
        with np.errstate(invalid="ignore"):
            time = np.nan_to_num(scan.time)
            bins = np.digitize(time, self.bins[1:-1])
            inside: VoxelFlags = (
                (time >= self.time[0]) & (time <= self.time[1]) & (scan.relative_sd <= np.array(self.relative_sd)[bins])
            )
        known = np.isfinite(scan.transmit)
        if self.transmit is None:
            without: VoxelFlags = inside & ~known
            return without
        with np.errstate(invalid="ignore"):
            of_field = (scan.transmit >= self.transmit[0]) & (scan.transmit <= self.transmit[1])
        held: VoxelFlags = inside & (of_field | (~known & (not self.transmit_needed)))
        return held

    def as_json(self) -> dict[str, object]:
        """Return what a card says."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Ranges:
        """Return what a card says."""
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
        return cls(**values)  # type: ignore[arg-type]


def _fields(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, QUANTILES).tolist()
    return low - TRANSMIT_MARGIN, high + TRANSMIT_MARGIN


STEP = 0.01
"""Relative, of T1, over which the slope of a correction is measured."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rung:
    """A simple correction, and for which measurements."""

    correction: Correction
    ranges: Ranges
    voxel_edge: float
    """[mm]."""

    share: float
    """Of the logarithm of its factor that is kept."""

    relation_sd: float
    """Between participants, relative."""

    sd_scale: float = 1.0

    @classmethod
    def of(cls, model: CalibrationModel) -> Rung:
        """Set up the correction of a model."""
        card = model.card
        numbers = {name: tuple(value.double().tolist()) for name, value in model.members[0].items()}
        return cls(
            correction=restored(numbers, card.measured_protocol),
            ranges=Ranges.from_json(card.ranges),
            voxel_edge=card.voxel_edge,
            share=card.share,
            relation_sd=card.relation_sd,
            sd_scale=card.sd_scale,
        )

    def log_factor(self, scan: LatticeScan, where: VoxelFlags) -> tuple[Map, Map]:
        """Return log of corrected over measured T1 and its variance, (slice, x, y); NaN elsewhere."""
        low, middle, high = (self._log_factor(scan.time * np.float32(1 + step), scan) for step in (-STEP, 0, STEP))
        slope = 1 + (high - low) / (2 * STEP)
        variance = (scan.relative_sd * slope) ** 2 + self.relation_sd**2
        return np.where(where, middle, np.nan), np.where(where, variance, np.nan)

    def _log_factor(self, time: Map, scan: LatticeScan) -> Map:
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Map = (self.share * np.log(self.correction(time, scan.transmit, scan.tissue) / time)).astype(
                np.float32
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ensemble:
    """Networks that answer together, and for which measurements."""

    networks: tuple[Corrector, ...]
    ranges: Ranges
    voxel_edge: float
    """[mm]."""

    device: str
    sd_scale: float
    n_threads: int
    believed: PriorCorrection | None = None
    """What it starts from; None for T1 as measured."""

    @classmethod
    def of(cls, model: CalibrationModel, device: str) -> Ensemble:
        """Set up the networks of a model on a device."""
        card = model.card
        kind, width = str(card.plan.get("kind", "patch")), float(str(card.plan["width"]))
        return cls(
            networks=tuple(network_of(weights, kind, width, device) for weights in model.members),
            ranges=Ranges.from_json(card.ranges),
            voxel_edge=card.voxel_edge,
            device=device,
            sd_scale=card.sd_scale,
            n_threads=card.n_threads,
            believed=PriorCorrection.of(card.start) if card.start else None,
        )

    def log_factor(self, scan: LatticeScan, where: VoxelFlags) -> tuple[Map, Map]:
        """Return log of corrected over measured T1 and its variance, (slice, x, y); NaN elsewhere.

        The variance is the mean of the variances that the networks predict, and that between the networks.
        """
        mean, variance = (np.full(where.shape, np.nan, np.float32) for _ in range(2))
        start = started(scan, self.believed)
        padded = pad(start)
        with torch.inference_mode(), reproducibly(self.n_threads):
            for place, size in _tiles(where):
                patches = padded.patch(place, size)[None].to(self.device).contiguous(memory_format=torch.channels_last)
                tile = (place[0], slice(place[1], place[1] + size[0]), slice(place[2], place[2] + size[1]))
                for values, found in zip((mean, variance), self._predict(patches), strict=True):
                    values[tile] = np.where(where[tile], found[0].cpu().numpy(), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            return mean + np.log(start.time / scan.time), variance

    def _predict(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        found = [network(patches) for network in self.networks]
        log_factors = torch.stack([log_factor for log_factor, _ in found])
        variances = torch.stack([log_variance.exp() for _, log_variance in found])
        return log_factors.mean(0), variances.mean(0) + log_factors.var(0, correction=0)


def _tiles(where: VoxelFlags) -> Iterator[tuple[tuple[int, int, int], tuple[int, int]]]:
    """Yield corner and size of rectangles that hold all wanted voxels."""
    for z in np.flatnonzero(where.any(axis=(1, 2))):
        for x in range(0, where.shape[1], TILE):
            for y in range(0, where.shape[2], TILE):
                part = where[z, x : x + TILE, y : y + TILE]
                if part.any():
                    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
                    corner = (int(z), x + int(rows[0]), y + int(columns[0]))
                    yield corner, (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)


def apply(model: CalibrationModel, scan: MeasuredScan, *, device: str = "cpu") -> Calibrated:
    """Correct the T1 map of one scan.

    Parameters
    ----------
    model
        From `calibrate` or `load_model`.
    scan
        Maps on their own grid; `check_protocol` first.
    device
        As torch names it.
    """
    return correct(Ensemble.of(model, device) if model.card.rung in NETWORKS else Rung.of(model), scan)


def correct(ensemble: Ensemble | Rung, scan: MeasuredScan, lattice: LatticeScan | None = None) -> Calibrated:
    """Correct the T1 map of one scan by some networks, or by a simple correction.

    The factor is predicted on the lattice and brought to the scan's grid, so that detail finer than the lattice stays.
    `lattice` is the scan on it, where that is known already.
    """
    lattice = to_lattice(scan, ensemble.voxel_edge) if lattice is None else lattice
    trained = ensemble.ranges.hold(lattice)
    log_factor, variance = ensemble.log_factor(lattice, lattice.wanted & trained)
    averaged = np.where(np.isfinite(log_factor), lattice.relative_sd**2, np.nan)
    log_factor, variance, averaged = (
        resample(lattice.as_volume(each), lattice.grid, scan.grid) for each in (log_factor, variance, averaged)
    )
    measured = np.isfinite(scan.time) & np.isfinite(scan.time_sd)
    corrected = measured & np.isfinite(log_factor)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The predicted variance holds the noise of the lattice's voxels; smaller voxels have more.
        finer = np.maximum(0, (scan.time_sd / scan.time) ** 2 - averaged)
        time = np.where(corrected, scan.time * np.exp(log_factor), scan.time)
        relative_sd = np.sqrt(variance * ensemble.sd_scale**2 + finer)
        time_sd = np.where(corrected, time * relative_sd, scan.time_sd)
    return Calibrated(
        time=time.astype(np.float32),
        time_sd=time_sd.astype(np.float32),
        outside_training=measured & ~corrected,
        counts={"corrected": int(corrected.sum()), "outside_training": int((measured & ~corrected).sum())},
    )
