"""Every choice of one run, checked once and passed by hand."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bids_t1.arguments import dashed, read_options
from bids_t1.cgroup import memory_of_job, processors_of_job
from bids_t1.data.entities import strip_label
from bids_t1.data.errors import InvalidInputError, NoInputError, UsageError
from bids_t1.data.options import (
    GROUPS,
    Calibrating,
    Computing,
    Echoes,
    Pools,
    Readouts,
    Recovery,
    Running,
    Search,
    Selection,
    Session,
    options_of,
)
from bids_t1.data.sidecar import plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bids_t1.data.options import Option
    from bids_t1.data.protocol import Protocol

LARGEST_SD = 0.3
"""Of an inversion efficiency or a relative transmit field: more than that is no measurement of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The command line, checked: the options by group, and what follows from them."""

    bids_dir: Path
    out_dir: Path
    work_dir: Path
    selection: Selection
    recovery: Recovery
    pools: Pools
    readouts: Readouts
    search: Search
    echoes: Echoes
    computing: Computing
    session: Session
    calibrating: Calibrating
    running: Running
    protocol: Protocol
    """What sidecars lack."""

    n_threads: int
    """Of each process."""

    memory_mb: int | None
    """What a run may need at most [MB]; None: no limit."""

    command: str
    """The command line without its paths."""

    def options(self) -> Iterator[tuple[str, Option, Any]]:
        """Yield every option with its name and value."""
        groups = [getattr(self, one.name) for one in fields(self)]
        for group in groups:
            if any(isinstance(group, known.options) for known in GROUPS):
                for name, option in options_of(type(group)).items():
                    yield name, option, getattr(group, name)

    def files(self) -> list[Path]:
        """Return the files of the input that options name, whose content enters the results."""
        return [value for _, option, value in self.options() if option.effect == "content" and value is not None]

    def without_paths(self, text: str) -> str:
        """Put words for the folders and files of the command line: their names may be those of people."""
        named = {"bids_dir": self.bids_dir, "out_dir": self.out_dir, "work_dir": self.work_dir}
        others = (*self.files(), *self.session.derivatives)
        words = {str(path): word for word, path in named.items()} | {str(path): path.name for path in others}
        for path in sorted(words, key=len, reverse=True):
            text = text.replace(path, words[path])
        return text


def choose(arguments: argparse.Namespace) -> Settings:
    """Check the arguments against each other and against the file system.

    Raises
    ------
    UsageError
        If they contradict each other, or are out of their limits.
    InputError
        If what they name is not there.
    """
    _check_limits(arguments)
    readouts: Readouts = read_options(arguments, Readouts)
    _check_efficiency(readouts)
    _check_transmit_field(readouts)
    pools = read_options(arguments, Pools)
    _check_pools(pools)
    selection = _selection(read_options(arguments, Selection))
    running: Running = read_options(arguments, Running)
    bids_dir, out_dir = _resolved(arguments.bids_dir), _resolved(arguments.out_dir)
    if not bids_dir.is_dir() and not running.reports_only:
        raise NoInputError(f"{arguments.bids_dir}: is no folder; expected a BIDS dataset or a folder of DICOM files.")
    from bids_t1.bids.protocol import read_protocol  # noqa: PLC0415 - loads numpy, which waits for right arguments

    return Settings(
        bids_dir=bids_dir,
        out_dir=out_dir,
        work_dir=(running.work_dir or out_dir / ".work").resolve(),
        selection=_labelled(selection),
        recovery=read_options(arguments, Recovery),
        pools=pools,
        readouts=readouts,
        search=read_options(arguments, Search),
        echoes=read_options(arguments, Echoes),
        computing=read_options(arguments, Computing),
        protocol=read_protocol(readouts.protocol),
        session=_session(read_options(arguments, Session)),
        calibrating=_calibrating(read_options(arguments, Calibrating)),
        running=running,
        n_threads=running.omp_nthreads or max(1, _processors() // running.nprocs),
        memory_mb=running.mem_mb or _share_of_job(running.nprocs),
        command=_command(arguments),
    )


def _declared() -> dict[str, tuple[Option, Any]]:
    """Return every option with its default, by name."""
    return {
        one.name: (options_of(group.options)[one.name], one.default)
        for group in GROUPS
        for one in fields(cast("Any", group.options))
    }


def _check_limits(arguments: argparse.Namespace) -> None:
    """Check every option against what its declaration allows."""
    declared = {name: (option, getattr(arguments, name)) for name, (option, _) in sorted(_declared().items())}
    for name, (_, value) in declared.items():
        _check_finite(dashed(name), value)
    for name, (option, value) in declared.items():
        if option.longest is not None:
            _check_range(dashed(name), value, option.longest)
    for name, (option, value) in declared.items():
        if option.least is not None and value is not None:
            _check_count(dashed(name), value, option)
    _check_together(declared)


def _check_finite(name: str, value: object) -> None:
    numbers = [one for one in _each(value) if isinstance(one, float)]
    if not all(map(math.isfinite, numbers)):
        shown = " ".join(f"{number:g}" for number in numbers)
        raise UsageError(f"{name} is {shown}; expected finite numbers.")


def _check_range(name: str, times: Sequence[float], longest: float) -> None:
    """Refuse what cannot be a range of relaxation times: most often it is one in milliseconds."""
    low, high = times
    if not 0 < low < high:
        raise UsageError(f"{name} is {low:g} {high:g}; expected two positive times in seconds, the shorter first.")
    if high > longest or low >= longest / 10:
        raise UsageError(
            f"{name} is {low:g} {high:g}; expected times in seconds, the shorter below {longest / 10:g} and the "
            f"longer at most {longest:g}. Divide by 1000 if these are milliseconds."
        )


def _check_count(name: str, value: int, option: Option) -> None:
    if option.least is not None and value < option.least:
        raise UsageError(f"{name} is {value}; expected {option.least} or more.")
    if option.most is not None and value > option.most:
        raise UsageError(f"{name} is {value}; expected {option.most} or less.")


def _check_together(given: dict[str, tuple[Option, Any]]) -> None:
    """Refuse options that exclude each other."""
    for name, (option, value) in given.items():
        for other in option.excludes:
            if value and given[other][1] is not None:
                raise UsageError(f"{dashed(name)} and {dashed(other)} contradict each other; expected one of them.")


def _check_efficiency(readouts: Readouts) -> None:
    """Check what is said of the inversion of MP2RAGE."""
    given = readouts.inversion_efficiency
    if given is not None:
        _check_given_efficiency(given)
    if given is not None and readouts.mt_prior not in {"none", "tissue"}:
        raise UsageError(
            f"--inversion-efficiency and --mt-prior {readouts.mt_prior} contradict each other: both are of the "
            "inversion efficiency; expected one of them."
        )
    if given is not None and readouts.inversion_efficiency_prior is not None:
        raise UsageError(
            "--inversion-efficiency and --inversion-efficiency-prior contradict each other; expected one of them. For "
            "an SD beside a slope, give InversionEfficiencySD in the protocol file."
        )
    mean, sd = readouts.inversion_efficiency_prior or (1.0, 0.0)
    if not (0 < mean <= 1 and 0 <= sd <= LARGEST_SD):
        raise UsageError(
            f"--inversion-efficiency-prior is {mean:g} {sd:g}; expected a mean above 0 and at most 1, and an SD of 0 "
            f"to {LARGEST_SD:g}."
        )


def _check_given_efficiency(given: tuple[float, ...]) -> None:
    if len(given) > 2 or (len(given) == 1 and not 0 < given[0] <= 1):  # noqa: PLR2004
        raise UsageError(
            f"--inversion-efficiency is {' '.join(map(str, given))}; expected a number above 0 and at most 1, or "
            "two: its value and its slope with R1."
        )


def _check_transmit_field(readouts: Readouts) -> None:
    """Check what is said of the transmit field and of the noise."""
    if not 0 <= readouts.b1_map_sd <= LARGEST_SD:
        raise UsageError(
            f"--b1-map-sd is {readouts.b1_map_sd:g}; expected 0 to {LARGEST_SD:g} of the nominal transmit field."
        )
    mean, sd = readouts.b1_prior
    if not (0.4 <= mean <= 1.6 and 0 <= sd <= 0.5):  # noqa: PLR2004 - what transmit fields are
        raise UsageError(f"--b1-prior is {mean:g} {sd:g}; expected a mean of 0.4 to 1.6 and an SD of 0 to 0.5.")
    if readouts.noise_sd is not None and not readouts.noise_sd > 0:
        raise UsageError(f"--noise-sd is {readouts.noise_sd:g}; expected a number above 0.")
    if readouts.b1_map is not None and not readouts.b1_map.is_file():
        raise NoInputError(f"{readouts.b1_map}: is no file; expected a map of the transmit field.")


def _check_pools(pools: Pools) -> None:
    """Check what is said of the macromolecules of selective inversion recovery."""
    if not 0.1 <= pools.sir_exchange_rate <= 1000:  # noqa: PLR2004 - what exchange in tissue is
        raise UsageError(f"--sir-exchange-rate is {pools.sir_exchange_rate:g}; expected 0.1 to 1000 per second.")
    if not -1 <= pools.sir_saturation <= 1:
        raise UsageError(f"--sir-saturation is {pools.sir_saturation:g}; expected a share from -1 to 1.")


def _selection(given: Selection) -> Selection:
    database = given.bids_database_dir
    if database is not None and not (database / "layout_index.sqlite").is_file():
        raise UsageError(f"--bids-database-dir is {database}; expected a folder with a saved index of pybids.")
    return given


def _labelled(given: Selection) -> Selection:
    """Take the prefixes off labels."""
    try:
        return replace(
            given,
            participant_label=tuple(strip_label("sub", label) for label in given.participant_label),
            session_label=tuple(strip_label("ses", label) for label in given.session_label),
        )
    except InvalidInputError as error:  # which is said of files: here it is the command that is wrong
        raise UsageError(str(error)) from error


def _session(given: Session) -> Session:
    for space in given.output_spaces or ():
        from bids_t1.tissue.templates import require_space  # noqa: PLC0415 - loads numpy, which is needed then anyway

        require_space(space.partition(":")[0])
    return replace(given, derivatives=tuple(map(_existing, given.derivatives)))


def _calibrating(given: Calibrating) -> Calibrating:
    """Find the weights of a model, given them or their folder."""
    path = given.calibration
    if path is None:
        return given
    weights = path / "model.safetensors" if path.is_dir() else path
    if not weights.is_file():
        raise NoInputError(f"--calibration: {weights} is no file; expected what the level group wrote to calibration/.")
    return replace(given, calibration=weights.resolve())


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


def _processors() -> int:
    """Return how many processors this job may use, which is often fewer than the machine has."""
    allotted = len(os.sched_getaffinity(0))
    by_scheduler = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(allotted, processors_of_job() or allotted, int(by_scheduler) if by_scheduler.isdecimal() else allotted)


def _share_of_job(n_processes: int) -> int | None:
    """Return the memory that each process may take of what the job is allowed [MB]; None: no limit."""
    allowed = memory_of_job()
    return None if allowed is None else max(1, allowed // n_processes)


def _command(arguments: argparse.Namespace) -> str:
    """Write the command line for the record, with the names of its options and without its paths."""
    shown = ["bids_t1 bids_dir out_dir participant"]
    for name, (option, default) in sorted(_declared().items()):
        value = getattr(arguments, name)
        if not option.counted and value != default:
            shown.append(dashed(name) if value is True else f"{dashed(name)} {_words(value)}")
    return " ".join(shown)


def _words(value: object) -> str:
    """Write the values of an option; of a path its last part."""
    return " ".join(one.name if isinstance(one, Path) else str(one) for one in _each(value))


def _each(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]
