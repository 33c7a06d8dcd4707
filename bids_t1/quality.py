"""Whether a scan is good: numbers of a run, each with a stated threshold, a verdict, and what to do.

They rate the data and their fit, not the program: a run without failure may be of a head that moved.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bids_t1.data.estimate import VoxelStatus, count_estimates
from bids_t1.data.sidecar import finite
from bids_t1.data.tissue import Hemisphere, Tissue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bids_t1.data.result import Comparison, RunResult
    from bids_t1.data.tissue import RegionStatistics


class Verdict(IntEnum):
    """How good a number is; the larger the worse."""

    GOOD = 0
    DOUBTFUL = 1
    BAD = 2

    @property
    def word(self) -> str:
        """In one word for page and table."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What a number says about the data, and from where on it is doubtful."""

    key: str
    """Its name in tables, lower case with underscores as MRIQC's."""

    title: str
    unit: str
    good: float
    """Up to which value, or from which on, it is good."""

    doubtful: float
    """The same for doubtful; beyond, it is bad."""

    advice: str
    """What to do where it is not good."""

    @property
    def more_is_better(self) -> bool:
        """Which way the thresholds go."""
        return self.good > self.doubtful

    @property
    def threshold(self) -> str:
        """What would be good, in words."""
        return f"good {'from' if self.more_is_better else 'up to'} {self.good:g}{self.unit and ' ' + self.unit}"

    def of(self, value: float) -> Measure:
        """Return the number of one run."""
        return Measure(**asdict(self), value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(Criterion):
    """One number of a run."""

    value: float

    @property
    def verdict(self) -> Verdict:
        """Where the value lies among the thresholds."""
        sign = -1 if self.more_is_better else 1
        if not math.isfinite(self.value):
            return Verdict.BAD
        if sign * self.value <= sign * self.good:
            return Verdict.GOOD
        return Verdict.DOUBTFUL if sign * self.value <= sign * self.doubtful else Verdict.BAD


_CRITERIA = (
    Criterion(
        key="relative_sd_median",
        title="SD of a voxel, over its value",
        unit="%",
        good=6,
        doubtful=12,
        advice="Noise; of MP2RAGE and variable flip angles also a B1+ that is not known. Trust means of regions, "
        "not voxels; larger voxels help, and for those two a map of B1+.",
    ),
    Criterion(
        key="residual_over_noise",
        title="Misfit, over the noise of the background",
        unit="",
        good=1.5,
        doubtful=2.5,
        advice="The curve does not go through the images: look for motion between them, wrong times, or ghosts.",
    ),
    Criterion(
        key="image_suspected",
        title="Images that do not go with the others",
        unit="",
        good=0,
        doubtful=1,
        advice="The warnings name the image and the likely cause.",
    ),
    Criterion(
        key="motion_max",
        title="Motion between images, at most",
        unit="mm",
        good=0.5,
        doubtful=2,
        advice="The head moved between images. They were registered to each other; look at the cortex, and repeat "
        "the scan where it matters.",
    ),
    Criterion(
        key="not_fitted",
        title="Voxels with signal but without a value",
        unit="%",
        good=5,
        doubtful=10,
        advice="See which voxels and why in the map of the status.",
    ),
    Criterion(
        key="sign_undecided",
        title="Voxels with two choices of sign",
        unit="%",
        good=30.0,
        doubtful=42.0,
        advice="Magnitudes have lost signs that the fit could not restore: few or badly placed inversion times, or "
        "motion.",
    ),
    Criterion(
        key="two_modes",
        title="Voxels that two values explain",
        unit="%",
        good=5.0,
        doubtful=20.0,
        advice="Two T1 fit the data there: scan B1+, or more readouts.",
    ),
    Criterion(
        key="low_confidence",
        title="Voxels no likelier than noise",
        unit="%",
        good=5.0,
        doubtful=20.0,
        advice="The images contradict the model there: check timing, phase and B1+.",
    ),
    Criterion(
        key="inversion_doubtful",
        title="Voxels with too weak a B1+ to invert",
        unit="%",
        good=1.0,
        doubtful=10.0,
        advice="The pulse does not invert there: leave these voxels out.",
    ),
    Criterion(
        key="b1_off_nominal",
        title="B1+ off nominal, in 9 of 10 voxels at most",
        unit="%",
        good=35,
        doubtful=55,
        advice="Check the unit of the map of B1+ and the reference voltage; T1 is less sure far from nominal.",
    ),
    Criterion(
        key="registration_refused",
        title="Registration to inversion recovery",
        unit="",
        good=0,
        doubtful=0.5,
        advice="It was not believed: the section on the comparison tells why. Are both of the same person?",
    ),
    Criterion(
        key="white_matter_off_published",
        title="White matter off published T1",
        unit="%",
        good=20,
        doubtful=35,
        advice="Check inversion times, field strength and B1+; T1 differs between sequences by up to a fifth.",
    ),
)

CRITERIA = {one.key: one for one in _CRITERIA}
"""All that a run is judged by, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuality:
    """The verdict on one run."""

    name: str
    """File name of its map of the relaxation time."""

    measures: tuple[Measure, ...] = field(default=())
    has_tissues: bool = True
    """Whether a brain was looked for and found; tissue values of phantoms are not judged."""

    @property
    def verdict(self) -> Verdict:
        """The worst of its measures."""
        return max((measure.verdict for measure in self.measures), default=Verdict.GOOD)

    def to_json(self) -> dict[str, object]:
        """Return names, values and verdicts."""
        return {
            "Verdict": self.verdict.word,
            "Tissues": self.has_tissues,
            **{measure.key: round(measure.value, 5) for measure in self.measures if math.isfinite(measure.value)},
            "Verdicts": {measure.key: measure.verdict.word for measure in self.measures},
        }


class Found(Protocol):
    """What was made of one participant or session."""

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """Maps of every run."""
        ...

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Runs beside their reference."""
        ...

    @property
    def regions(self) -> tuple[RegionStatistics, ...]:
        """T1 in the tissues."""
        ...


def assess(found: Found, white_matter: Mapping[str, tuple[float, float]]) -> tuple[RunQuality, ...]:
    """Judge every run of a participant.

    Parameters
    ----------
    found
        Runs, and what is known of them together.
    white_matter
        By file name of a run's map, mean and SD between people of published T1 in white matter [s]; absent where
        nothing is published for its field.
    """
    measured = {one.map for one in found.regions}
    return tuple(
        RunQuality(
            name=str(run.name),
            measures=tuple(_measures(run, found, white_matter.get(str(run.name)))),
            has_tissues=str(run.name) in measured,
        )
        for run in found.runs
    )


def _measures(run: RunResult, found: Found, band: tuple[float, float] | None) -> Iterator[Measure]:
    yield from _of_noise(run)
    yield from _of_images(run)
    yield from _of_status(run)
    yield from _of_transmit(run)
    yield from _of_registration(run, found)
    yield from _of_white_matter(run, found, band)


def _of_noise(run: RunResult) -> Iterator[Measure]:
    """How wide the noise makes a voxel's value."""
    time, sd = run.maps.get("time"), run.maps.get("time_sd")
    if time is None or sd is None:
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = 100 * sd / time
    relative = relative[np.isfinite(relative)]
    if relative.size:
        yield CRITERIA["relative_sd_median"].of(float(np.median(relative)))


def _of_images(run: RunResult) -> Iterator[Measure]:
    """Tell what the model leaves, and how images lie to each other."""
    noise = run.record.get("NoiseSD")
    if isinstance(noise, dict) and _number(noise.get("Background")) and _number(noise.get("Residual")):
        yield CRITERIA["residual_over_noise"].of(float(noise["Residual"]) / float(noise["Background"]))
    agreement = run.record.get("ImageAgreement")
    if isinstance(agreement, dict):
        yield CRITERIA["image_suspected"].of(
            float(len(agreement["Of"])) if isinstance(agreement.get("Of"), list) else 0.0
        )
    motion = run.record.get("Motion")
    if isinstance(motion, dict) and _number(motion.get("LargestDisplacement")):
        yield CRITERIA["motion_max"].of(float(motion["LargestDisplacement"]))


def _of_status(run: RunResult) -> Iterator[Measure]:
    """How many voxels have no value, or two."""
    coverage = run.record.get("Coverage")
    if isinstance(coverage, dict) and _number(coverage.get("VoxelsWithSignal")):
        lost = coverage.get("WithoutEstimate")
        without = sum(lost.values()) if isinstance(lost, dict) else 0
        yield CRITERIA["not_fitted"].of(100 * without / max(1.0, float(coverage["VoxelsWithSignal"])))
    estimates = count_estimates(run.status_counts)
    for status, key in _SHARES.items():
        if count := run.status_counts.get(status.name, 0):
            yield CRITERIA[key].of(100 * count / max(1, estimates))


_SHARES = {
    VoxelStatus.POLARITY_UNDECIDED: "sign_undecided",
    VoxelStatus.TWO_MODES: "two_modes",
    VoxelStatus.LOW_CONFIDENCE: "low_confidence",
    VoxelStatus.INVERSION_DOUBTFUL: "inversion_doubtful",
}
"""Which criterion is of the share of voxels with a status."""


def _of_transmit(run: RunResult) -> Iterator[Measure]:
    """How far the transmit field is from nominal."""
    transmit, time = run.maps.get("transmit"), run.maps.get("time")
    if transmit is None or time is None:
        return
    values = transmit[np.isfinite(transmit) & np.isfinite(time)]
    if values.size:
        yield CRITERIA["b1_off_nominal"].of(100 * float(np.quantile(np.abs(values - 1), 0.9)))


def _of_registration(run: RunResult, found: Found) -> Iterator[Measure]:
    """Whether it lies on its reference."""
    for one in found.comparisons:
        if one.moving == str(run.name):
            yield CRITERIA["registration_refused"].of(float(bool(one.alignment.reasons)))


def _of_white_matter(run: RunResult, found: Found, band: tuple[float, float] | None) -> Iterator[Measure]:
    """How far T1 of white matter is from what is published."""
    rows: Sequence[float] = [
        one.median
        for one in found.regions
        if (one.map, one.tissue, one.hemisphere, one.eroded)
        == (str(run.name), Tissue.WHITE_MATTER, Hemisphere.NEITHER, False)
        and one.median is not None
    ]
    if band is not None and rows:
        yield CRITERIA["white_matter_off_published"].of(100 * abs(rows[0] / band[0] - 1))


def _number(value: object) -> bool:
    number = finite(value)
    return number is not None and number > 0
