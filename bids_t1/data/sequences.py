"""The one table of sequences, and that of measurements of the transmit field: what every room asks of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.protocol import Numbers, Texts, plausible
from bids_t1.data.sidecar import brief

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.protocol import ProtocolField

Role = Literal["reference", "compared", "other"]
"""In a session: what T1 is compared with, what is compared with it, and what stands for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What the signal of a sequence is drawn against."""

    name: str
    unit: str
    per_unit: float = 1.0
    """Units on the axis in one unit of the record, which is a second where the axis is a time."""

    is_logarithmic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseSequence:
    """One row: a sequence, by what differs between it and the others."""

    file: str
    """Name of its file in each room: `sequences`, `runs`, `report.voices`, and where scans are recognised or played."""

    titles: Mapping[str, str]
    """Names of what comes of a run, each with its title on the page; the first is that of the sequence."""

    suffixes: Mapping[str, tuple[str, ...]]
    """BIDS suffixes of its images, each with the entities that tell the images of one run apart; none where its images
    are called as those of another, and told by their metadata."""

    varying: str
    """Field of the metadata in which the images of a run differ."""

    beside: str | None = None
    """A second one, which tells images apart whose first is the same."""

    numbered_by: str
    """Entity that numbers these images."""

    may_have_gaps: bool
    """Whether a run can be measured without some of its images."""

    quantity: Literal["T1", "T2*"]
    axis: Axis | None
    """None where no curve is drawn."""

    role: Role
    is_calibrated: bool = False
    """Whether a calibration to inversion recovery can be learned for it."""

    impossible: frozenset[VoxelStatus]
    """Statuses that none of its voxels can have."""

    protocol: Mapping[str, ProtocolField] = field(default_factory=dict)
    """What a protocol file may say of it."""

    @property
    def name(self) -> str:
        """That of the sequence, in the record of a run and as table of a protocol file."""
        return next(iter(self.titles))

    @property
    def keys(self) -> tuple[str, ...]:
        """Every field that may tell images of a run apart, the first one first."""
        return (self.varying,) if self.beside is None else (self.varying, self.beside)


OF_INVERSIONS = frozenset({VoxelStatus.POLARITY_UNDECIDED, VoxelStatus.RATIO_AT_BOUND})
OF_CURVES = OF_INVERSIONS | {VoxelStatus.BELOW_RANGE, VoxelStatus.ABOVE_RANGE}
OF_POSTERIORS = frozenset({
    VoxelStatus.TWO_MODES, VoxelStatus.AT_PRIOR_LIMIT, VoxelStatus.LOW_CONFIDENCE, VoxelStatus.INVERSION_DOUBTFUL,
})  # fmt: skip
OF_POOLS = frozenset({VoxelStatus.SHARE_AT_BOUND})
"""Statuses that only fits of inversion recovery, of any curves, only posteriors, and only fits of two pools give."""

_PHASE_SCALING = Numbers(lambda value: value > 0, "radians per stored unit of the phase images, above 0", 1)
_READOUTS = ("inv", "part", "echo", "flip")

INVERSION_RECOVERY = PulseSequence(
    file="inversion_recovery",
    titles={"IRT1": "Inversion recovery"},
    suffixes={"IRT1": ("inv", "part")},
    varying="InversionTime",
    numbered_by="inv",
    may_have_gaps=True,
    quantity="T1",
    axis=Axis(name="inversion time", unit="s", is_logarithmic=True),
    role="reference",
    impossible=OF_POSTERIORS | OF_POOLS,
    protocol={
        "PhaseScaling": _PHASE_SCALING,
        "InversionTime": plausible("InversionTime"),
        "RepetitionTimePreparation": plausible("RepetitionTimePreparation"),
        "EchoTrainLength": Numbers(lambda value: value >= 1 and value == round(value), "a whole number from 1", 1),
        "EchoSpacing": Numbers(lambda value: 0 < value < 0.1, "seconds, above 0 and below 0.1", 1),  # noqa: PLR2004
        "FlipAngle": Numbers(lambda value: 0 < value <= 180, "degrees, above 0, at most 180", 1),  # noqa: PLR2004
        "PulseSequenceType": Texts(("spin echo", "gradient echo")),
        "Inversion": Texts(("selective", "non-selective")),
    },
)

SELECTIVE_INVERSION_RECOVERY = PulseSequence(
    file="selective_inversion_recovery",
    titles={"SIR": "Selective inversion recovery"},
    suffixes={},
    varying="InversionTime",
    beside="RecoveryTime",
    numbered_by="inv",
    may_have_gaps=True,
    quantity="T1",
    axis=INVERSION_RECOVERY.axis,
    role="reference",
    impossible=OF_POSTERIORS,
    protocol={
        "PhaseScaling": _PHASE_SCALING,
        "InversionTime": plausible("InversionTime"),
        "RecoveryTime": plausible("RecoveryTime"),
    },
)

MOST_PAIRS = 200
"""Of a table of inversion efficiencies."""

MP2RAGE = PulseSequence(
    file="mp2rage",
    # BIDS numbers any readouts of MP2RAGE by inv-; MP3RAGE is no suffix of it, but in use.
    titles={"MP2RAGE": "MP2RAGE", "MP3RAGE": "MP3RAGE"},
    suffixes={"MP2RAGE": _READOUTS, "MP3RAGE": _READOUTS, "UNIT1": ()},
    varying="InversionTime",
    numbered_by="inv",
    may_have_gaps=False,
    quantity="T1",
    axis=None,
    role="compared",
    is_calibrated=True,
    impossible=OF_CURVES | OF_POOLS,
    protocol={
        "MagneticFieldStrength": plausible("MagneticFieldStrength", 1),
        "RepetitionTimePreparation": plausible("RepetitionTimePreparation", 1),
        "RepetitionTimeExcitation": plausible("RepetitionTimeExcitation"),
        "InversionTime": plausible("InversionTime"),
        "FlipAngle": plausible("FlipAngle"),
        "NumberShots": Numbers(
            lambda value: value >= 0, "excitations [before, after] the k-space centre, or a number of partitions", 2
        ),
        "ExcitationsPerReadout": Numbers(
            lambda value: value > 0, "the excitations that are played in each readout, above 0"
        ),
        "SlicePartialFourier": Numbers(lambda value: 0.5 <= value <= 1, "a share from 0.5 to 1", 1),  # noqa: PLR2004
        "InversionEfficiency": Numbers(lambda value: 0 < value <= 1, "a number above 0, at most 1", 1),
        "InversionEfficiencySD": Numbers(lambda value: 0 <= value <= 0.3, "a number from 0 to 0.3", 1),  # noqa: PLR2004
        "InversionEfficiencyTableB1": Numbers(lambda value: value > 0, "relative B1+, rising", MOST_PAIRS),
        "InversionEfficiencyTable": Numbers(lambda value: 0 <= value <= 1, "efficiencies from 0 to 1", MOST_PAIRS),
        "InversionPulsePeak": Numbers(lambda value: value > 0, "microtesla, above 0", 1),
        "PhaseScaling": _PHASE_SCALING,
        "UNIT1Scaling": Texts(("0..4095", "-0.5..0.5", "-2048..2047")),
        "InversionPulse": Texts(("HS", "FOCI")),
    },
)

MULTI_ECHO = PulseSequence(
    file="multi_echo_gre",
    titles={"MEGRE": "Multi-echo gradient echo"},
    suffixes={"MEGRE": ("echo", "part")},
    varying="EchoTime",
    numbered_by="echo",
    may_have_gaps=True,
    quantity="T2*",
    axis=Axis(name="echo time", unit="ms", per_unit=1000.0),
    role="other",
    impossible=OF_POSTERIORS | OF_INVERSIONS | OF_POOLS,
    protocol={"PhaseScaling": _PHASE_SCALING},
)

VARIABLE_FLIP_ANGLE = PulseSequence(
    file="variable_flip_angle",
    titles={"VFA": "Variable flip angle"},
    suffixes={"VFA": ("flip", "part")},
    varying="FlipAngle",
    numbered_by="flip",
    may_have_gaps=True,
    quantity="T1",
    axis=None,
    role="compared",
    impossible=OF_CURVES | OF_POOLS | {VoxelStatus.INVERSION_DOUBTFUL},
    protocol={
        "MagneticFieldStrength": plausible("MagneticFieldStrength", 1),
        "FlipAngle": plausible("FlipAngle"),
        "RepetitionTimeExcitation": plausible("RepetitionTimeExcitation"),
        "SpoilingRFPhaseIncrement": Numbers(lambda value: 0 < value < 360, "degrees, above 0 and below 360", 1),  # noqa: PLR2004
        "PhaseScaling": _PHASE_SCALING,
    },
)

SEQUENCES = (INVERSION_RECOVERY, SELECTIVE_INVERSION_RECOVERY, MP2RAGE, MULTI_ECHO, VARIABLE_FLIP_ANGLE)
"""The table. Where one run is made of the images of another, that other comes first."""

BY_SUFFIX: Mapping[str, PulseSequence] = {suffix: row for row in SEQUENCES for suffix in row.suffixes}
NAMES = tuple(name for row in SEQUENCES for name in row.titles)
"""Of what comes of runs."""

REFERENCES = tuple(name for row in SEQUENCES if row.role == "reference" for name in row.titles)
COMPARED = tuple(name for row in SEQUENCES if row.role == "compared" for name in row.titles)
CALIBRATED = tuple(name for row in SEQUENCES if row.is_calibrated for name in row.titles)
"""Names of runs that others are compared with, the first of them where a session has several; of runs that are compared
with these; and of runs that can be calibrated to them."""


def sequence_of(name: str) -> PulseSequence:
    """Return the row of what came of a run.

    Raises
    ------
    InvalidInputError
        If no sequence has that name, as in a log of another version.
    """
    for row in SEQUENCES:
        if name in row.titles:
            return row
    raise InvalidInputError(f"{brief(name)} is no sequence that is known; expected {', '.join(NAMES)}.")


def title_of(name: str) -> str:
    """Return how the page calls what came of a run."""
    return sequence_of(name).titles[name]


def name_of_readouts(n_readouts: int) -> str:
    """Return what comes of so many readouts after one inversion: MP2RAGE of two, MP3RAGE of three and more."""
    of_two, of_more = MP2RAGE.titles
    return of_more if n_readouts > 2 else of_two  # noqa: PLR2004


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitMethod:
    """One row: a way of measuring the transmit field B1+."""

    suffix: str
    """Of its images."""

    roles: tuple[str, ...] = ()
    """How acq- of its images begins, where that tells them apart."""

    name: str | None = None
    """In words; None for a map that was computed elsewhere, by a method that it does not tell."""

    works: tuple[str, ...] = ()
    """Digital object identifiers of the publications to cite."""

    protocol: Mapping[str, ProtocolField] = field(default_factory=dict)
    """What a protocol file may say of it."""


TRANSMIT_METHODS = (
    TransmitMethod(suffix="TB1map"),
    TransmitMethod(
        suffix="TB1TFL",
        roles=("anat", "famp"),
        name="a saturation pulse before a turbo-FLASH readout",
        works=("10.1002/mrm.22423",),
        protocol={"FlipAngle": plausible("FlipAngle", 1)},
    ),
    TransmitMethod(
        suffix="TB1AFI", roles=("tr1", "tr2"), name="actual flip-angle imaging", works=("10.1002/mrm.21120",)
    ),
    TransmitMethod(suffix="TB1DAM", name="the double-angle method", works=("10.1006/jmra.1993.1133",)),
    TransmitMethod(
        suffix="TB1SRGE",
        name="SA2RAGE, two gradient-echo readouts after a saturation",
        works=("10.1002/mrm.23145",),
    ),
    TransmitMethod(
        suffix="TB1EPI",
        name="spin echoes and stimulated echoes read by EPI",
        works=("10.1002/mrm.21083", "10.1002/mrm.22421"),
    ),
)
"""Those that need no computation on this side first: of two measurements the former is chosen."""
