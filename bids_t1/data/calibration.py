"""Calibrating T1 of MP2RAGE to inversion recovery: paired scans, what is learned of them, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from bids_t1.data.tissue import Tissue  # noqa: TC001 - read back by annotation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Affine, Labels, Map, VoxelFlags

Method = Literal[
    "none", "scale", "linear", "cubic", "tissue", "efficiency", "prior", "prior_cubic", "voxel", "small", "network"
]
"""Ways to correct T1, from the simplest on."""

METHODS: Mapping[Method, str] = MappingProxyType(
    {
        "none": "no correction",
        "scale": "one factor for all voxels",
        "linear": "linear regression of T1",
        "cubic": "cubic regression of T1",
        "tissue": "one factor for each tissue, in MP2RAGE's own masks",
        "efficiency": "inversion efficiency that falls with R1 (Olsson et al. 2025), both coefficients fitted",
        "prior": "two pools of protons as they are believed to be (--mt-prior tissue), nothing fitted",
        "prior_cubic": "that prior, and a cubic regression of what it leaves",
        "voxel": "network of single voxels (1 x 1)",
        "small": "network of patches, a quarter of the width",
        "network": "network of patches",
    }
)

NETWORKS: tuple[Method, ...] = ("voxel", "small", "network")
"""Methods that are trained rather than fitted."""

MUCH_OUTSIDE = 0.05
"""Share of voxels outside of the training range from which terminal and page warn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredScan:
    """One MP2RAGE or MP3RAGE run, on its own grid: what a calibration looks at."""

    grid: Grid
    time: Map
    """T1 (x, y, z) [s]; NaN where there is none."""

    time_sd: Map
    """SD of `time` [s]."""

    transmit: Map | None = None
    """B1+ relative to nominal; NaN where unknown, None where unknown everywhere."""

    brain: VoxelFlags | None = None
    """Where a correction is wanted; None for wherever there is T1."""

    tissue: Labels | None = None
    """`data.tissue.Tissue` of each voxel, from this run; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceScan:
    """The inversion-recovery run beside it, on its own grid: whole head, slab or one slice."""

    grid: Grid
    time: Map
    """T1 (x, y, z) [s]; NaN where there is none."""

    time_sd: Map
    """SD of `time` [s]."""

    tissue: Labels
    """`data.tissue.Tissue` of each voxel."""

    matrix: Affine
    """Scanner coordinates of this run to those of the MP2RAGE run [mm]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedScan:
    """Both measurements of one head."""

    label: str
    """Participant, session and run, as tables show it."""

    participant: str
    """Folds never divide a participant."""

    measured: MeasuredScan
    reference: ReferenceScan
    measured_protocol: Mapping[str, object]
    reference_protocol: Mapping[str, object]
    """The records (sidecars) of both T1 maps."""


MARGIN = 17
"""Voxels that a tile needs around it, about half of what its patches reach."""

MEMORY_OF_VOXEL = 0.023
"""Of a step of a network with all channels, for each voxel that it looks at [MB]."""

COST_ALONE = 0.0065
"""Of a voxel for a network that sees it alone, relative to one of patches with all channels of ResNet-18."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """How large the network is, and how long it learns."""

    name: str
    width: float
    """Channels relative to ResNet-18, which has 64, 128, 256 and 512."""

    tile: int
    """Edge of the square of voxels whose T1 one training example predicts."""

    batch: int
    """Examples per step."""

    steps: int
    """Steps per epoch."""

    epochs: int
    """At most; the learning rate falls to zero by then."""

    patience: int
    """Epochs without a better loss on held-out data after which training ends."""

    learning_rate: float = 1e-3
    validation_examples: int = 64
    """Examples of held-out data that the loss is watched on."""

    kind: Literal["patch", "voxel"] = "patch"
    """Whether surroundings are seen."""

    @property
    def cost(self) -> float:
        """Return about how long its training takes at most, relative to other plans."""
        edge = self.tile + (0 if self.kind == "voxel" else MARGIN)
        return self.cost_of_voxel * self.batch * edge**2 * self.steps * self.epochs

    @property
    def memory_mb(self) -> float:
        """Return about what a step needs [MB]."""
        return MEMORY_OF_VOXEL * self.batch * (self.tile + 2 * MARGIN) ** 2 * self.width

    @property
    def cost_of_voxel(self) -> float:
        """Return about what a step does for each voxel that it looks at."""
        return COST_ALONE if self.kind == "voxel" else self.width**2


SMALL = TrainingPlan(
    name="small",
    width=0.25,
    tile=32,
    batch=4,
    steps=20,
    epochs=8,
    patience=3,
    validation_examples=24,
)
FULL = TrainingPlan(name="full", width=1.0, tile=32, batch=16, steps=100, epochs=60, patience=15)
SMALL_VOXELS = TrainingPlan(
    name="small",
    width=1.0,
    tile=24,
    batch=8,
    steps=25,
    epochs=12,
    patience=3,
    validation_examples=48,
    kind="voxel",
)
PRESETS: Mapping[str, TrainingPlan] = MappingProxyType({plan.name: plan for plan in (SMALL, FULL)})
"""Of patches."""

VOXELS: Mapping[str, TrainingPlan] = MappingProxyType({"small": SMALL_VOXELS, "full": replace(FULL, kind="voxel")})
"""Of single voxels, by preset: a step costs next to nothing, and as few as of patches leave more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationOptions:
    """Choices of a calibration."""

    plan: TrainingPlan = FULL
    """Of patches."""

    voxels: TrainingPlan = VOXELS["full"]
    """Of single voxels."""

    folds: int | None = None
    """Number of folds; None leaves one participant out at a time, up to ten folds."""

    seed: int = 0
    device: str = "cpu"
    """As torch names it."""

    n_processes: int = 1
    """Folds at a time at most, each in a process of its own; on a GPU always one. Results do not depend on it."""

    @property
    def networks(self) -> dict[Method, TrainingPlan]:
        """Return the networks that are trained and judged, from the smallest on."""
        smaller: dict[Method, TrainingPlan] = {"small": SMALL} if self.plan.width > SMALL.width else {}
        return {"voxel": self.voxels, **smaller, "network": self.plan}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """Where the training stands."""

    member: str
    """``fold-1``, ..., ``final``."""

    epoch: int
    """Epochs done."""

    epochs: int
    """At most."""

    share: float
    """Of all that there is to do, at most, that is done."""

    seconds_left: float
    """At most, at the speed that was had up to now."""

    training_loss: float
    validation_loss: float | None
    """None where nothing is held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationScore:
    """One corrected map against inversion recovery, in one tissue of a participant that the method has not seen."""

    fold: int
    label: str
    participant: str
    method: Method
    tissue: Tissue
    n_voxels: int
    rmse: float | None
    """Root mean square of corrected T1 minus that of inversion recovery [s]; None below three voxels, as what
    follows."""

    bias: float | None
    """Mean of the difference [s]."""

    sd: float | None
    """SD of the difference [s]."""

    lower_limit: float | None
    upper_limit: float | None
    """Limits of agreement: bias -+ 1.96 SD [s]."""

    within: float | None = None
    """Share of voxels within the 95 % interval that the other participants tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSummary:
    """One method in one tissue, over all held-out participants."""

    method: Method
    tissue: Tissue
    n_participants: int
    rmse: float
    """Mean over participants [s]."""

    rmse_sd: float
    """SD between participants [s]."""

    bias: float
    """Mean over participants [s]."""

    reduction: float
    """Of the RMSE by the method, relative to no correction."""

    excess: float
    """Mean RMSE of this method less that of the one that is applied [s]; above zero where that one is better."""

    excess_error: float | None
    """Standard error of that mean over participants [s]; None of one participant."""

    n_worse: int
    """Participants in whom this method leaves more than the one that is applied."""

    within: float | None = None
    """Share of voxels within the 95 % interval, mean over participants."""

    least_within: float | None = None
    """The same in the participant in whom it is smallest."""

    region_limit: float | None = None
    """Half the 95 % interval of the mean of a region in another participant, relative: by Student's t."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often the SD of calibrated T1 covers inversion recovery, in held-out participants."""

    tissue: Tissue
    one_sd: float
    """Share of voxels within one SD of both measurements together; 0.68 if the SD is right."""

    two_sd: float
    """Within 1.96 SD; 0.95 if the SD is right."""

    least: float | None = None
    """The same in the participant in whom it is smallest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a correction does in held-out heads, beside being right on average."""

    method: Method
    n_scans: int
    lesion_response: float
    """d log(T1 out) / d log(T1 in) of a lesion painted into white matter: 1 where it survives."""

    least_response: float
    """The same in the head where it is smallest."""

    spectrum: tuple[float, ...]
    """Amplitude of log T1 after over before, by spatial frequency, low ones first: below 1 where it smooths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationScores:
    """What cross-validation says."""

    scores: tuple[CalibrationScore, ...]
    summaries: tuple[MethodSummary, ...]
    coverage: tuple[Coverage, ...]
    verdict: tuple[str, ...]
    """Sentences: what is applied, what it is worth, and what so many participants can promise."""

    behaviour: tuple[Behaviour, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationCard:
    """What a model is, in JSON types: it lies in the model's file and beside it."""

    format: int
    """Of the file."""

    software: Mapping[str, str]
    """Versions of this program and of torch."""

    plan: Mapping[str, object]
    """The `TrainingPlan`."""

    seed: int
    device: str
    n_threads: int
    members: tuple[str, ...]
    epochs: tuple[int, ...]
    """Of the weights that were kept, one per member."""

    n_participants: int
    n_scans: int
    n_voxels: Mapping[str, int]
    """Voxels of the lattice that training could use, by tissue."""

    voxel_edge: float
    """Of the lattice that the network works on [mm]."""

    neighbours: int
    """Slices on each side that the network sees."""

    inputs: tuple[str, ...]
    centres: tuple[float, ...]
    scales: tuple[float, ...]
    """What is taken off each input, and what it is divided by."""

    ranges: Mapping[str, object]
    """Of the inputs in training: outside of them nothing is corrected."""

    sd_scale: float
    """Factor of the predicted SD, from held-out participants."""

    validation: str
    """What early stopping watched."""

    measured_protocol: Mapping[str, object]
    reference_protocol: Mapping[str, object]
    results: tuple[Mapping[str, object], ...]
    """Rows of `MethodSummary`."""

    folds: tuple[Mapping[str, object], ...]
    """Rows of `CalibrationScore`, without labels."""

    verdict: tuple[str, ...]
    checksum: str
    """SHA-256 of the weights."""

    rung: Method = "network"
    """The correction that is applied: the simplest that is as good as the best."""

    share: float = 1.0
    """Of a simple correction's logarithm that is kept."""

    relation_sd: float = 0.0
    """SD of a simple correction between participants, relative."""

    target: str = "not told"
    """Which T1 was learned."""

    promise: tuple[str, ...] = ()
    """Sentences: what so many participants can promise of another one."""

    behaviour: tuple[Mapping[str, object], ...] = ()
    """Rows of `Behaviour`."""

    start: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Numbers of the tissue prior that networks start from; empty where they start from a cubic alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationModel:
    """Networks that turn MP2RAGE into inversion recovery."""

    members: tuple[Mapping[str, Tensor], ...]
    """Weights of each network, by name."""

    card: CalibrationCard


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What training hands back."""

    model: CalibrationModel
    scores: CalibrationScores
    left_out: tuple[str, ...] = ()
    """Pairs that could not be learned from, and why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """T1 of MP2RAGE, corrected to inversion recovery."""

    time: Map
    """T1 [s]; as measured where `outside_training`."""

    time_sd: Map
    """SD [s]: of the measurement, of the relation, and between networks; that of the measurement where
    `outside_training`."""

    outside_training: VoxelFlags
    """Voxels with T1 whose measurements the training has not seen the like of: they are left as they are."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """Voxels with T1, by what became of them."""
