"""Training a calibration from what participants left: MP2RAGE beside inversion recovery. Read `learn` first."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from bids_t1 import __version__
from bids_t1.bids import results
from bids_t1.bids.logs import log_paths
from bids_t1.bids.write import write_log
from bids_t1.bids.write_calibration import write_scores
from bids_t1.calibration.baselines import protocol_of
from bids_t1.calibration.cross_validation import calibrate
from bids_t1.calibration.model_file import load_model, save_model
from bids_t1.cgroup import memory_available
from bids_t1.data.calibration import (
    PRESETS,
    VOXELS,
    Calibration,
    CalibrationOptions,
    CalibrationScores,
    PairedScan,
    ReferenceScan,
    TrainingPlan,
    TrainingProgress,
)
from bids_t1.data.codec import decode
from bids_t1.data.errors import BidsT1Error, InputOutputError, InvalidInputError
from bids_t1.data.groups import grouped_by
from bids_t1.estimation.chunks import choose_device
from bids_t1.places import CHECKPOINTS
from bids_t1.report.pages.calibration_card import write_card
from bids_t1.runs.calibrated import measured_scan
from bids_t1.runs.slow_time import believed_correction
from bids_t1.scratch import sweep
from bids_t1.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bids_t1.data.prior_correction import PriorCorrection
    from bids_t1.data.result import Comparison, ParticipantResult
    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

LONG = 90
"""Seconds from which a time is told in minutes."""

OF_PROCESS = 450
"""Memory of a process that trains and judges a fold, before it does [MB]."""

OF_VOXEL = 7e-4
"""What each voxel of a head that is judged needs of it [MB]."""

FOLDER = "calibration"
"""In the derivatives: model, card and page."""


def learn(participants: Sequence[str], settings: Settings) -> Calibration | str:
    """Train and judge a calibration, and write the model; or say why there is nothing to learn from.

    A training that was stopped goes on where it was; one of the same maps and options is not repeated.

    Raises
    ------
    InvalidInputError
        If the participants were scanned with different protocols.
    """
    scans = _Pairs.of(participants, settings)
    if not len(scans):
        return "Participants with MP2RAGE registered to inversion recovery: 0; expected one or more."
    options = _options(settings)
    folder, log = settings.out_dir / FOLDER, settings.out_dir / "logs" / f"{FOLDER}.json"
    digest = _digest(scans, options, settings)
    done = None if settings.running.force else _finished(folder, log, digest)
    if done is not None:
        LOG.info("calibration: trained before on the same maps with the same options; left as it is")
        write_card(done.model.card, folder)
        return done
    LOG.info("calibration: %d participants, preset %s", len(scans.participants), options.plan.name)
    checkpoints = settings.work_dir / CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    sweep(checkpoints)
    n_processes = _at_a_time(options.plan, scans[0].measured.time.size, settings)
    calibration = calibrate(
        scans,
        replace(options, n_processes=n_processes),
        believed=_believed(scans[0].measured_protocol),
        checkpoints=checkpoints,
        progress=tell,
    )
    for reason in calibration.left_out:
        LOG.warning("calibration: %s", reason)
    folder.mkdir(exist_ok=True)
    save_model(calibration.model, folder)
    write_card(calibration.model.card, folder)
    write_scores(settings.out_dir, calibration.scores)
    write_log(
        log,
        {"digest": digest, "scores": asdict(calibration.scores), "left_out": list(calibration.left_out)},
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    with suppress(OSError):  # not empty: somebody else works there
        settings.work_dir.rmdir()
    return calibration


def _options(settings: Settings) -> CalibrationOptions:
    device = choose_device(settings.computing.device).type
    chosen = settings.calibrating.calibration_preset
    preset = chosen if chosen != "auto" else "small" if device == "cpu" else "full"
    return CalibrationOptions(
        plan=PRESETS[preset],
        voxels=VOXELS[preset],
        folds=settings.calibrating.folds,
        seed=settings.running.random_seed,
        device=device,
    )


def _at_a_time(plan: TrainingPlan, voxels: int, settings: Settings) -> int:
    """Return for how many folds at a time there are processors and, beside this process, memory."""
    n_processes = settings.running.nprocs
    allowed = memory_available() if settings.memory_mb is None else settings.memory_mb * n_processes
    needed = OF_PROCESS + OF_VOXEL * voxels + plan.memory_mb
    room = settings.n_threads * n_processes
    return room if allowed is None else max(1, min(room, int(allowed / needed) - 1))


def _believed(record: Mapping[str, object]) -> PriorCorrection | None:
    """Return what tissue as it is believed to be makes of the protocol of a T1 map; None where nothing is known."""
    played, field_strength = protocol_of(record), record.get("MagneticFieldStrength")
    try:
        return None if played is None else believed_correction(played, field_strength)  # type: ignore[arg-type]
    except InvalidInputError as error:
        LOG.info("calibration: no tissue prior: %s", error)
        return None


@dataclass(frozen=True, slots=True)
class _Key:
    """Where a pair is found."""

    participant: str
    place: int
    """Among the comparisons of the participant."""

    n_readouts: int


@dataclass(slots=True)
class _Pairs(Sequence["PairedScan"]):
    """What participants have of MP2RAGE registered to inversion recovery: read when asked for, one participant held."""

    keys: list[_Key]
    settings: Settings
    held: ParticipantResult | None = None

    @classmethod
    def of(cls, participants: Sequence[str], settings: Settings) -> _Pairs:
        """Look for the pairs of all participants."""
        keys = [key for participant in participants for key in _keys(participant, settings)]
        return cls(keys=_of_one_sequence(keys), settings=settings)

    def __reduce__(self) -> tuple[type[_Pairs], tuple[list[_Key], Settings]]:
        """Go to another process without what is held: it reads its own."""
        return _Pairs, (self.keys, self.settings)

    @property
    def participants(self) -> list[str]:
        """Return the labels of those who have a pair."""
        return sorted({key.participant for key in self.keys})

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, place: int) -> PairedScan: ...
    @overload
    def __getitem__(self, place: slice) -> list[PairedScan]: ...
    def __getitem__(self, place: int | slice) -> PairedScan | list[PairedScan]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        key = self.keys[place]
        if self.held is None or self.held.participant != key.participant:
            self.held = None  # before the next one is read
            self.held = results.read_result(self.settings.out_dir, key.participant)
        if self.held is None:
            raise InputOutputError(f"sub-{key.participant}: its log has gone since the training began; run it again.")
        return _pair(self.held, self.held.comparisons[key.place])


def _keys(participant: str, settings: Settings) -> Iterator[_Key]:
    """Yield where the pairs of a participant are found."""
    try:
        result = results.read_result(settings.out_dir, participant)
    except BidsT1Error as error:
        LOG.warning("calibration: sub-%s is left out: %s", participant, error)
        return
    records = {} if result is None else {str(run.name): run.record for run in result.runs}
    for place, comparison in enumerate(() if result is None else result.comparisons):
        if comparison.alignment.trusted:
            times = records[comparison.moving]["InversionTimes"]
            yield _Key(participant, place, len(times) if isinstance(times, list) else 0)
        else:
            LOG.warning("calibration: %s is left out: %s", comparison.moving, " ".join(comparison.alignment.reasons))


def _pair(result: ParticipantResult, comparison: Comparison) -> PairedScan:
    runs = {str(run.name): run for run in result.runs}
    tissues = {name: anatomy for anatomy in result.anatomies for name in anatomy.runs}
    moving, fixed = runs[comparison.moving], runs[comparison.fixed]
    own = tissues[comparison.moving].maps
    return PairedScan(
        label=comparison.moving.removesuffix("_T1map.nii.gz"),
        participant=result.participant,
        measured=measured_scan(moving, own["brain"] > 0, own["tissue"]),
        reference=ReferenceScan(
            grid=fixed.grid,
            time=fixed.maps["time"],
            time_sd=fixed.maps["time_sd"],
            tissue=tissues[comparison.fixed].maps["tissue"],
            matrix=comparison.alignment.matrix,
        ),
        measured_protocol=moving.record,
        reference_protocol=fixed.record,
    )


def _of_one_sequence(keys: Sequence[_Key]) -> list[_Key]:
    """Keep the sequence that most pairs have: a correction holds for one protocol."""
    by_readouts = grouped_by(keys, lambda key: key.n_readouts)
    kept = max(by_readouts.values(), key=len, default=[])
    if len(kept) < len(keys):
        LOG.warning("calibration: %d runs with another number of readouts are left out", len(keys) - len(kept))
    return kept


def _digest(scans: _Pairs, options: CalibrationOptions, settings: Settings) -> str:
    """Return a digest of all that a training depends on: options, version, and the maps by their checksums."""
    digest = hashlib.sha256(f"{__version__}|{json.dumps(asdict(options))}".encode())
    for participant in scans.participants:
        for path in log_paths(settings.out_dir, participant):
            log = read_json(path)
            digest.update(json.dumps([log["outputs"], log["comparisons"]], sort_keys=True).encode())
    return digest.hexdigest()


def _finished(folder: Path, log: Path, digest: str) -> Calibration | None:
    """Return an earlier training on the same maps with the same options, where all of it can be read."""
    try:
        content: dict[str, Any] = read_json(log)
        if content["digest"] != digest:
            return None
        return Calibration(
            model=load_model(folder / "model.safetensors"),
            scores=decode(CalibrationScores, content["scores"]),
            left_out=tuple(str(reason) for reason in content["left_out"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, BidsT1Error):
        return None


def tell(progress: TrainingProgress) -> None:
    """Say which network learns, how far all of them are, and how long the rest will take at most."""
    loss = progress.training_loss if progress.validation_loss is None else progress.validation_loss
    seconds = progress.seconds_left
    left = f"{math.ceil(seconds / 60)} min" if seconds > LONG else f"{round(seconds)} s"
    LOG.info(
        "calibration: %s, epoch %d of %d, loss %.3f, %.0f %% done, at most %s left",
        progress.member, progress.epoch, progress.epochs, loss, 100 * progress.share, left,
    )  # fmt: skip
