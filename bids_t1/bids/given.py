"""Brain masks and segmentations that somebody else made: found in derivatives, brought to the grid of a run.

A file counts for a run where both are of one participant and session, and where it lies in scanner coordinates: in no
space, or in one that is named after a scan. Files in the space of a template do not lie there.
"""

from __future__ import annotations

import csv
import io
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.images import MOST_VOXELS_BESIDE, read_volume
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sequences import COMPARED, REFERENCES
from bids_t1.data.sidecar import brief
from bids_t1.data.tissue import tissue_named
from bids_t1.resampling import resample_labels
from bids_t1.untrusted import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bids_t1.data.grid import Grid
    from bids_t1.data.shapes import Labels, VoxelFlags

SCAN_SPACES = frozenset({None, "T1w", "scanner", "orig", *REFERENCES, *COMPARED})
"""Labels of ``space-`` that mean scanner coordinates."""

COMMON_LABELS = {1: "GM", 2: "WM", 3: "CSF", 8: "CGM", 9: "SGM"}
"""BIDS' common labels, for a segmentation without a table."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenImages:
    """What was found for one run, on its grid."""

    brain: VoxelFlags | None = None
    """(x, y, z)."""

    tissue: Labels | None = None
    """`Tissue` of each voxel, (x, y, z)."""

    brain_source: str = ""
    tissue_source: str = ""
    """Names of the files."""

    warnings: tuple[str, ...] = ()


def find_given(datasets: Sequence[Path], name: BidsName, sequence: str, grid: Grid) -> GivenImages:
    """Find the mask and the segmentation that fit a run best, and bring them to its grid.

    Parameters
    ----------
    datasets
        Roots of BIDS derivatives; earlier ones come first.
    name
        Of the run.
    sequence
        Name of the space that fits best.
    grid
        That of the run.

    Raises
    ------
    InvalidInputError
        If a file that fits cannot be read, does not cover the run, or names no tissue.
    """
    mask = _best(datasets, name, sequence, "mask")
    segmentation = _best(datasets, name, sequence, "dseg")
    brain = None if mask is None else _on_grid(mask[1], grid) > 0
    tissue, warnings = (None, ()) if segmentation is None else _tissues(*segmentation, grid)
    brain_source, tissue_source = ("" if found is None else found[1].name for found in (mask, segmentation))
    return GivenImages(
        brain=brain, tissue=tissue, brain_source=brain_source, tissue_source=tissue_source, warnings=warnings
    )


def _best(datasets: Sequence[Path], name: BidsName, sequence: str, suffix: str) -> tuple[Path, Path] | None:
    """Return the dataset and the file that share most with the name of a run; of equals the first."""
    found = [
        (_likeness(BidsName.parse(path.name), name, sequence), dataset, path)
        for dataset in datasets
        for path in _candidates(dataset, name, suffix)
    ]
    if not found:
        return None
    _, dataset, path = max(found, key=lambda candidate: candidate[0])
    return dataset, path


def _candidates(dataset: Path, name: BidsName, suffix: str) -> Iterator[Path]:
    """Yield the files of a participant and session that are masks of the brain, or segmentations into tissues."""
    for path in sorted((dataset / name.folder("anat")).glob(f"*_{suffix}.nii*")):
        found = BidsName.parse(path.name)
        wanted = found.get("desc") == "brain" if suffix == "mask" else not str(found.get("desc")).endswith("status")
        if wanted and found.get("space") in SCAN_SPACES and found.get("label") is None:
            yield path


def _likeness(found: BidsName, name: BidsName, sequence: str) -> tuple[bool, int, bool]:
    shared = sum(found.get(key) == value for key, value in name.entities if key not in {"desc", "space"})
    return found.get("space") == sequence, shared, found.get("desc") in {"brain", "tissue", None}


def _on_grid(path: Path, grid: Grid) -> np.ndarray:
    volume = read_volume(path, max(MOST_VOXELS_BESIDE, math.prod(grid.shape)))
    if volume.values.dtype.kind == "f" and (volume.values != np.rint(volume.values)).any():
        raise InvalidInputError(
            f"{path.name}: holds fractions; expected whole numbers, the codes of a mask or of tissues."
        )
    codes = np.rint(volume.values).astype(np.int32)
    resampled: np.ndarray = resample_labels(codes, volume.grid, grid)
    if not resampled.any():
        raise InvalidInputError(
            f"{path.name}: marks no voxel of the run it is for; expected one in the same scanner coordinates. "
            f"Its grid is {volume.grid}, that of the run {grid}."
        )
    return resampled


def _tissues(dataset: Path, path: Path, grid: Grid) -> tuple[Labels, tuple[str, ...]]:
    """Read a segmentation, whatever its codes, as `Tissue`."""
    codes = _on_grid(path, grid)
    names = _names(dataset, path)
    tissue = np.zeros(grid.shape, np.uint8)
    unknown = []
    for code in np.unique(codes[codes > 0]):
        meaning = tissue_named(names.get(int(code), ""))
        if meaning is None:
            unknown.append(f"{code} ({names[int(code)]})" if int(code) in names else str(code))
        else:
            tissue[codes == code] = meaning
    if not tissue.any():
        raise InvalidInputError(
            f"{path.name}: none of its codes names a tissue; found {', '.join(unknown)}. Expected a table beside it, "
            "or dseg.tsv at the root, with columns index and name: WM, GM, SGM, CSF, or the structures of FreeSurfer."
        )
    warnings = (f"{path.name}: codes without a known tissue are left out: {', '.join(unknown)}.",) if unknown else ()
    return tissue, warnings


def _names(dataset: Path, path: Path) -> Mapping[int, str]:
    """Read what the codes of a segmentation mean from its own table, one at the root, or BIDS' common labels."""
    stem = path.name.partition(".")[0]
    desc = BidsName.parse(path.name).get("desc")
    tables = [
        path.with_name(f"{stem}.tsv"),
        *([dataset / f"desc-{desc}_dseg.tsv"] if desc else []),
        dataset / "dseg.tsv",
    ]
    table = next((candidate for candidate in tables if os.path.lexists(candidate)), None)
    return COMMON_LABELS if table is None else parse_labels(read_text(table), table.name)


def parse_labels(text: str, name: str) -> dict[int, str]:
    """Read a table of labels: what each code of a segmentation means.

    Raises
    ------
    InvalidInputError
        If it lacks its columns, a row is short or has no number, or one code has two meanings.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))
        known = any(tissue_named(row.get("abbreviation") or "") for row in rows)
        pairs = [(int(row["index"]), row["abbreviation" if known else "name"] or "") for row in rows]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise InvalidInputError(
            f"{name}: cannot be read as a table of labels ({brief(str(error))}); expected columns index and name, "
            "separated by tabs, and a whole number in every row."
        ) from error
    meanings = dict(pairs)
    twice = [str(index) for index, meaning in pairs if meanings[index] != meaning]
    if twice:
        raise InvalidInputError(f"{name}: index {', '.join(twice)} has two meanings; expected one row for each.")
    return meanings
