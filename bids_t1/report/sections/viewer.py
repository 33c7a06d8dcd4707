"""Maps to look at in three planes, within the page: NiiVue where it is installed, nothing where it is not.

The library enters the installation by ``make viewer``, which fetches it from npm in a fixed version and checks its
checksum; it is not part of the sources. Without it, without JavaScript or without WebGL 2 the page has its pictures.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.grid import Grid
from bids_t1.data.outputs import View, by_quantity
from bids_t1.report.figures import colours
from bids_t1.report.sections.run import MAIN, STATUS, title_of
from bids_t1.report.words import wording
from bids_t1.report.words.quantity import quantity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from bids_t1.data.outputs import Output
    from bids_t1.data.result import ParticipantResult, RawImages, RunResult

LIBRARY = "niivue.umd.js"

SHOWN = (MAIN, "time_sd", "amplitude", "ratio", "share", "transmit", "uni", "confidence", STATUS)
"""Quantities that are worth a look in three planes, in their order."""

MOST_VOXELS = 1_700_000
"""Of all volumes of a page together: with more of them, voxels are left out at even distances."""

BRIGHTEST = 254
"""Shade of the brightest voxels of an acquired image."""

LARGEST = 32_767
"""Of a stored number; 0 is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """What the template needs."""

    library: str
    """The script, fit for a page."""

    facts: str
    """JSON: runs, and of each its volumes with colours, window and unit."""

    volumes: tuple[str, ...]
    """NIfTI files, compressed and in base64, in the order of `facts`."""

    thinned: int
    """One voxel in so many along each axis of maps is shown."""

    has_raw: bool
    """Whether the images that runs were measured from are among the volumes."""

    raw_thinned: int
    """One voxel in so many along each axis of these is shown."""


def describe_viewer(result: ParticipantResult) -> Viewer | None:
    """Prepare the maps of all runs; None without runs, or where the library is not installed."""
    library = _library()
    runs = [run for run in result.runs if MAIN in run.maps]
    if library is None or not runs:
        return None
    n_voxels = sum(map(_n_voxels, runs))
    thinned = max(1, math.ceil((n_voxels / MOST_VOXELS) ** (1 / 3)))
    raw = {images.run: images for images in result.raw_images}
    stacks = [stack for run in runs for stack in (_maps_of(run, thinned), *_raw_of(run, raw.get(str(run.name))))]
    facts = [{"title": stack.title, "volumes": stack.facts} for stack in stacks]
    volumes = chain.from_iterable(stack.volumes for stack in stacks)
    text = wording.within_script(json.dumps(facts, separators=(",", ":")))
    raw_thinned = max(map(attrgetter("thinned"), result.raw_images), default=1)
    return Viewer(
        library=library, facts=text, volumes=tuple(volumes), thinned=thinned, has_raw=bool(raw), raw_thinned=raw_thinned
    )


def can_show_volumes() -> bool:
    """Tell whether the library is installed."""
    return _library() is not None


@dataclass(frozen=True, slots=True)
class _Stack:
    """Volumes that one button shows."""

    title: str
    facts: list[Mapping[str, object]]
    volumes: list[str]


def _n_voxels(run: RunResult) -> int:
    return math.prod(_lengths(_box(run))) * len(_rows(run))


def _maps_of(run: RunResult, thinned: int) -> _Stack:
    grid, box = _part(run.grid, _box(run), thinned)
    shown = [quantity_of(run.sequence).shown(row, run.maps[row.quantity][box]) for row in _rows(run)]
    return _Stack(
        title_of(run),
        [_facts(row, values) for row, values in shown],
        [_nifti(values, grid, _step(values)) for _, values in shown],
    )


def _raw_of(run: RunResult, images: RawImages | None) -> Iterator[_Stack]:
    if images is not None:
        yield _Stack(
            f"{title_of(run)}: images as acquired",
            list(_facts_of_raw(images)),
            [_raw_nifti(image, images.grid) for image in images.images],
        )


@cache
def _library() -> str | None:
    """Return NiiVue's script; None where it was not installed."""
    file = resources.files("bids_t1.report") / "viewer" / LIBRARY
    return (
        file.read_text(encoding="utf-8").replace("</script", "<\\/script").replace("<!--", "<\\!--")
        if file.is_file()
        else None
    )


def _rows(run: RunResult) -> list[Output]:
    rows = by_quantity(run.sequence)
    return [rows[quantity] for quantity in SHOWN if quantity in rows and quantity in run.maps]


def _box(run: RunResult) -> tuple[slice, slice, slice]:
    """Return the box of all voxels with a value."""
    fitted = np.isfinite(run.maps[MAIN])
    if not fitted.any():
        return (slice(0, 1), slice(0, 1), slice(0, 1))
    ends = [np.flatnonzero(fitted.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    first, second, third = (slice(int(where[0]), int(where[-1]) + 1) for where in ends)
    return first, second, third


def _lengths(box: tuple[slice, slice, slice]) -> list[int]:
    return [part.stop - part.start for part in box]


def _part(grid: Grid, box: tuple[slice, slice, slice], thinned: int) -> tuple[Grid, tuple[slice, slice, slice]]:
    """Return every so many voxels of a box, and the grid that they lie on; an axis of few voxels keeps them all."""
    steps = [thinned if length > thinned * thinned else 1 for length in _lengths(box)]
    first, second, third = (slice(part.start, part.stop, step) for part, step in zip(box, steps, strict=True))
    affine = grid.affine.copy()
    affine[:3, 3] += grid.affine[:3, :3] @ [part.start for part in box]
    affine[:3, :3] = grid.affine[:3, :3] * steps
    shape = [len(range(part.start, part.stop, step)) for part, step in zip(box, steps, strict=True)]
    return Grid((shape[0], shape[1], shape[2]), affine), (first, second, third)


def _step(values: NDArray[np.floating]) -> float:
    """Return what one stored number more means."""
    finite = np.abs(values[np.isfinite(values)])
    largest = float(np.percentile(finite, 99.99)) if finite.size else 0.0
    if values.dtype.kind in "ub" or largest == 0:
        return 1.0
    return 10.0 ** math.ceil(math.log10(largest / LARGEST))


def _facts(row: Output, values: NDArray[np.floating]) -> Mapping[str, object]:
    """Say how a volume is named and coloured."""
    if row.quantity == STATUS:
        table = colours.status_table()
        codes = [code.value for code in VoxelStatus]
        return {
            "label": "status",
            "quantity": row.quantity,
            "window": [0, 255],
            "colours": table.tolist(),
            "meanings": {str(code): VoxelStatus(code).meaning for code in codes},
        }
    limits = colours.limits_of(row.view, values)
    table = colours.colour_table(row.view, limits)[: colours.N_COLOURS]
    table[0] = 0  # also the colour of no value
    return {
        "label": row.view.label,
        "quantity": row.quantity,
        "window": [round(float(limit), 6) for limit in limits],
        "colours": table.tolist(),
        "step": _step(values),
    }


def _facts_of_raw(images: RawImages) -> Iterator[Mapping[str, object]]:
    """Say how acquired images are named; each has its own window, as their contrast differs."""
    greys = colours.colour_table(View(colour_map="grey", limits=(0.0, 1.0), label=""), (0.0, 1.0))
    for label in images.labels:
        yield {
            "label": label,
            "quantity": "raw",
            "window": [0, BRIGHTEST // 2],
            "colours": greys[: colours.N_COLOURS].tolist(),
            "step": 1,
            "alone": True,
        }


def _raw_nifti(image: NDArray[np.floating], grid: Grid) -> str:
    """Write an acquired image in 255 shades, of which the brightest is that of its brightest voxels but for a few."""
    finite = np.nan_to_num(image, posinf=0.0)
    brightest = float(np.percentile(finite, 99.8)) or 1.0
    stored = np.clip(np.rint(BRIGHTEST * finite / brightest), 0, BRIGHTEST).astype(np.uint8)
    packed = gzip.compress(nib.Nifti1Image(stored, grid.affine).to_bytes(), 6, mtime=0)
    return base64.b64encode(packed).decode("ascii")


def _nifti(values: NDArray[np.floating], grid: Grid, step: float) -> str:
    """Write a volume of whole numbers as NIfTI, compressed, in base64; always the same bytes for the same values."""
    with np.errstate(invalid="ignore"):
        stored = np.clip(np.rint(np.nan_to_num(values / step)), -LARGEST, LARGEST).astype(np.int16)
    image = nib.Nifti1Image(stored, grid.affine)
    image.header.set_slope_inter(step, 0)
    return base64.b64encode(gzip.compress(image.to_bytes(), 6, mtime=0)).decode("ascii")
