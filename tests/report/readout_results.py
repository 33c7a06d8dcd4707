"""Results of MP2RAGE and MP3RAGE runs to report on: an ellipse with regions of T1, played through the formula."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bids_t1.data.entities import BidsName
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.grid import Grid
from bids_t1.data.result import RunResult, SignalCurve

NOISE = 2.0
M0 = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Timing with the same train for every readout; SI units, flip angles in degrees."""

    inversion_times: tuple[float, ...]
    flip_angles: tuple[float, ...]
    excitation_time: float
    shots: tuple[float, float]
    cycle: float
    efficiency: float
    field_strength: float

    def record(self) -> dict[str, object]:
        n = len(self.inversion_times)
        return {
            "InversionTimes": list(self.inversion_times),
            "FlipAngles": list(self.flip_angles),
            "RepetitionTimesExcitation": [self.excitation_time] * n,
            "NumberShotsPerReadout": [list(self.shots)] * n,
            "RepetitionTimePreparation": self.cycle,
            "InversionEfficiency": self.efficiency,
            "MagneticFieldStrength": self.field_strength,
        }

    def signals(self, t1: np.ndarray, b1: np.ndarray | float = 1.0) -> np.ndarray:
        """Readouts (readout, *voxels) in the steady state, by the recursion of Marques et al. 2010."""
        before, after = self.shots
        spans = [before * self.excitation_time, after * self.excitation_time]
        ends = [0.0, *(ti + spans[1] for ti in self.inversion_times)]
        starts = [*(ti - spans[0] for ti in self.inversion_times), self.cycle]
        rests = [np.exp(-(start - end) / t1) for end, start in zip(ends, starts, strict=True)]
        e1 = np.exp(-self.excitation_time / t1)
        angles = [np.radians(angle) * b1 for angle in self.flip_angles]

        def play(m: np.ndarray, angle: np.ndarray | float, n: float) -> np.ndarray:
            q = np.cos(angle) * e1
            return np.asarray(m * q**n + (1 - e1) * (1 - q**n) / (1 - q))

        def cycle(m: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
            signals = []
            for angle, rest in zip(angles, rests[1:], strict=True):
                m = play(m, angle, before)
                signals.append(m * np.sin(angle))
                m = play(m, angle, after) * rest + 1 - rest
            return m, signals

        m = np.ones_like(t1 * b1)
        for _ in range(30):
            m, signals = cycle(1 - rests[0] - self.efficiency * m * rests[0])
        return np.stack(signals)

    def uni(self, t1: np.ndarray, b1: np.ndarray | float = 1.0) -> np.ndarray:
        first, second = self.signals(t1, b1)[:2]
        return np.asarray(first * second / (first**2 + second**2))

    def curve(self) -> SignalCurve:
        times = np.linspace(0.02, 6.0, 300)
        fields = (0.7, 0.85, 1.0, 1.15, 1.3)
        values = tuple(tuple(map(float, self.uni(times, field))) for field in fields)
        return SignalCurve(times=tuple(map(float, times)), transmit=fields, values=values)


MONOTONE = Protocol(
    inversion_times=(0.7, 2.5),
    flip_angles=(4.0, 5.0),
    excitation_time=0.0069,
    shots=(44.0, 88.0),
    cycle=5.0,
    efficiency=0.96,
    field_strength=3.0,
)
THREE = Protocol(
    inversion_times=(1.010, 3.310, 5.610),
    flip_angles=(4.0, 4.0, 4.0),
    excitation_time=0.006,
    shots=(112.5, 112.5),
    cycle=8.25,
    efficiency=0.84,
    field_strength=7.0,
)

ORIGINS = {
    "InversionTime": "sidecar",
    "FlipAngle": "sidecar",
    "RepetitionTimePreparation": "sidecar, as RepetitionTime",
    "RepetitionTimeExcitation": "protocol file site.toml",
    "NumberShots": "protocol file site.toml",
    "InversionEfficiency": "default",
}

MAP = {
    "Source": "bids:raw:sub-01/fmap/sub-01_TB1map.nii.gz",
    "Scaling": "stored as 1000 times the ratio to nominal",
    "VoxelsWithout": 0,
}
PRIOR = {"Mean": 1.0, "SD": 0.2, "Range": [0.4, 1.6]}


def head(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return T1, B1 and coil sensitivity; T1 is NaN outside of the head."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.sqrt((x / 0.85) ** 2 + (y / 0.95) ** 2 + (z / 1.3) ** 2)
    folds = 0.06 * np.sin(9 * np.arctan2(y, x) + 3 * z)
    t1 = np.where(radius < 1, 4.0, np.nan)
    t1[radius < 0.9 + folds / 3] = 1.55
    t1[radius < 0.72 + folds] = 0.9
    t1[(np.abs(x) > 0.05) & (np.abs(x) < 0.25) & (np.abs(y) < 0.3 - 0.5 * np.abs(x))] = 4.0
    t1[np.hypot(np.abs(x) - 0.4, y - 0.05) < 0.12] = 1.25
    return t1, 1.15 - 0.4 * radius**2, 0.6 + 0.4 * radius


def make_readout_run(
    shape: tuple[int, int, int] = (20, 24, 8),
    *,
    protocol: Protocol = MONOTONE,
    form: str = "complex",
    transmit: bool = True,
    **changes: Any,
) -> RunResult:
    """Make a run; `record` is merged into the usual one, and 'absent' takes a key away."""
    sequence = "MP2RAGE" if len(protocol.inversion_times) == 2 else "MP3RAGE"
    maps = changes.pop("maps", None) or _maps(shape, protocol, form=form, transmit=transmit)
    record: dict[str, object] = {
        **protocol.record(),
        "EchoTime": 0.0028,
        "TimingOrigins": ORIGINS,
        "DataKind": form,
        "Scaling": {"UNIT1": "0 to 4095, from the metadata"} if "UNIT1" in form else {},
        **({"TransmitField": MAP} if transmit else {"TransmitFieldPrior": PRIOR}),
        "T1Prior": "uniform",
        "SearchRange": [0.02, 6.0],
        "NoiseSD": {"Value": NOISE, "Origin": "background of the images"},
        **({"RobustBeta": 100.0} if "robust_uni" in maps else {}),
        "EstimationAlgorithm": "maximum of the posterior",
        "Sources": ["bids:raw:sub-01/anat/sub-01_inv-1_part-mag_MP2RAGE.nii.gz"],
        **changes.pop("record", {}),
    }
    run = RunResult(
        name=BidsName.parse(f"sub-01_ses-2_desc-{sequence}_T1map.nii.gz"),
        sequence=sequence,
        grid=Grid(shape, np.diag([2.0, 2.0, 2.0, 1.0])),
        maps=maps,
        record={key: value for key, value in record.items() if value != "absent"},
        status_counts={status.name: int((maps["status"] == status).sum()) for status in VoxelStatus},
        examples=(),
        warnings=(),
    )
    return replace(run, **{"curve": protocol.curve(), **changes})


def _maps(shape: tuple[int, int, int], protocol: Protocol, *, form: str, transmit: bool) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    truth, b1, coil = head(shape)
    inside = np.isfinite(truth)
    known = np.where(inside, truth, 1.0)
    clean = np.where(inside, M0 * coil * protocol.signals(known, b1), 0.0)
    noisy = clean + NOISE * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))
    product, energy = (noisy[0].conj() * noisy[1]).real, (np.abs(noisy[:2]) ** 2).sum(0)
    uni = product / energy
    beta = 25 * NOISE**2
    slope = np.abs(protocol.uni(known * 1.01, b1) - protocol.uni(known * 0.99, b1)) / (0.02 * known)
    sd = NOISE / np.sqrt((clean[:2] ** 2).sum(0) + NOISE**2) / np.maximum(slope, 0.05)
    if not transmit:
        sd = np.hypot(sd, 0.05 * known)
    t1 = np.clip(known + sd * rng.standard_normal(shape), 0.02, 6.0)
    status = np.where(inside, VoxelStatus.FITTED, VoxelStatus.NO_SIGNAL).astype(np.uint8)
    status[inside & (rng.random(shape) < 0.004)] = VoxelStatus.AT_PRIOR_LIMIT
    status[inside & (coil > 0.985) & (rng.random(shape) < 0.4)] = VoxelStatus.LOW_CONFIDENCE
    two_modes = inside & (truth > 3) & (rng.random(shape) < 0.5)
    status[two_modes] = VoxelStatus.TWO_MODES
    t1[status == VoxelStatus.AT_PRIOR_LIMIT] = 6.0
    maps = {
        "time": t1,
        "mean": t1 + 0.2 * sd,
        "time_sd": sd,
        "lower": np.maximum(t1 - 1.96 * sd, 0.02),
        "upper": np.minimum(t1 + 1.96 * sd, 6.0),
        "point": known,
        "confidence": np.where(status == VoxelStatus.LOW_CONFIDENCE, 0.3, 0.97),
        "rate": 1 / t1,
    }
    maps = {name: np.where(inside, values, np.nan).astype(np.float32) for name, values in maps.items()}
    maps["uni"] = uni.astype(np.float32)
    maps["weighted"] = np.rint(4095 * (np.nan_to_num(uni) + 0.5)).astype(np.int16)
    if form != "UNIT1":
        maps["amplitude"] = np.where(inside, M0 * coil, np.nan).astype(np.float32)
    if form not in {"UNIT1", "UNIT1 and last magnitude"}:
        maps["robust_uni"] = ((product - beta) / (energy + 2 * beta)).astype(np.float32)
    if transmit:
        maps["transmit"] = np.where(inside, b1, np.nan).astype(np.float32)
    return {**maps, "two_modes": two_modes.astype(np.uint8), "status": status}
