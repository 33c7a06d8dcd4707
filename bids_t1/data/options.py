"""Every option of the command line, said once: a field with its default, words, limits and what it does to results.

The parser and its help, the settings, the command line of the record, what makes a finished run outdated, the
Boutiques descriptor and the table in docs/usage.md follow from these fields. A new option is a field here and the line
that uses it. The type of a field tells how the option is written: a bool is a flag, a Literal a choice, a tuple some
values. Its name is that of the option, with underscores. Nothing heavy is imported, for the sake of the help.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

Value = TypeVar("Value")

Effect = Literal["value", "content", "apart", "nothing"]
"""How an option enters the results: by its value; by the content of the file that it names; in a way of its own, which
`resume` knows; not at all."""

Noise = Literal["floor", "gaussian", "rician"]
Efficiency = Literal["free", "learned", "ideal"]
MtPrior = Literal["none", "tissue", "olsson-tr-foci", "olsson-hs"]
Spoiling = Literal["auto", "none"]
FastChoice = Literal["auto", "none", "fit", "exclude"]
MotionChoice = Literal["auto", "none"]
Space = Literal[
    "MNI152NLin2009cAsym",
    "MNI152NLin2009cAsym:res-1",
    "MNI152NLin2009cAsym:res-2",
    "MNI152NLin2009aSym",
    "MNI152NLin2009aSym:res-1",
    "MNI152NLin2009aSym:res-2",
]
"""A template, that of TemplateFlow or that which nilearn brings along, and the edge of its voxels [mm]."""

KEY: Final = "option"
"""Of an option among the metadata of its field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What there is to say of an option beside its type and default."""

    title: str = ""
    """In a few words, for platforms that show a form."""

    help: str
    more: str = ""
    """What only the documents say."""

    metavar: str | tuple[str, ...] | None = None
    short: str = ""
    aliases: tuple[str, ...] = ()
    """Further names; each is understood with underscores too."""

    effect: Effect = "value"
    least: int | None = None
    most: int | None = None
    longest: float | None = None
    """A range of relaxation times: what is longer than those of any matter [s]."""

    most_values: int | None = None
    made: bool = False
    """Whether the path is made, not read."""

    excludes: tuple[str, ...] = ()
    """Fields of options that cannot be given at the same time."""

    counted: bool = False
    """Whether the option may be repeated, and has no part in the record."""


@dataclass(frozen=True, slots=True)
class Group:
    """A heading of the help, and the class of its options."""

    title: str
    options: type[Any]


def option(default: Value, told: Option) -> Value:
    """Return the field of an option.

    Parameters
    ----------
    default
        Its value where the command line does not give it.
    told
        What there is to say of it.
    """
    made: Value = field(default=default, metadata={KEY: told})
    return made


def options_of(group: type[Any]) -> dict[str, Option]:
    """Return the options of a group by the names of their fields."""
    return {one.name: one.metadata[KEY] for one in fields(group)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is processed."""

    participant_label: tuple[str, ...] = option((), Option(
        title="Participants", metavar="LABEL", effect="nothing",
        help="participants, with or without sub- (default: all); names the one of a flat DICOM folder",
    ))  # fmt: skip
    session_label: tuple[str, ...] = option((), Option(
        title="Sessions", metavar="LABEL", effect="nothing", aliases=("--session-id",),
        help="sessions, with or without ses- (default: all)",
    ))  # fmt: skip
    bids_filter_file: Path | None = option(None, Option(
        title="Filter file", metavar="FILE", effect="content",
        help='JSON file of pybids filters per suffix, such as {"IRT1": {"acquisition": "gold"}}',
    ))  # fmt: skip
    bids_database_dir: Path | None = option(None, Option(
        title="Saved index", metavar="DIR", effect="nothing", help="saved pybids index to use",
    ))  # fmt: skip
    skip_bids_validation: bool = option(False, Option(
        title="Skip the look at the input", effect="nothing", aliases=("--skip_bids_validator",),
        help="do not look at dataset_description.json of the input",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How inversion recovery is fitted."""

    ir_efficiency: Efficiency = option("free", Option(
        title="Inversion efficiency of inversion recovery",
        help="inversion efficiency: free in each voxel, the gold standard; with a prior learned from the image, more "
        "precise; or ideal, M0(1-2exp(-TI/T1)) (default: %(default)s)",
        more="ideal is the model of the ISMRM QMRI 2024 challenge; learned pays where the efficiency is uniform",
    ))  # fmt: skip
    ir_fast_component: FastChoice = option("auto", Option(
        title="Fast component of tissue",
        help="fast component of tissue in inversion recovery, which makes T1 read short: fitted, its inversion times "
        "left out, or none; auto: what the image asks for and its inversion times allow (default: %(default)s)",
        more="exclude leaves out inversion times below 0.15 s (0.2 s at 7 T)",
    ))  # fmt: skip
    ir_motion: MotionChoice = option("auto", Option(
        title="Motion in inversion recovery",
        help="motion between images of inversion recovery: taken off by rigid registration where the images show it, "
        "or not looked for (default: %(default)s)",
    ))  # fmt: skip
    ir_time_shift: float | None = option(None, Option(
        title="Shift of inversion times", metavar="SECONDS",
        help="added to all inversion times of inversion recovery, into which some scanners count the length of the "
        "inversion pulse [s]; 0: none (default: what the image shows, which is none unless the inversion efficiency "
        "exceeds that of any pulse where T1 is short)",
    ))  # fmt: skip
    ir_noise: Noise = option("floor", Option(
        title="Noise of inversion recovery",
        help="noise of magnitudes: mean share removed where a background shows it, none, or Rician likelihood "
        "(default: %(default)s)",
        more="floor: where background and residuals agree on it; where no air is found, that of one channel with the "
        "noise of residuals or neighbours. The Rician likelihood is for signal-to-noise ratios below 10",
    ))  # fmt: skip
    ir_polarity: Literal["data", "restore"] = option("data", Option(
        title="Signs of inversion recovery",
        help="signs of real and complex images: as they are, or restored as for magnitudes (default: %(default)s)",
    ))  # fmt: skip

    @property
    def restore_polarity(self) -> bool:
        """Whether the signs of real and complex images are chosen as for magnitudes."""
        return self.ir_polarity == "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """How selective inversion recovery is fitted."""

    sir_pools: Literal[1, 2] = option(2, Option(
        title="Pools of selective inversion recovery",
        help="pools of selective inversion recovery: free water and macromolecules, or free water alone (default: "
        "%(default)s)",
    ))  # fmt: skip
    sir_exchange_rate: float = option(12.5, Option(
        title="Exchange rate of selective inversion recovery", metavar="RATE",
        help="rate of exchange from macromolecules to free water in selective inversion recovery, which is not fitted "
        "[1/s] (default: %(default)s)",
    ))  # fmt: skip
    sir_saturation: float = option(0.83, Option(
        title="Saturation of selective inversion recovery", metavar="SHARE",
        help="share of the macromolecular magnetisation that the inversion pulse of selective inversion recovery "
        "leaves, which is not fitted (default: %(default)s)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Readouts:
    """How MP2RAGE and variable flip angles are fitted."""

    protocol: Path | None = option(None, Option(
        title="Protocol file", metavar="FILE", effect="apart",
        help="TOML or JSON file with what sidecars of MP2RAGE and others lack; see docs/protocol.md",
    ))  # fmt: skip
    inversion_efficiency: tuple[float, ...] | None = option(None, Option(
        title="Inversion efficiency of MP2RAGE", metavar=("EFFICIENCY", "SLOPE"), most_values=2,
        help="inversion efficiency of MP2RAGE, and how it changes with R1 [s] (default: that of the metadata or the "
        "protocol file, else 0.96; slope 0)",
    ))  # fmt: skip
    inversion_efficiency_prior: tuple[float, float] | None = option(None, Option(
        title="Prior of the inversion efficiency of MP2RAGE", metavar=("MEAN", "SD"),
        help="normal prior of the inversion efficiency of MP2RAGE, which is integrated over; SD 0 fixes it (default: "
        "mean as above, SD of the metadata or the protocol file, else 0.025)",
    ))  # fmt: skip
    b1_map: Path | None = option(None, Option(
        title="Map of B1+", metavar="FILE", effect="content",
        help="map of the transmit field B1+ for all runs of MP2RAGE and of variable flip angles (default: what the "
        "dataset has)",
    ))  # fmt: skip
    mt_prior: MtPrior = option("none", Option(
        title="Magnetisation transfer in MP2RAGE",
        help="what is believed of magnetisation transfer, which shortens T1 of MP2RAGE by 8 to 20 percent in white "
        "matter: nothing; tissue as the literature has it, for the T1 of the slow component with its SD beside the one "
        "as measured, at 3 T and 7 T; or the inversion efficiencies of Olsson et al. 2025 for two pulses at 7 T "
        "(default: %(default)s)",
        more="the priors stand in the sidecar (`TissuePrior`)",
    ))  # fmt: skip
    b1_map_sd: float = option(0.0, Option(
        title="SD of the map of B1+", metavar="SD",
        help="SD of the map of the transmit field, relative to nominal, which is integrated over (default: 0, the map "
        "is taken as true)",
    ))  # fmt: skip
    no_b1: bool = option(False, Option(
        title="No map of B1+", excludes=("b1_map",),
        help="use no map of the transmit field: integrate over its prior",
    ))  # fmt: skip
    b1_prior: tuple[float, float] = option((1.0, 0.3), Option(
        title="Prior of B1+", metavar=("MEAN", "SD"),
        help="normal prior of the transmit field where no map tells it, cut off at two SD; SD 0 fixes it "
        "(default: 1 0.3)",
    ))  # fmt: skip
    noise_sd: float | None = option(None, Option(
        title="Noise of MP2RAGE and variable flip angles", metavar="SD",
        help="noise of one channel of MP2RAGE and of variable flip angles in units of the images, of M0 for UNIT1 "
        "alone (default: from the data)",
    ))  # fmt: skip
    vfa_spoiling: Spoiling = option("auto", Option(
        title="Spoiling of variable flip angles",
        help="what spoiling leaves of the signals of variable flip angles: that of the phase increment of the pulses, "
        "where metadata or protocol file tell it; or nothing (default: %(default)s)",
    ))  # fmt: skip

    @property
    def efficiency_and_slope(self) -> tuple[float, float] | None:
        """The inversion efficiency, and how it changes with R1 [s]; None: not given."""
        given = self.inversion_efficiency
        return None if given is None else (given[0], given[1] if len(given) > 1 else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where relaxation times are searched for."""

    t1_range: tuple[float, float] = option((0.02, 6.0), Option(
        title="Range of T1", metavar=("LOW", "HIGH"), longest=30.0,
        help="search range of T1, over which the prior of MP2RAGE and variable flip angles is uniform [s] "
        "(default: 0.02 6)",
    ))  # fmt: skip
    t2star_range: tuple[float, float] = option((0.001, 1.0), Option(
        title="Range of T2*", metavar=("LOW", "HIGH"), longest=10.0,
        help="search range of T2* [s] (default: 0.001 1)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoes:
    """How multi-echo gradient echo is fitted."""

    t2star_noise: Noise = option("rician", Option(
        title="Noise of multi-echo images",
        help="noise of magnitudes of multi-echo images: as for --ir-noise (default: %(default)s)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Computing:
    """Where it is computed."""

    device: Literal["auto", "cpu", "cuda"] = option("auto", Option(
        title="Device", effect="apart", help="where to compute (default: %(default)s)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What brings the runs of a session together."""

    derivatives: tuple[Path, ...] = option((), Option(
        title="Derivatives with masks or tissues", metavar="[NAME=]DIR", short="-d", effect="apart",
        help="BIDS derivatives with brain masks (*_desc-brain_mask) or tissues (*_dseg) of the participants, which are "
        "used instead of computed ones",
    ))  # fmt: skip
    output_spaces: tuple[Space, ...] | None = option(None, Option(
        title="Spaces of templates", metavar="TEMPLATE[:res-N]",
        help="templates in whose space T1, its SD and tissues are written too: MNI152NLin2009cAsym where TemplateFlow "
        "has it, else MNI152NLin2009aSym; voxels of 2 mm, with :res-1 of 1 mm (default: none)",
    ))  # fmt: skip
    maps_only: bool = option(False, Option(
        title="Only the maps", excludes=("output_spaces",),
        help="only the maps of each run: no brain mask, tissues, registration and regional tables",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrating:
    """How MP2RAGE is calibrated to inversion recovery, and what the level group trains."""

    calibration: Path | None = option(None, Option(
        title="Calibration model", metavar="MODEL", effect="content",
        help="model.safetensors of the level group, or its folder: calibrate the MP2RAGE runs of participants with it",
    ))  # fmt: skip
    calibration_force: bool = option(False, Option(
        title="Calibrate other protocols",
        help="calibrate also where the protocol is not the one that the model was trained on; page and sidecars say so",
    ))  # fmt: skip
    calibration_preset: Literal["auto", "small", "full", "none"] = option("none", Option(
        title="Network to train", effect="nothing",
        help="what the level group trains after it has written tables and page: none; a small network, within minutes "
        "on two processors; the full ResNet-18, for a GPU; auto: full where there is a GPU, else small "
        "(default: %(default)s)",
    ))  # fmt: skip
    folds: int | None = option(None, Option(
        title="Folds", metavar="N", effect="nothing", least=2,
        help="folds of the cross-validation over participants (default: as many as participants, at most ten)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How the command runs."""

    nprocs: int = option(1, Option(
        title="Participants at a time", metavar="N", effect="nothing", least=1, aliases=("--n-cpus", "--n-procs"),
        help="participants processed at a time (default: %(default)s)",
    ))  # fmt: skip
    omp_nthreads: int | None = option(None, Option(
        title="Threads of each process", metavar="N", effect="nothing", least=1, aliases=("--nthreads",),
        help="threads of each process, or folds that group trains at a time (default: the processors this job may use, "
        "shared by the processes)",
    ))  # fmt: skip
    mem_mb: int | None = option(None, Option(
        title="Memory [MB]", metavar="MB", effect="nothing", least=1, aliases=("--mem",),
        help="memory a run may need; one that needs more is refused before it starts (default: what the job or "
        "container is allowed, shared by the processes; else what is free)",
    ))  # fmt: skip
    random_seed: int = option(0, Option(
        title="Random seed", metavar="N", effect="nothing", least=0, most=2**32 - 1,
        help="seed of the training of the level group; nothing else here is random (default: %(default)s)",
    ))  # fmt: skip
    work_dir: Path | None = option(None, Option(
        title="Folder for intermediate files", metavar="DIR", short="-w", effect="nothing", made=True,
        help="folder for intermediate files (default: .work in out_dir)",
    ))  # fmt: skip
    dry_run: bool = option(False, Option(
        title="Only look", effect="nothing",
        help="only look: for each participant what is there, what is missing and what would be written, as a table; "
        "images are read, nothing is computed or written. The exit code is the one that failures of the input would "
        "give",
    ))  # fmt: skip
    reports_only: bool = option(False, Option(
        title="Only the pages", effect="nothing", help="only make the pages again",
    ))  # fmt: skip
    force: bool = option(False, Option(
        title="Process again", effect="nothing",
        help="process again what is finished: by default a participant with the same input, options and version, and "
        "whole outputs, is left as it is",
    ))  # fmt: skip
    stop_on_first_crash: bool = option(False, Option(
        title="Stop at the first failure", effect="nothing", help="stop at the first participant that fails",
    ))  # fmt: skip
    verbose: int = option(0, Option(
        title="More detail", short="-v", effect="nothing", counted=True, help="more detail; twice for debugging",
    ))  # fmt: skip


ESTIMATING: Final = "how to estimate"

GROUPS: Final = (
    Group("what to process", Selection),
    Group(ESTIMATING, Recovery),
    Group(ESTIMATING, Pools),
    Group(ESTIMATING, Readouts),
    Group(ESTIMATING, Search),
    Group(ESTIMATING, Echoes),
    Group(ESTIMATING, Computing),
    Group("brain, tissues and one space", Session),
    Group("calibration of MP2RAGE to inversion recovery", Calibrating),
    Group("how to run", Running),
)
"""In the order of the help."""
