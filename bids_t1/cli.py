"""The command line: arguments to settings to exit code. Nothing heavy is imported before the arguments are right."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
from collections import Counter
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.arguments import Parser
from bids_t1.cgroup import memory_of_job
from bids_t1.data.entities import strip_label
from bids_t1.data.errors import (
    BidsT1Error,
    CannotCreateOutputError,
    NoInputError,
    Stopped,
    UsageError,
    forget_stop,
    ignored,
    stop,
    stop_if_asked,
)
from bids_t1.data.sidecar import plain
from bids_t1.scratch import sweep
from bids_t1.settings import Settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bids_t1.participant import Outcome

LOG = logging.getLogger(__name__)

SOME_FAILED = BidsT1Error.exit_code

LONGEST = {"t1_range": 30.0, "t2star_range": 10.0}
"""Relaxation times that are longer than those of any matter, by option [s]."""

SHOWN = 20
"""Participants whose warnings the last line counts."""

LARGEST_SEED = 2**32 - 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="bids_t1",
        description="Measure T1 from multi-TI and selective inversion recovery and from MP2RAGE or MP3RAGE, and T2* "
        "from multi-echo gradient echo: DICOM or BIDS in, BIDS derivatives and a page out.",
        epilog="Exit codes: 0 all done, 1 some participant failed, 16 input invalid, 18 labels or filters select "
        "nothing, 64 usage, 66 no input, 73 cannot create output, 74 input/output error, "
        "75 stopped from outside, 130 interrupted.",
    )
    parser.add_argument("bids_dir", type=Path, help="BIDS dataset, or folder of DICOM files; only read")
    parser.add_argument(
        "out_dir", type=Path, help="folder for the derivatives: one that is not there, empty, or of an earlier run"
    )
    parser.add_argument(
        "analysis_level",
        choices=("participant", "group"),
        help="what to do: each participant by itself, or tables and a page of all that were processed",
    )
    parser.add_argument("--version", action="version", version=f"bids_t1 {version('bids_t1')}")
    _add_selection(parser.add_argument_group("what to process"))
    _add_estimation(parser.add_argument_group("how to estimate"))
    _add_spaces(parser.add_argument_group("brain, tissues and one space"))
    _add_calibration(parser.add_argument_group("calibration of MP2RAGE to inversion recovery"))
    _add_running(parser.add_argument_group("how to run"))
    return parser


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="participants, with or without sub- (default: all); names the one of a flat DICOM folder",
    )
    group.add_argument(
        "--session-label",
        "--session_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="sessions, with or without ses- (default: all)",
    )
    group.add_argument(
        "--bids-filter-file",
        "--bids_filter_file",
        type=Path,
        metavar="FILE",
        help='JSON file of pybids filters per suffix, such as {"IRT1": {"acquisition": "gold"}}',
    )
    group.add_argument(
        "--bids-database-dir",
        "--bids_database_dir",
        type=Path,
        metavar="DIR",
        help="saved pybids index to use",
    )
    group.add_argument(
        "--skip-bids-validation",
        "--skip_bids_validation",
        "--skip_bids_validator",
        action="store_true",
        help="do not look at dataset_description.json of the input",
    )


def _add_estimation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--ir-efficiency",
        "--ir_efficiency",
        choices=("free", "learned", "ideal"),
        default="free",
        help="inversion efficiency: free in each voxel, the gold standard; with a prior learned from the image, more "
        "precise; or ideal, M0(1-2exp(-TI/T1)) (default: %(default)s)",
    )
    group.add_argument(
        "--ir-fast-component",
        "--ir_fast_component",
        choices=("auto", "none", "fit", "exclude"),
        default="auto",
        help="fast component of tissue in inversion recovery, which makes T1 read short: fitted, its inversion times "
        "left out, or none; auto: what the image asks for and its inversion times allow (default: %(default)s)",
    )
    group.add_argument(
        "--ir-noise",
        "--ir_noise",
        choices=("floor", "gaussian", "rician"),
        default="floor",
        help="noise of magnitudes: mean share removed where a background shows it, none, or Rician likelihood "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--ir-polarity",
        "--ir_polarity",
        choices=("data", "restore"),
        default="data",
        help="signs of real and complex images: as they are, or restored as for magnitudes (default: %(default)s)",
    )
    _add_pools(group)
    _add_mp2rage(group)
    group.add_argument(
        "--t1-range",
        "--t1_range",
        nargs=2,
        type=float,
        default=(0.02, 6.0),
        metavar=("LOW", "HIGH"),
        help="search range of T1, over which the prior of MP2RAGE is uniform [s] (default: 0.02 6)",
    )
    group.add_argument(
        "--t2star-range",
        "--t2star_range",
        nargs=2,
        type=float,
        default=(0.001, 1.0),
        metavar=("LOW", "HIGH"),
        help="search range of T2* [s] (default: 0.001 1)",
    )
    group.add_argument(
        "--t2star-noise",
        "--t2star_noise",
        choices=("floor", "gaussian", "rician"),
        default="rician",
        help="noise of magnitudes of multi-echo images: as for --ir-noise (default: %(default)s)",
    )
    group.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: %(default)s)",
    )


def _add_pools(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--sir-pools",
        "--sir_pools",
        type=int,
        choices=(1, 2),
        default=2,
        help="pools of selective inversion recovery: free water and macromolecules, or free water alone (default: "
        "%(default)s)",
    )
    group.add_argument(
        "--sir-exchange-rate",
        "--sir_exchange_rate",
        type=float,
        default=12.5,
        metavar="RATE",
        help="rate of exchange from macromolecules to free water in selective inversion recovery, which is not fitted "
        "[1/s] (default: %(default)s)",
    )
    group.add_argument(
        "--sir-saturation",
        "--sir_saturation",
        type=float,
        default=0.83,
        metavar="SHARE",
        help="share of the macromolecular magnetisation that the inversion pulse of selective inversion recovery "
        "leaves, which is not fitted (default: %(default)s)",
    )


def _add_mp2rage(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--protocol",
        type=Path,
        metavar="FILE",
        help="TOML or JSON file with the timing that sidecars of MP2RAGE lack; see docs/protocol.md",
    )
    group.add_argument(
        "--inversion-efficiency",
        "--inversion_efficiency",
        nargs="+",
        type=float,
        metavar=("EFFICIENCY", "SLOPE"),
        help="inversion efficiency of MP2RAGE, and how it changes with R1 [s] (default: that of the metadata or the "
        "protocol file, else 0.96; slope 0)",
    )
    group.add_argument(
        "--inversion-efficiency-prior",
        "--inversion_efficiency_prior",
        nargs=2,
        type=float,
        metavar=("MEAN", "SD"),
        help="normal prior of the inversion efficiency of MP2RAGE, which is integrated over; SD 0 fixes it (default: "
        "mean as above, SD of the metadata or the protocol file, else 0.025)",
    )
    group.add_argument(
        "--b1-map",
        "--b1_map",
        type=Path,
        metavar="FILE",
        help="map of the transmit field B1+ for all MP2RAGE runs (default: the TB1map of the dataset)",
    )
    group.add_argument(
        "--b1-map-sd",
        "--b1_map_sd",
        type=float,
        default=0.0,
        metavar="SD",
        help="SD of the map of the transmit field, relative to nominal, which is integrated over (default: 0, the map "
        "is taken as true)",
    )
    group.add_argument(
        "--no-b1",
        "--no_b1",
        action="store_true",
        help="use no map of the transmit field: integrate over its prior",
    )
    group.add_argument(
        "--b1-prior",
        "--b1_prior",
        nargs=2,
        type=float,
        default=(1.0, 0.3),
        metavar=("MEAN", "SD"),
        help="normal prior of the transmit field where no map tells it, cut off at two SD; SD 0 fixes it "
        "(default: 1 0.3)",
    )
    group.add_argument(
        "--noise-sd",
        "--noise_sd",
        type=float,
        metavar="SD",
        help="noise of one channel of MP2RAGE in units of the images, of M0 for UNIT1 alone (default: from the data)",
    )


def _add_spaces(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-d",
        "--derivatives",
        nargs="+",
        type=_derivatives,
        default=[],
        metavar="[NAME=]DIR",
        help="BIDS derivatives with brain masks (*_desc-brain_mask) or tissues (*_dseg) of the participants, which are "
        "used instead of computed ones",
    )
    group.add_argument(
        "--maps-only",
        "--maps_only",
        action="store_true",
        help="only the maps of each run: no brain mask, tissues, registration and regional tables",
    )


def _add_calibration(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="MODEL",
        help="model.safetensors of the level group, or its folder: calibrate the MP2RAGE runs of participants with it",
    )
    group.add_argument(
        "--calibration-force",
        "--calibration_force",
        action="store_true",
        help="calibrate also where the protocol is not the one that the model was trained on; page and sidecars say so",
    )
    group.add_argument(
        "--calibration-preset",
        "--calibration_preset",
        choices=("auto", "small", "full", "none"),
        default="auto",
        help="what the level group trains: a small network, within minutes on two processors; the full ResNet-18, for "
        "a GPU; auto: full where there is a GPU; none: tables and page only (default: %(default)s)",
    )
    group.add_argument(
        "--folds",
        type=int,
        metavar="N",
        help="folds of the cross-validation over participants (default: as many as participants, at most ten)",
    )


def _derivatives(word: str) -> Path:
    """Read a folder, with or without a name before it."""
    name, equals, folder = word.partition("=")
    return Path(folder if equals and os.sep not in name else word)


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--nprocs",
        "--n-cpus",
        "--n_cpus",
        type=int,
        default=1,
        metavar="N",
        help="participants processed at a time (default: %(default)s)",
    )
    group.add_argument(
        "--omp-nthreads",
        "--omp_nthreads",
        type=int,
        metavar="N",
        help="threads of each process (default: the processors this job may use, shared by the processes)",
    )
    group.add_argument(
        "--mem-mb",
        "--mem_mb",
        type=int,
        metavar="MB",
        help="memory a run may need; one that needs more is refused before it starts (default: what the job or "
        "container is allowed, shared by the processes; else what is free)",
    )
    group.add_argument(
        "--random-seed",
        "--random_seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the training of the level group; nothing else here is random (default: %(default)s)",
    )
    group.add_argument(
        "-w",
        "--work-dir",
        "--work_dir",
        type=Path,
        metavar="DIR",
        help="folder for intermediate files (default: .work in out_dir)",
    )
    group.add_argument("--reports-only", "--reports_only", action="store_true", help="only make the pages again")
    group.add_argument(
        "--force",
        action="store_true",
        help="process again what is finished: by default a participant with the same input, options and version, and "
        "whole outputs, is left as it is",
    )
    group.add_argument(
        "--stop-on-first-crash",
        "--stop_on_first_crash",
        action="store_true",
        help="stop at the first participant that fails",
    )
    group.add_argument("-v", "--verbose", action="count", default=0, help="more detail; twice for debugging")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = build_parser().parse_args(argv)
    _configure_logging(arguments.verbose)
    with _stoppable():
        try:
            settings = _settings(arguments)
            code = _run_group(settings) if arguments.analysis_level == "group" else _run(settings)
            stop_if_asked()
        except BidsT1Error as error:
            LOG.error("%s", error)  # noqa: TRY400 - an expected failure is its message
            return error.exit_code
        except Stopped as stopped:
            LOG.error("stopped; what was finished is kept, the same command goes on with the rest")  # noqa: TRY400
            return stopped.exit_code
        return code


@contextmanager
def _stoppable() -> Iterator[None]:
    """Obey requests to stop in a block, however they come; one that this process was told to ignore stays ignored."""
    forget_stop()
    signals = [one for one in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(one) != signal.SIG_IGN]
    before = [signal.signal(one, stop) for one in signals]
    said, sys.unraisablehook = sys.unraisablehook, ignored
    try:
        yield
    finally:
        sys.unraisablehook = said
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def _settings(arguments: argparse.Namespace) -> Settings:
    """Check the arguments against each other and against the file system."""
    _check_numbers(arguments)
    _check_mp2rage(arguments)
    database = arguments.bids_database_dir
    if database is not None and not (database / "layout_index.sqlite").is_file():
        raise UsageError(f"--bids-database-dir is {database}; expected a folder with a saved index of pybids.")
    bids_dir, out_dir = _resolved(arguments.bids_dir), _resolved(arguments.out_dir)
    if not bids_dir.is_dir():
        raise NoInputError(f"{arguments.bids_dir}: is no folder; expected a BIDS dataset or a folder of DICOM files.")
    from bids_t1.bids.protocol import read_protocol  # noqa: PLC0415 - loads numpy, which waits for right arguments

    return Settings(
        bids_dir=bids_dir,
        out_dir=out_dir,
        work_dir=(arguments.work_dir or out_dir / ".work").resolve(),
        participants=tuple(strip_label("sub", label) for label in arguments.participant_label),
        sessions=tuple(strip_label("ses", label) for label in arguments.session_label),
        filter_file=arguments.bids_filter_file,
        database=database,
        efficiency=arguments.ir_efficiency,
        fast_component=arguments.ir_fast_component,
        noise=arguments.ir_noise,
        restore_polarity=arguments.ir_polarity == "restore",
        pools=arguments.sir_pools,
        exchange_rate=arguments.sir_exchange_rate,
        saturation=arguments.sir_saturation,
        protocol=read_protocol(arguments.protocol),
        inversion_efficiency=_pair(arguments.inversion_efficiency),
        inversion_efficiency_prior=(
            tuple(arguments.inversion_efficiency_prior) if arguments.inversion_efficiency_prior else None
        ),
        transmit_map=arguments.b1_map,
        transmit_map_sd=arguments.b1_map_sd,
        ignore_transmit_map=arguments.no_b1,
        transmit_prior=tuple(arguments.b1_prior),
        noise_sd=arguments.noise_sd,
        t1_range=tuple(arguments.t1_range),
        t2star_range=tuple(arguments.t2star_range),
        t2star_noise=arguments.t2star_noise,
        maps_only=arguments.maps_only,
        derivatives=tuple(_existing(folder) for folder in arguments.derivatives),
        calibration=_model(arguments.calibration),
        calibration_force=arguments.calibration_force,
        calibration_preset=arguments.calibration_preset,
        folds=arguments.folds,
        random_seed=arguments.random_seed,
        device=arguments.device,
        skip_validation=arguments.skip_bids_validation,
        reports_only=arguments.reports_only,
        force=arguments.force,
        stop_on_first_crash=arguments.stop_on_first_crash,
        n_processes=arguments.nprocs,
        n_threads=arguments.omp_nthreads or max(1, _processors() // arguments.nprocs),
        memory_mb=arguments.mem_mb or _share_of_job(arguments.nprocs),
        command=_command(arguments),
    )


def _check_numbers(arguments: argparse.Namespace) -> None:
    for name, value in sorted(vars(arguments).items()):
        numbers = [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, float)]
        if not all(map(math.isfinite, numbers)):
            shown = " ".join(f"{number:g}" for number in numbers)
            raise UsageError(f"{_option(name)} is {shown}; expected finite numbers.")
    for name, longest in LONGEST.items():
        _check_range(_option(name), getattr(arguments, name), longest)
    for name, least in (("nprocs", 1), ("omp_nthreads", 1), ("mem_mb", 1), ("folds", 2), ("random_seed", 0)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise UsageError(f"{_option(name)} is {value}; expected {least} or more.")
    if not 0.1 <= arguments.sir_exchange_rate <= 1000:  # noqa: PLR2004 - what exchange in tissue is
        raise UsageError(f"--sir-exchange-rate is {arguments.sir_exchange_rate:g}; expected 0.1 to 1000 per second.")
    if not -1 <= arguments.sir_saturation <= 1:
        raise UsageError(f"--sir-saturation is {arguments.sir_saturation:g}; expected a share from -1 to 1.")
    if arguments.random_seed > LARGEST_SEED:
        raise UsageError(f"--random-seed is {arguments.random_seed}; expected {LARGEST_SEED} or less.")


def _check_range(option: str, times: Sequence[float], longest: float) -> None:
    """Refuse what cannot be a range of relaxation times: most often it is one in milliseconds."""
    low, high = times
    if not 0 < low < high:
        raise UsageError(f"{option} is {low:g} {high:g}; expected two positive times in seconds, the shorter first.")
    if high > longest or low >= longest / 10:
        raise UsageError(
            f"{option} is {low:g} {high:g}; expected times in seconds, the shorter below {longest / 10:g} and the "
            f"longer at most {longest:g}. Divide by 1000 if these are milliseconds."
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_mp2rage(arguments: argparse.Namespace) -> None:
    efficiency = arguments.inversion_efficiency or [1.0]
    if len(efficiency) > 2 or (len(efficiency) == 1 and not 0 < efficiency[0] <= 1):  # noqa: PLR2004
        raise UsageError(
            f"--inversion-efficiency is {' '.join(map(str, efficiency))}; expected a number above 0 and at most 1, or "
            "two: its value and its slope with R1."
        )
    if arguments.inversion_efficiency is not None and arguments.inversion_efficiency_prior is not None:
        raise UsageError(
            "--inversion-efficiency and --inversion-efficiency-prior contradict each other; expected one of them. For "
            "an SD beside a slope, give InversionEfficiencySD in the protocol file."
        )
    mean, sd = arguments.inversion_efficiency_prior or (1.0, 0.0)
    if not (0 < mean <= 1 and 0 <= sd <= 0.3):  # noqa: PLR2004 - more than that is no inversion
        raise UsageError(
            f"--inversion-efficiency-prior is {mean:g} {sd:g}; expected a mean above 0 and at most 1, and an SD of 0 "
            "to 0.3."
        )
    if not 0 <= arguments.b1_map_sd <= 0.3:  # noqa: PLR2004
        raise UsageError(f"--b1-map-sd is {arguments.b1_map_sd:g}; expected 0 to 0.3 of the nominal transmit field.")
    mean, sd = arguments.b1_prior
    if not (0.4 <= mean <= 1.6 and 0 <= sd <= 0.5):  # noqa: PLR2004 - what transmit fields are
        raise UsageError(f"--b1-prior is {mean:g} {sd:g}; expected a mean of 0.4 to 1.6 and an SD of 0 to 0.5.")
    if arguments.noise_sd is not None and not 0 < arguments.noise_sd < math.inf:
        raise UsageError(f"--noise-sd is {arguments.noise_sd:g}; expected a number above 0.")
    if arguments.no_b1 and arguments.b1_map is not None:
        raise UsageError("--no-b1 and --b1-map contradict each other; expected one of them.")
    if arguments.b1_map is not None and not arguments.b1_map.is_file():
        raise NoInputError(f"{arguments.b1_map}: is no file; expected a map of the transmit field.")


def _model(path: Path | None) -> Path | None:
    """Find the weights of a model, given them or their folder."""
    if path is None:
        return None
    weights = path / "model.safetensors" if path.is_dir() else path
    if not weights.is_file():
        raise NoInputError(f"--calibration: {weights} is no file; expected what the level group wrote to calibration/.")
    return weights.resolve()


def _resolved(folder: Path) -> Path:
    """Follow links, and refuse a folder whose path cannot be followed, or written into an index or a page."""
    try:
        found = folder.resolve()
        str(found).encode()
    except UnicodeEncodeError as error:
        raise NoInputError(f"{plain(str(folder))}: its path is not UTF-8; expected one that is. Rename it.") from error
    except (OSError, RuntimeError) as error:
        raise NoInputError(f"{folder}: is a link that leads to itself; expected a folder.") from error
    return found


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise NoInputError(f"--derivatives: {folder} is no folder; expected a BIDS dataset of derivatives.")
    return folder.resolve()


def _pair(efficiency: Sequence[float] | None) -> tuple[float, float] | None:
    if efficiency is None:
        return None
    return efficiency[0], efficiency[1] if len(efficiency) > 1 else 0.0


def _processors() -> int:
    """Return how many processors this job may use, which is often fewer than the machine has."""
    allotted = len(os.sched_getaffinity(0))
    by_scheduler = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(allotted, int(by_scheduler)) if by_scheduler.isdecimal() else allotted


def _share_of_job(n_processes: int) -> int | None:
    """Return the memory that each process may take of what the job is allowed [MB]; None: no limit."""
    allowed = memory_of_job()
    return None if allowed is None else max(1, allowed // n_processes)


def _command(arguments: argparse.Namespace) -> str:
    """Write the command line for the record, with the names of its options and without its paths."""
    shown = ["bids_t1 bids_dir out_dir participant"]
    defaults = vars(build_parser().parse_args(["-", "-", "participant"]))
    for name, value in sorted(vars(arguments).items()):
        if name in {"bids_dir", "out_dir", "analysis_level", "verbose"} or value == defaults[name]:
            continue
        option = _option(name)
        if value is True:
            shown.append(option)
        else:
            values = value if isinstance(value, list | tuple) else [value]
            words = (one.name if isinstance(one, Path) else str(one) for one in values)
            shown.append(f"{option} {' '.join(words)}")
    return " ".join(shown)


def _run(settings: Settings) -> int:
    """Process the participants and say what came of them."""
    from bids_t1.cohort import find_work, process_all  # noqa: PLC0415 - heavy imports wait for right arguments
    from bids_t1.participant import describe_output  # noqa: PLC0415 - as above

    _require_places(settings)
    work = find_work(settings)
    if not settings.reports_only:
        _make(settings.out_dir, settings.work_dir, settings.out_dir / "logs")
        describe_output(settings)
    _sweep(settings)
    outcomes = process_all(work, settings)
    _sweep(settings)  # a process of ours may have been killed
    if settings.work_dir.parent == settings.out_dir:
        with suppress(OSError):  # not empty: something is being worked on there
            settings.work_dir.rmdir()
    return _summarise(outcomes, settings)


def _require_places(settings: Settings) -> None:
    """Refuse folders in which something of somebody else could be lost."""
    from bids_t1.places import require_out_dir, require_work_dir  # noqa: PLC0415 - heavy imports wait

    require_out_dir(settings.out_dir, settings.bids_dir)
    require_work_dir(settings.work_dir, settings.out_dir, settings.bids_dir)


def _make(*folders: Path) -> None:
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotCreateOutputError(
            f"{error.filename}: cannot be made ({error.strerror}); expected a folder that can be written. "
            "Choose another out_dir or --work-dir."
        ) from error


def _sweep(settings: Settings) -> None:
    """Remove what killed processes left, wherever something is filled before it is seen."""
    out_dir, work_dir = settings.out_dir, settings.work_dir
    for folder in (out_dir, out_dir / "logs", out_dir / "calibration", out_dir / "sourcedata" / "raw", work_dir):
        sweep(folder)


def _run_group(settings: Settings) -> int:
    """Bring the results of all participants together."""
    from bids_t1.group import process_group  # noqa: PLC0415 - heavy imports wait for right arguments

    _require_places(settings)
    _sweep(settings)
    page = process_group(settings)
    LOG.warning("bids_t1: open %s", page)
    return 0


def _summarise(outcomes: Sequence[Outcome], settings: Settings) -> int:
    """Say in one last line what was written and what failed, and return the exit code."""
    failed = [outcome for outcome in outcomes if outcome.failures]
    n_runs = sum(outcome.n_runs for outcome in outcomes)
    pages = [outcome.page.name for outcome in outcomes if outcome.page is not None]
    parts = [f"{n_runs} runs of {len(outcomes) - len(failed)} participants without failure"]
    if failed:
        parts.append(
            f"{len(failed)} participants with failures: {', '.join(plain(outcome.participant) for outcome in failed)}"
        )
    if warned := _warned(outcomes):
        parts.append(warned)
    if pages:
        shown = settings.out_dir / (pages[0] if len(pages) == 1 else "sub-*.html")
        parts.append(f"open {shown}")
    LOG.warning("bids_t1: %s", "; ".join(parts))
    codes = Counter(failure.exit_code for outcome in failed for failure in outcome.failures)
    if not failed:
        return 0
    none_succeeded = n_runs == 0 and len(failed) == len(outcomes)
    return next(iter(codes)) if none_succeeded and len(codes) == 1 else SOME_FAILED


def _warned(outcomes: Sequence[Outcome]) -> str:
    """Count the warnings of each participant; they stand on its page and in the sidecars too."""
    warned = [outcome for outcome in outcomes if outcome.n_warnings]
    counts = [f"{outcome.participant}: {outcome.n_warnings}" for outcome in warned[:SHOWN]]
    if len(warned) > SHOWN:
        counts.append(f"{len(warned) - SHOWN} more participants")
    return f"warnings of {', '.join(counts)}" if warned else ""


def _configure_logging(verbosity: int) -> None:
    levels = (logging.INFO, logging.INFO, logging.DEBUG)
    logging.captureWarnings(capture=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(message)s" if verbosity == 0 else "%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logger = logging.getLogger("bids_t1")
    logger.handlers[:] = [handler]
    logger.setLevel(levels[min(verbosity, 2)])
    logger.propagate = False
