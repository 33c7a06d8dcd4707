"""What was written for a participant, read back: the report shows what is on disk, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_t1.bids.images import UNREADABLE, open_image, voxels_of
from bids_t1.bids.logs import DAMAGED_LOG, log_paths, read_log
from bids_t1.bids.write import output_name
from bids_t1.data.alignment import Alignment
from bids_t1.data.codec import decode
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InputOutputError
from bids_t1.data.grid import Grid
from bids_t1.data.outputs import ANATOMY, outputs_of
from bids_t1.data.result import (
    Anatomy,
    Comparison,
    Example,
    InTemplate,
    ParticipantResult,
    RunResult,
    SeriesNote,
    SignalCurve,
)
from bids_t1.data.sidecar import brief
from bids_t1.data.tissue import Agreement, RegionStatistics
from bids_t1.resampling import resample_times
from bids_t1.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class _Roots:
    """Where the files of one dataset are read from."""

    folders: tuple[Path, ...]
    """Where they may lie; earlier ones count first."""

    n_threads: int
    """Maps read at a time."""


def read_result(
    out_dir: Path,
    participant: str,
    *,
    staged: Path | None = None,
    obsolete: Path | None = None,
    n_threads: int = 1,
) -> ParticipantResult | None:
    """Read back all sessions of a participant, or None where none was written.

    Parameters
    ----------
    out_dir
        Root of the derivatives.
    participant
        Label.
    staged
        Root of what is to take its place there, and counts in its stead.
    obsolete
        A log that is to go.
    n_threads
        Maps read at a time.

    Raises
    ------
    InputOutputError
        If a log or map cannot be read.
    """
    folders = (out_dir,) if staged is None else (staged, out_dir)
    named = {path.name: path for root in reversed(folders) for path in log_paths(root, participant) if path != obsolete}
    paths = [named[name] for name in sorted(named)]  # that outside of sessions first
    logs = [read_log(path) for path in paths]
    if not logs:
        return None
    try:
        return _from_logs(_Roots(folders, n_threads), participant, logs)
    except DAMAGED_LOG as error:
        raise InputOutputError(
            f"sub-{participant}: its log in {paths[0].parent.name} is damaged or of another version "
            f"({type(error).__name__}: {brief(str(error))}); expected one of this version. Process the participant "
            "again."
        ) from error


def _from_logs(roots: _Roots, participant: str, logs: Sequence[dict[str, Any]]) -> ParticipantResult:
    def entries(key: str) -> Iterator[Any]:
        return chain.from_iterable(log[key] for log in logs)

    runs = tuple(_read_run(roots, entry) for entry in entries("runs"))
    return ParticipantResult(
        participant=participant,
        runs=runs,
        anatomies=tuple(_read_anatomy(roots, entry) for entry in entries("anatomies")),
        comparisons=tuple(_read_comparison(roots, entry, runs) for entry in entries("comparisons")),
        in_templates=tuple(_read_in_template(roots, entry) for entry in entries("in_templates")),
        regions=tuple(map(partial(decode, RegionStatistics), entries("regions"))),
        agreements=tuple(map(partial(decode, Agreement), entries("agreements"))),
        failures=tuple(entries("failures")),
        series=tuple(map(partial(decode, SeriesNote), entries("series"))),
        warnings=tuple(entries("warnings")),
        versions=logs[-1]["versions"],
        command=logs[-1]["command"],
    )


def _read_run(roots: _Roots, log: dict[str, Any]) -> RunResult:
    name = BidsName.parse(log["name"])
    maps, grid = _read_maps(roots, name, log["sequence"], log["maps"])
    if grid is None:
        raise InputOutputError(f"{log['name']}: no outputs are known for {log['sequence']}.")
    return RunResult(
        name=name,
        sequence=log["sequence"],
        grid=grid,
        maps=maps,
        record=log["record"],
        status_counts=log["status_counts"],
        examples=tuple(map(partial(decode, Example), log["examples"])),
        warnings=tuple(log["warnings"]),
        curve=None if log["curve"] is None else decode(SignalCurve, log["curve"]),
    )


def _read_maps(
    roots: _Roots, name: BidsName, sequence: str, quantities: Sequence[str]
) -> tuple[dict[str, np.ndarray], Grid | None]:
    """Read the maps of a run by quantity, and the grid they share; None where there is none."""
    rows = [row for row in outputs_of(sequence) if row.quantity in quantities]
    paths = [_find(roots, Path(name.folder(row.datatype), str(output_name(name, row)))) for row in rows]
    read = side_by_side(_read_map, paths, roots.n_threads)
    maps = {row.quantity: values for row, (values, _) in zip(rows, read, strict=True)}
    return maps, read[-1][1] if read else None


def _read_map(path: Path) -> tuple[np.ndarray, Grid]:
    try:
        image = open_image(path)
        return voxels_of(path, image), Grid((image.shape[0], image.shape[1], image.shape[2]), image.affine)
    except UNREADABLE as error:
        raise InputOutputError(f"{path.name}: cannot be read ({error}). Process the participant again.") from error


def _find(roots: _Roots, path: Path) -> Path:
    """Return where a file lies: in the first root that has it."""
    return next((root / path for root in roots.folders if (root / path).is_file()), roots.folders[-1] / path)


def _read_anatomy(roots: _Roots, log: dict[str, Any]) -> Anatomy:
    name = BidsName.parse(log["name"])
    maps, grid = _read_maps(roots, name, ANATOMY, log["maps"])
    if grid is None:
        raise InputOutputError(f"{log['name']}: its log lists no maps. Process the participant again.")
    return Anatomy(
        name=name, runs=tuple(log["runs"]), grid=grid, maps=maps, record=log["record"], warnings=tuple(log["warnings"])
    )


def _read_comparison(roots: _Roots, log: dict[str, Any], runs: Sequence[RunResult]) -> Comparison:
    """Read a comparison; the picture before registration follows from the maps of both runs."""
    name = BidsName.parse(log["name"])
    maps, _ = _read_maps(roots, name, log["sequence"], log["maps"])
    by_name = {str(run.name): run for run in runs}
    moving, fixed = by_name[log["moving"]], by_name[log["fixed"]]
    alignment = {key: tuple(value) if isinstance(value, list) else value for key, value in log["alignment"].items()}
    # Where headers are kept both pictures are the same.
    by_headers = None if log["alignment"]["headers_kept"] and "time" in maps else _by_headers(moving, fixed.grid)
    return Comparison(
        name=name,
        sequence=log["sequence"],
        moving=log["moving"],
        fixed=log["fixed"],
        grid=fixed.grid,
        maps=maps,
        alignment=Alignment(**alignment | {"matrix": np.array(log["alignment"]["matrix"])}),
        record=log["record"],
        warnings=tuple(log["warnings"]),
        by_headers=by_headers,
    )


def _by_headers(run: RunResult, grid: Grid) -> np.ndarray:
    """Return T1 of a run on another grid, as the headers place both."""
    return resample_times(run.maps["time"], run.maps["time_sd"], run.grid, grid)[0]


def _read_in_template(roots: _Roots, log: dict[str, Any]) -> InTemplate:
    name = BidsName.parse(log["name"])
    maps, grid = _read_maps(roots, name, log["sequence"], log["maps"])
    tissue, _ = _read_maps(roots, name, ANATOMY, log["maps"])
    if grid is None:
        raise InputOutputError(f"{log['name']}: its log lists no maps. Process the participant again.")
    return InTemplate(
        name=name, sequence=log["sequence"], moving=log["moving"], grid=grid, maps=maps | tissue, record=log["record"]
    )
