"""All participants of one folder of derivatives: read from their logs, written as tables."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bids_t1.bids.logs import DAMAGED_LOG, log_paths
from bids_t1.bids.timing import read_time_taken
from bids_t1.bids.write import write_group_table
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.result import GroupResult, MapSummary, ParticipantSummary
from bids_t1.data.sequences import NAMES, sequence_of
from bids_t1.data.sidecar import Sidecar, brief, finite
from bids_t1.data.timing import Stage
from bids_t1.data.tissue import Hemisphere, Tissue
from bids_t1.quality import CRITERIA
from bids_t1.storage import as_tsv
from bids_t1.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LOG = logging.getLogger(__name__)

RAW = "bids:raw:"
"""Begins the URI of an image of the dataset."""

MAPS = {
    "participant_id": "Participant.",
    "session_id": "Session; n/a where there are none.",
    "map": "File of the map of T1, or of T2* (T2starmap).",
    "sequence": f"{', '.join(NAMES[:-1])} or {NAMES[-1]}.",
    "voxels": "Number of voxels with an estimate.",
    "quartile_1": "25 % quantile over these voxels, fluid and tissue outside the brain included [s].",
    "median": "Median over these voxels [s].",
    "quartile_3": "75 % quantile over these voxels [s].",
    "median_sd": "Median of the standard deviation of a single voxel [s].",
    "warnings": "Number of warnings; the page of the participant has them.",
    "verdict": "Whether the scan is good, doubtful or bad, by the numbers in desc-quality_metrics.json.",
    "white_matter": "Median T1 of white matter [s].",
    "grey_matter": "Median T1 of cortical grey matter [s].",
    "subcortical_grey_matter": "Median T1 of subcortical grey matter [s].",
    "cerebrospinal_fluid": "Median T1 of cerebrospinal fluid [s].",
    "rotation": "Angle by which registration to inversion recovery turned it [degree].",
    "translation": "How far registration to inversion recovery moved the middle of the brain [mm].",
    "bias": "Mean difference from inversion recovery, in white and grey matter [s].",
    "bias_sd": "Standard deviation of this difference over voxels [s].",
    "field_strength": "Field strength [T].",
    **{one.key: f"{one.title}{one.unit and f' [{one.unit}]'}; {one.threshold}." for one in CRITERIA.values()},
}
"""Columns of group_maps.tsv."""

PARTICIPANTS = {
    "participant_id": "Participant.",
    "status": "done, with failures, or not processed.",
    "maps": "Number of runs with maps.",
    "failures": "What could not be processed and why.",
    "version": "Version of bids_t1 that processed the participant.",
}
"""Columns of group_participants.tsv."""

TIMES = {
    "participant_id": "Participant.",
    "seconds": "How long its stages took, by the clock, all sessions together [s].",
    "processor_seconds": "What they took of all processors together [s].",
    **{stage.value: f"{stage.heading}, by the clock [s]." for stage in Stage},
}
"""Columns of group_timing.tsv."""


def read_group(out_dir: Path, participants: Iterable[str]) -> GroupResult:
    """Read what became of participants; those without a readable log count as not processed."""
    summaries: list[ParticipantSummary] = []
    maps: list[MapSummary] = []
    for participant in participants:
        try:
            summary, found = _summary(participant, [read_json(path) for path in log_paths(out_dir, participant)])
        except DAMAGED_LOG as error:
            summary, found = _damaged(participant, error), []
        summaries.append(replace(summary, time_taken=read_time_taken(out_dir, participant)))
        maps += found
    return GroupResult(participants=tuple(summaries), maps=tuple(maps))


def with_left_behind(group: GroupResult, bids_dir: Path) -> GroupResult:
    """Return a group with the names of maps whose images a dataset holds no more.

    None where it holds those of no map at all: then it is another folder, or lies elsewhere now.
    """
    named = [one for one in group.maps if one.images]
    gone = tuple(one.name for one in named if not any(os.path.lexists(bids_dir / image) for image in one.images))
    return replace(group, left_behind=gone if len(gone) < len(named) else ())


def _summary(participant: str, logs: Sequence[Mapping[str, Any]]) -> tuple[ParticipantSummary, list[MapSummary]]:
    """Return what a participant's logs say; raise one of `DAMAGED_LOG` where they lack something."""
    failures = tuple(str(failure) for log in logs for failure in log["failures"])
    found = [_map(participant, run, log) for log in logs for run in log["runs"]]
    summary = ParticipantSummary(
        participant=participant,
        status="not processed" if not logs else "with failures" if failures else "done",
        n_maps=len(found),
        failures=failures,
        version=str(logs[-1]["versions"]["bids_t1"]) if logs else "",
    )
    return summary, found


def _damaged(participant: str, error: Exception) -> ParticipantSummary:
    """Count a participant whose log cannot be used as not processed, and say so."""
    found = str(error) if isinstance(error, InvalidInputError) else f"{type(error).__name__}: {brief(str(error))}"
    message = (
        f"sub-{participant}: a log of it is damaged or of another version ({found}); expected one of this version. "
        "Process the participant again."
    )
    LOG.warning(message)
    return ParticipantSummary(
        participant=participant, status="not processed", n_maps=0, failures=(message,), version=""
    )


def participants_with_logs(out_dir: Path) -> set[str]:
    """Return the labels of participants that were processed into a folder of derivatives."""
    names = (path.name.split(".")[0].split("_")[0] for path in (out_dir / "logs").glob("sub-*.json"))
    return {name.removeprefix("sub-") for name in names}


def _map(participant: str, run: Mapping[str, Any], log: Mapping[str, Any]) -> MapSummary:
    summary = Sidecar("summary", run["summary"])
    n_voxels, quartiles = int(run["summary"]["Voxels"]), summary.numbers("Quartiles")
    if n_voxels and quartiles is None:
        raise InvalidInputError("summary: Quartiles is missing; expected three numbers where there are voxels.")
    name = _name(participant, run["name"])
    sequence_of(sequence := str(run["sequence"]))
    return MapSummary(
        participant=participant,
        session=name.get("ses"),
        name=str(name),
        sequence=sequence,
        n_voxels=n_voxels,
        quartiles=None if quartiles is None else (quartiles[0], quartiles[1], quartiles[2]),
        median_sd=summary.number("MedianSD"),
        n_warnings=len(run["warnings"]),
        verdict=log.get("quality", {}).get(str(name), {}).get("Verdict"),
        white_matter=_median_of(Tissue.WHITE_MATTER, str(name), log),
        grey_matter=_median_of(Tissue.GREY_MATTER, str(name), log),
        subcortical_grey_matter=_median_of(Tissue.SUBCORTICAL_GREY_MATTER, str(name), log),
        cerebrospinal_fluid=_median_of(Tissue.FLUID, str(name), log),
        quality=_quality_of(str(name), log),
        field_strength=finite(run.get("record", {}).get("MagneticFieldStrength")),
        images=_images_of(run),
        **_beside_reference(str(name), log),
    )


def _images_of(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the raw images of a run, as paths in its dataset."""
    sources = run.get("record", {}).get("Sources")
    listed = sources if isinstance(sources, list) else []
    return tuple(str(one).removeprefix(RAW) for one in listed if str(one).startswith(RAW) and ".." not in str(one))


def _name(participant: str, written: str) -> BidsName:
    """Return the name of a map, which has to be of this participant."""
    name = BidsName.parse(written)
    if name.get("sub") != participant:
        raise InvalidInputError(f"name is {brief(written)}; expected that of a map of sub-{participant}.")
    return name


def _quality_of(name: str, log: Mapping[str, Any]) -> dict[str, float]:
    found = log.get("quality", {}).get(name, {})
    return {key: value for key in CRITERIA if (value := finite(found.get(key))) is not None}


def _beside_reference(name: str, log: Mapping[str, Any]) -> dict[str, float | None]:
    """Return how a map lies to that of inversion recovery, and how far it differs; nothing where there is none."""
    compared = next((one for one in log.get("comparisons", ()) if one.get("moving") == name), None)
    if compared is None:
        return {}
    rows = [
        row
        for row in log.get("agreements", ())
        if (row.get("map"), row.get("tissue"), row.get("eroded")) == (compared.get("name"), None, False)
    ]
    agreement, alignment = rows[0] if rows else {}, compared["alignment"]
    return {
        "rotation": finite(alignment.get("rotation")),
        "translation": finite(alignment.get("translation")),
        "bias": finite(agreement.get("bias")),
        "bias_sd": finite(agreement.get("sd")),
    }


def _median_of(tissue: Tissue, name: str, log: Mapping[str, Any]) -> float | None:
    """Return the median of a tissue in a map, both sides and borders included [s]."""
    wanted = {"map": name, "tissue": tissue, "hemisphere": Hemisphere.NEITHER, "eroded": False}
    rows = [row for row in log.get("regions", ()) if all(row.get(key) == value for key, value in wanted.items())]
    return Sidecar("regions", rows[0]).number("median") if rows else None


def write_tables(out_dir: Path, group: GroupResult) -> None:
    """Write tables of maps, participants and times, each with a description of its columns."""
    maps = [
        (
            f"sub-{one.participant}",
            one.session and f"ses-{one.session}",
            one.name,
            one.sequence,
            one.n_voxels,
            *(one.quartiles or (None,) * 3),
            one.median_sd,
            one.n_warnings,
            one.verdict,
            one.white_matter,
            one.grey_matter,
            one.subcortical_grey_matter,
            one.cerebrospinal_fluid,
            one.rotation,
            one.translation,
            one.bias,
            one.bias_sd,
            one.field_strength,
            *(one.quality.get(key) for key in CRITERIA),
        )
        for one in group.maps
    ]
    participants = [
        (f"sub-{one.participant}", one.status, one.n_maps, " | ".join(one.failures) or None, one.version or None)
        for one in group.participants
    ]
    tables = (
        ("maps", MAPS, maps),
        ("participants", PARTICIPANTS, participants),
        ("timing", TIMES, _times(group.participants)),
    )
    for name, columns, rows in tables:
        write_group_table(out_dir, name, columns, as_tsv(list(columns), rows))


def _times(participants: Iterable[ParticipantSummary]) -> list[tuple[object, ...]]:
    known = (one.time_taken for one in participants if one.time_taken is not None)
    return [
        (f"sub-{one.participant}", one.seconds, one.processor_seconds, *map(one.by_stage.get, Stage)) for one in known
    ]
