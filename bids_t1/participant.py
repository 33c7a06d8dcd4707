"""One participant, from files to maps and page. Read `process_participant` first."""

from __future__ import annotations

import json
import logging
import math
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from scipy import stats
from tqdm import tqdm

from bids_t1.bids import discover, load, results, write
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import (
    BidsT1Error,
    InputOutputError,
    InvalidInputError,
    NoInputError,
    NothingSelectedError,
    UsageError,
)
from bids_t1.data.estimate import VoxelStatus, count_statuses
from bids_t1.data.outputs import outputs_of
from bids_t1.data.result import RunResult
from bids_t1.dicom.convert import convert
from bids_t1.dicom.record import Conversion
from bids_t1.estimation.engine import EstimationOptions, estimate
from bids_t1.estimation.examples import choose_examples
from bids_t1.report.page import write_page
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.storage import publishing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bids_t1.data.acquisition import Acquisition, Kind, Series
    from bids_t1.data.estimate import Estimate
    from bids_t1.dicom.sources import DicomSource
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

ALGORITHMS = {
    "free": "inversion recovery with TR and free inversion efficiency, least squares by variable projection",
    "learned": "inversion recovery with TR, inversion efficiency with a prior learned from the image by marginal "
    "likelihood, penalised least squares by variable projection",
    "ideal": "inversion recovery M0 (1 - 2 exp(-TI/T1)), dictionary start, least squares by variable projection",
}

MANY_UNDECIDED = 0.3
"""Share of voxels with undecided signs from which the page warns."""

REFERENCE = "Barral et al., Magn Reson Med 64:1057 (2010), doi:10.1002/mrm.22497"


@dataclass(frozen=True, slots=True)
class Work:
    """One participant, and the scanner files to convert where there are no raw images."""

    participant: str
    sources: tuple[DicomSource, ...] = ()
    """One per session."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one participant."""

    participant: str
    n_runs: int
    failures: tuple[BidsT1Error, ...]
    page: Path | None


@dataclass(frozen=True, slots=True)
class _Session:
    """What there is to process for one session, or for a participant without sessions."""

    label: str | None
    acquisitions: tuple[Acquisition, ...]
    conversion: Conversion | None
    failures: tuple[BidsT1Error, ...] = ()


def process_participant(work: Work, settings: Settings) -> Outcome:
    """Convert, find, fit, write and report one participant; expected failures are returned, not raised."""
    n_runs = 0
    failures: list[BidsT1Error] = []
    if not settings.reports_only:
        labels = set()
        for session in _sessions(work, settings):
            n_fitted, failed = _process_session(work.participant, session, settings)
            n_runs += n_fitted
            failures += failed
            labels.add(session.label)
        if None not in labels:  # what an earlier run could not tell sessions of is settled now
            results.log_path(settings.out_dir, work.participant, None).unlink(missing_ok=True)
    result = results.read_result(settings.out_dir, work.participant)
    if result is None:
        raise NoInputError(
            f"sub-{work.participant}: {settings.out_dir.name} holds no results of it; expected a log. Process it first."
        )
    page = write_page(result, settings.out_dir)
    return Outcome(work.participant, n_runs, tuple(failures), page)


def _sessions(work: Work, settings: Settings) -> Iterator[_Session]:
    """Find what there is to fit, converting scanner files where the dataset has no raw images of the sequence."""
    try:
        found = _find(settings.bids_dir, work.participant, settings, settings.sessions)
    except BidsT1Error as error:
        yield _Session(None, (), None, (error,))
        return
    if found:
        # Images outside of sessions first: their folder is replaced as a whole, with those of sessions in it.
        for label in sorted({acquisition.name.get("ses") for acquisition in found}, key=lambda label: label or ""):
            yield _Session(label, tuple(run for run in found if run.name.get("ses") == label), None)
        return
    if not work.sources:
        where = f" in session {', '.join(settings.sessions)}" if settings.sessions else ""
        message = (
            f"sub-{work.participant}: no inversion-recovery images (suffix IRT1) and no DICOM files{where}; "
            "expected either. Check the folder, or leave this participant out with --participant-label."
        )
        yield _Session(None, (), None, (NothingSelectedError(message) if where else NoInputError(message),))
    for source in work.sources:
        yield _converted(work.participant, source, settings)


def _find(dataset: Path, participant: str, settings: Settings, sessions: tuple[str, ...]) -> tuple[Acquisition, ...]:
    found = discover.find(
        dataset,
        participant,
        sessions=sessions,
        filters=discover.read_filters(settings.filter_file),
        database=settings.database if dataset == settings.bids_dir else None,
    )
    return tuple(run for run in found.runs if run.sequence == "IRT1")


def _converted(participant: str, source: DicomSource, settings: Settings) -> _Session:
    """Convert the scanner files of one session, or take over an earlier conversion of the same files."""
    raw = raw_dataset(settings, converted=True)
    record = results.log_path(settings.out_dir, participant, source.session).with_suffix(".conversion.json")
    LOG.info("sub-%s: reading DICOM headers", participant)
    try:
        _require_outside(raw, settings.bids_dir)
        conversion = convert(
            source.folder,
            raw,
            settings.work_dir,
            participant=participant,
            session=source.session,
            previous=_previous(record),
        )
        write.write_log(record, conversion.to_json())
        sessions = () if source.session is None else (source.session,)
        return _Session(source.session, _find(raw, participant, settings, sessions), conversion)
    except BidsT1Error as error:
        return _Session(source.session, (), None, (error,))


def _previous(record: Path) -> Conversion | None:
    """Return the record of an earlier conversion; None where there is none that can be read."""
    try:
        return Conversion.from_json(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _require_outside(raw: Path, bids_dir: Path) -> None:
    """Refuse to convert into the input itself, which is possible where it lies in out_dir/sourcedata/raw."""
    if raw == bids_dir or bids_dir.is_relative_to(raw):
        raise UsageError(
            f"{raw}: is where DICOM files are converted to, and holds bids_dir, which is only read; "
            "expected another out_dir."
        )


def raw_dataset(settings: Settings, *, converted: bool) -> Path:
    """Return the root of the raw dataset: the input itself, or what is converted from its DICOM files."""
    return settings.out_dir / "sourcedata" / "raw" if converted else settings.bids_dir


def _source_datasets(settings: Settings) -> dict[str, Path]:
    """Name the raw datasets that maps come from, as in the BIDS URIs of their sidecars.

    A folder of scanner files is not among them: it is no BIDS dataset, and its name may be that of a person.
    """
    converted = raw_dataset(settings, converted=True)
    holds_images = bool(discover.participants(settings.bids_dir))
    named = {"raw": settings.bids_dir} if holds_images else {}
    return named | ({"converted": converted} if converted.is_dir() and converted != settings.bids_dir else {})


def _process_session(participant: str, session: _Session, settings: Settings) -> tuple[int, list[BidsT1Error]]:
    """Fit every run of a session and write what succeeded, together, in one step; return how many runs did."""
    raw = raw_dataset(settings, converted=session.conversion is not None)
    runs: list[RunResult] = []
    failures = list(session.failures)
    for acquisition in session.acquisitions:
        try:
            runs.append(_process_run(acquisition, raw, settings))
        except BidsT1Error as error:
            failures.append(error)
    if runs:
        write.describe_derivatives(settings.out_dir, _source_datasets(settings))
        labels = {"sub": participant, "ses": session.label}
        with publishing(settings.out_dir, Path(BidsName.build(labels, "T1map").folder("."))) as folder:
            for run in runs:
                write.write_run(folder, run)
    for failure in failures:
        LOG.error("sub-%s: %s", participant, failure)
    conversion = session.conversion
    log = {
        "runs": [write.log_of_run(run) for run in runs],
        "failures": [str(failure) for failure in failures],
        "warnings": [] if conversion is None else list(conversion.warnings),
        "series": [] if conversion is None else [asdict(series) for series in conversion.series],
        "versions": versions(),
        "command": settings.command,
    }
    write.write_log(results.log_path(settings.out_dir, participant, session.label), log)
    return len(runs), failures


def _process_run(acquisition: Acquisition, raw: Path, settings: Settings) -> RunResult:
    """Fit one inversion-recovery run."""
    _require_memory(acquisition, settings)
    series = load.load_inversion_recovery(acquisition)
    with _naming(acquisition):
        model, notes = InversionRecovery.from_metadata(series.sidecars, ideal=settings.efficiency == "ideal")
    options = EstimationOptions(
        time_range=settings.t1_range,
        learn_ratio=settings.efficiency == "learned",
        noise=settings.noise,
        restore_polarity=settings.restore_polarity,
        device=settings.device,
        n_threads=settings.n_threads,
    )
    shape = " x ".join(map(str, series.grid.shape))
    LOG.info(
        "%s: %d inversion times, %s voxels, %s data",
        acquisition.name,
        model.n_measurements,
        shape,
        series.kind,
    )
    n_voxels = math.prod(series.grid.shape)
    quiet = settings.n_processes > 1 or not sys.stderr.isatty()
    with (
        _naming(acquisition),
        tqdm(total=n_voxels, unit="voxel", unit_scale=True, desc=str(acquisition.name), disable=quiet) as bar,
    ):
        fitted = estimate(model, series.measurements, series.kind, options, progress=bar.update)
    counts = count_statuses(fitted.status)
    LOG.info(
        "%s: %d of %d voxels have an estimate",
        acquisition.name,
        sum(counts[status.name] for status in VoxelStatus if status.has_estimate),
        n_voxels,
    )
    return RunResult(
        name=acquisition.name.having({"desc": "IRT1"}, suffix="T1map", extension=".nii.gz"),
        sequence="IRT1",
        grid=series.grid,
        maps={row.quantity: getattr(fitted, row.quantity) for row in outputs_of("IRT1")},
        record=_record(series, model, fitted, raw, settings),
        status_counts=counts,
        examples=choose_examples(model, series, model.inversion_times, fitted),
        warnings=(*series.warnings, *notes, *_doubts(counts)),
    )


def _doubts(counts: dict[str, int]) -> tuple[str, ...]:
    """Warn where the signs that magnitudes have lost stay open in much of the image."""
    share = counts["POLARITY_UNDECIDED"] / max(
        1, sum(counts[status.name] for status in VoxelStatus if status.has_estimate)
    )
    if share < MANY_UNDECIDED:
        return ()
    message = (
        f"In {share:.0%} of the fitted voxels two choices of sign explain the magnitudes, with different T1; "
        "their SD says how different. Real or complex images, or more inversion times, would decide."
    )
    return (message,)


@contextmanager
def _naming(acquisition: Acquisition) -> Iterator[None]:
    """Put the run into messages of the physics and the engine, which know no files."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{acquisition.name}: {error}") from error


def _require_memory(acquisition: Acquisition, settings: Settings) -> None:
    """Refuse a run that would not fit: images and maps take up to twice the images, the program below 1 GB."""
    if settings.memory_mb is None:
        return
    needed = (2 * load.size_in_memory(acquisition) + 1e9) / 1e6
    if needed > settings.memory_mb:
        raise InputOutputError(
            f"{acquisition.name}: needs {needed:.0f} MB, --mem-mb allows {settings.memory_mb}. Give it more."
        )


def _record(
    series: Series, model: InversionRecovery, fitted: Estimate, raw: Path, settings: Settings
) -> dict[str, object]:
    """Say where every number of the maps comes from."""
    first = series.sidecars[0]
    link = "raw" if raw == settings.bids_dir else "converted"
    record: dict[str, object] = {
        "Sources": [f"bids:{link}:{path.relative_to(raw).as_posix()}" for path in series.sources],
        "EstimationAlgorithm": ALGORITHMS[settings.efficiency],
        "EstimationReference": REFERENCE,
        "InversionTimes": list(model.inversion_times),
        "RepetitionTimes": [time if math.isfinite(time) else None for time in model.repetition_times],
        "EchoTime": _if_valid(first.seconds, "EchoTime"),
        "MagneticFieldStrength": _if_valid(first.number, "MagneticFieldStrength"),
        "Manufacturer": first.text("Manufacturer"),
        "DataKind": series.kind,
        "PolarityRestored": series.kind == "magnitude" or settings.restore_polarity,
        "EfficiencyModel": settings.efficiency,
        "NoiseHandling": _noise_handling(series.kind, fitted, settings),
        "SearchRange": list(settings.t1_range),
        "NoiseSD": {"Background": fitted.noise.background, "Residual": fitted.noise.residual},
        "DegreesOfFreedom": fitted.degrees_of_freedom,
        "IntervalFactor": _interval_factor(fitted.degrees_of_freedom),
        "Device": fitted.device,
        "EstimationSoftware": versions(),
    }
    if fitted.learned_ratio is not None:
        learned = fitted.learned_ratio
        record["LearnedEfficiency"] = {
            "AtT1": list(learned.times),
            "Mean": list(learned.means),
            "SD": learned.sd,
            "Voxels": learned.n_voxels,
        }
    return {key: value for key, value in record.items() if value is not None}


def _if_valid(read: Callable[[str], float | None], key: str) -> float | None:
    """Read a field that enters no computation: one that cannot be used is left out of the record, not refused."""
    try:
        return read(key)
    except InvalidInputError:
        return None


def _noise_handling(kind: Kind, fitted: Estimate, settings: Settings) -> str:
    """Say what was really done: the noise's mean share is taken off only where it is known."""
    if kind != "magnitude" or (settings.noise == "floor" and not fitted.noise.is_rician):
        return "gaussian"
    return settings.noise


def _interval_factor(degrees_of_freedom: int) -> float | None:
    """Return the number of SDs of a 95 % interval; None where there are no residuals."""
    return float(stats.t.ppf(0.975, degrees_of_freedom)) if degrees_of_freedom > 0 else None


def versions() -> dict[str, str]:
    """Return the versions of this program and of what computes its numbers."""
    return {name: version(name) for name in ("bids_t1", "torch", "numpy", "nibabel", "pybids", "pydicom", "dcm2niix")}
