"""What came of one participant: everything the report shows, and nothing it does not need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    from bids_t1.data.alignment import Alignment
    from bids_t1.data.deformation import Displacement
    from bids_t1.data.entities import BidsName
    from bids_t1.data.grid import Grid
    from bids_t1.data.timing import TimeTaken
    from bids_t1.data.tissue import Agreement, RegionStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One voxel's measurements and the fitted curve through them."""

    voxel: tuple[int, int, int]
    times: tuple[float, ...]
    """Inversion or echo times [s]."""

    measured: tuple[float, ...]
    """Signed measurements, in units of the images."""

    fitted: tuple[float, ...]
    """Model at `times`."""

    estimate: float
    """Relaxation time [s]."""

    sd: float
    """Its standard deviation [s]; NaN where nothing tells the noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualsByTime:
    """What a fit leaves unexplained in voxels of like relaxation time."""

    between: tuple[float, float]
    """Smallest and largest relaxation time of the voxels [s]."""

    n_voxels: int
    medians: tuple[float, ...]
    """Median residual of each measurement, over the amplitude."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalCurve:
    """S of an MP2RAGE protocol against T1, at several transmit fields."""

    times: tuple[float, ...]
    """T1 [s], rising."""

    transmit: tuple[float, ...]
    """B1+ relative to nominal, rising; 1 is among them."""

    values: tuple[tuple[float, ...], ...]
    """S of the first two readouts: one row per `transmit`, one value per `times`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunResult:
    """The maps of one run, and the record of how they came about."""

    name: BidsName
    """Name of the run's T1 map."""

    sequence: str
    grid: Grid
    maps: Mapping[str, np.ndarray]
    """Arrays (x, y, z), by the `quantity` of their row in the outputs table; a row without a map is not written."""

    record: Mapping[str, object]
    """The sidecar of the T1 map: timing, options, noise, provenance, in JSON types."""

    status_counts: Mapping[str, int]
    """Number of voxels by the name of their `VoxelStatus`."""

    examples: tuple[Example, ...]
    warnings: tuple[str, ...]
    curve: SignalCurve | None = None
    """Of MP2RAGE: what its S can tell of T1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """The brain and its tissues on the grid of a run."""

    name: BidsName
    """Of ``desc-tissue_dseg``."""

    runs: tuple[str, ...]
    """File names of the T1 maps on this grid."""

    grid: Grid
    maps: Mapping[str, np.ndarray]
    """Arrays (x, y, z), by the `quantity` of the rows of `ANATOMY` in the outputs table."""

    record: Mapping[str, object]
    """How mask and tissues came about, in JSON types."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """A run of a sequence that is compared, beside the inversion-recovery run that it is registered to."""

    name: BidsName
    """Of its T1 map in the space of inversion recovery."""

    sequence: str
    """What came of the compared run, such as MP2RAGE."""

    moving: str
    """File name of its own T1 map."""

    fixed: str
    """File name of the T1 map of inversion recovery."""

    grid: Grid
    """That of inversion recovery."""

    maps: Mapping[str, np.ndarray]
    """Arrays (x, y, z) by `quantity`, in the space of inversion recovery; empty where the alignment is not trusted."""

    alignment: Alignment
    record: Mapping[str, object]
    warnings: tuple[str, ...] = ()
    by_headers: np.ndarray | None = None
    """T1 (x, y, z) brought there by the headers alone, for the picture before registration."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawImages:
    """The images that a run was measured from, as they were acquired; for looking."""

    run: str
    """File name of the run's main map."""

    labels: tuple[str, ...]
    grid: Grid
    images: np.ndarray
    """(image, x, y, z), no less than zero."""

    thinned: int
    """One voxel in so many along each axis is there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InTemplate:
    """A run in the space of a template."""

    name: BidsName
    """Of its T1 map there."""

    sequence: str
    moving: str
    """File name of its own T1 map."""

    grid: Grid
    maps: Mapping[str, np.ndarray]
    """Arrays (x, y, z), by the `quantity` of the rows of its sequence and of `ANATOMY` in the outputs table."""

    record: Mapping[str, object]
    """What was transformed, to what, and how, in JSON types."""

    warp: Displacement | None = None
    """Leads points of the template to those of the head; None where it is read back, as nothing shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesNote:
    """What became of one DICOM series."""

    number: int | None
    description: str
    n_files: int
    outcome: str
    """``kept as ...`` or ``skipped: reason``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParticipantResult:
    """All sessions and runs of one participant."""

    participant: str
    runs: tuple[RunResult, ...]
    failures: tuple[str, ...]
    """Messages of runs or sessions that could not be processed."""

    series: tuple[SeriesNote, ...]
    """DICOM series found, used or not; empty for BIDS input."""

    warnings: tuple[str, ...]
    versions: Mapping[str, str]
    """Versions of this program and of what it stands on."""

    command: str
    """The command line, paths left out."""

    anatomies: tuple[Anatomy, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    in_templates: tuple[InTemplate, ...] = ()
    regions: tuple[RegionStatistics, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    raw_images: tuple[RawImages, ...] = ()

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """Everything that is to be known with the numbers, each once and with the name of what it concerns."""
        return with_names(
            self.warnings,
            [
                *((str(one.name), one.warnings) for one in self.runs),
                *((str(one.name), one.warnings) for one in self.anatomies),
                *(
                    (one.moving, warnings_of(one.fixed, one.alignment.reasons, one.warnings))
                    for one in self.comparisons
                ),
            ],
        )


def with_names(of_all: Sequence[str], of_files: Iterable[tuple[str, Iterable[str]]]) -> tuple[str, ...]:
    """Return warnings, each once, with the name of what it concerns."""
    named = (f"{name}: {text}" for name, texts in of_files for text in texts)
    return tuple(dict.fromkeys((*of_all, *named)))


def warnings_of(fixed: str, reasons: Sequence[str], warnings: Sequence[str]) -> tuple[str, ...]:
    """Return what is to be known of a comparison with a map of inversion recovery."""
    return (*((f"not brought to {fixed}: {' '.join(reasons)}",) if reasons else ()), *warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSummary:
    """One map in the table of all participants."""

    participant: str
    session: str | None
    name: str
    """File name of the map."""

    sequence: str
    n_voxels: int
    """Voxels with an estimate."""

    quartiles: tuple[float, float, float] | None
    """25 %, 50 % and 75 % quantile of the relaxation time over these voxels [s]."""

    median_sd: float | None
    """[s]."""

    n_warnings: int
    verdict: str | None = None
    """Whether the scan is good; None where an earlier version did not say."""

    white_matter: float | None = None
    grey_matter: float | None = None
    subcortical_grey_matter: float | None = None
    cerebrospinal_fluid: float | None = None
    """Median T1 of white, cortical and subcortical grey matter and of fluid [s]; None where they were not told
    apart."""

    rotation: float | None = None
    translation: float | None = None
    """How far registration to inversion recovery turned [degree] and moved it [mm]; None where there was none."""

    bias: float | None = None
    bias_sd: float | None = None
    """Mean of the map minus inversion recovery in the tissues but fluid, and SD of this difference [s]."""

    quality: Mapping[str, float] = field(default_factory=dict)
    """What the scan is judged by, by the names of desc-quality_metrics.json."""

    field_strength: float | None = None
    """[T]."""

    images: tuple[str, ...] = ()
    """Raw images of the dataset that it was made from, as paths in it; none where they were converted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantSummary:
    """One participant in the table of all participants."""

    participant: str
    status: str
    """``done``, ``with failures`` or ``not processed``."""

    n_maps: int
    failures: tuple[str, ...]
    version: str
    """Of the program that processed it; empty where none did."""

    time_taken: TimeTaken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """All participants of a dataset: what was found, measured, and what failed."""

    participants: tuple[ParticipantSummary, ...]
    maps: tuple[MapSummary, ...]
    left_behind: tuple[str, ...] = ()
    """Names of maps whose images the dataset holds no more, as of a session that was renamed or a participant who was
    taken out."""
