"""The images that runs were measured from, as they were acquired, for the page: thinned, magnitudes where there are."""

from __future__ import annotations

import math
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.images import read_header, read_volumes
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import BidsT1Error
from bids_t1.data.grid import Grid
from bids_t1.data.result import RawImages
from bids_t1.data.sequences import BY_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bids_t1.data.result import RunResult

SHOWN = 10
"""Images of a run that are shown at most, from the first to the last at even distances."""

MOST_VOLUMES = 2 * SHOWN
"""Volumes of these that are shown at most, where files hold several."""

MOST_VOXELS = 800_000
"""Of all images of a page together: with more of them, voxels are left out at even distances."""

OF_UNI = "UNIT1"
"""Suffix of what the scanner computed of readouts, which is a map of its own."""

TIMES = {"InversionTimes": "TI", "EchoTimes": "TE"}
"""Lists of the record with a time for each image [s]."""


def read_raw_images(runs: Sequence[RunResult], roots: Mapping[str, Path]) -> tuple[RawImages, ...]:
    """Read the images of runs for the page; runs whose images cannot be read any more are left out.

    Parameters
    ----------
    runs
        What was measured; their records name the images.
    roots
        Datasets by the name of their link in the BIDS URIs of records.
    """
    files = {run.name: _magnitudes(list(_files(run, roots))) for run in runs}
    n_voxels = sum(_n_voxels(paths) for paths in files.values())
    thinned = max(1, math.ceil((n_voxels / MOST_VOXELS) ** (1 / 3)))
    found = (_read(run, files[run.name], thinned) for run in runs)
    return tuple(images for images in found if images is not None)


def _files(run: RunResult, roots: Mapping[str, Path]) -> Iterator[Path]:
    """Yield the images of a run, in the order of its measurements; nothing outside of the datasets."""
    sources = run.record.get("Sources")
    for source in sources if isinstance(sources, list) else ():
        path = _path_of(str(source), roots)
        if path is not None and _is_measured(path):
            yield path


def _path_of(source: str, roots: Mapping[str, Path]) -> Path | None:
    """Return where a BIDS URI leads to; None outside of the datasets."""
    link, _, place = source.partition("bids:")[2].partition(":")
    if link not in roots or not place:
        return None
    path = roots[link] / place
    return path if path.resolve().is_relative_to(roots[link].resolve()) else None


def _is_measured(path: Path) -> bool:
    name = BidsName.parse_if_valid(path.name)
    return name is not None and name.suffix in BY_SUFFIX and name.suffix != OF_UNI and path.is_file()


def _magnitudes(paths: Sequence[Path]) -> list[Path]:
    """Return the images whose brightness is that of the object: magnitudes, else real images."""
    parts = {path: BidsName.parse(path.name).get("part") for path in paths}
    for wanted in ({None, "mag"}, {"real"}):
        chosen = [path for path, part in parts.items() if part in wanted]
        if chosen:
            return chosen
    return []


def _n_voxels(paths: Sequence[Path]) -> int:
    try:
        return sum(islice(chain.from_iterable(map(_sizes, _some(paths))), MOST_VOLUMES))
    except BidsT1Error:
        return 0


def _sizes(path: Path) -> Iterator[int]:
    """Return how many voxels each volume of a file has."""
    header = read_header(path, several=True)
    return repeat(math.prod(header.grid.shape), header.n_volumes)


def _some(paths: Sequence[Path]) -> list[Path]:
    """Return some of many images, the first and the last among them."""
    places = np.linspace(0, len(paths) - 1, min(SHOWN, len(paths)))
    return [paths[round(place)] for place in places]


def _read(run: RunResult, paths: Sequence[Path], thinned: int) -> RawImages | None:
    """Read the images of a run, every so many voxels of them; None where there are none."""
    if not paths:
        return None
    try:
        grid, images = _thinned(paths, thinned)
    except BidsT1Error:
        return None
    return RawImages(
        run=str(run.name), labels=_labels(run, paths, len(images)), grid=grid, images=np.stack(images), thinned=thinned
    )


def _thinned(paths: Sequence[Path], thinned: int) -> tuple[Grid, list[np.ndarray]]:
    """Read every so many voxels of the volumes that are shown; those of another shape than the first are left out."""
    whole = read_header(paths[0], several=True).grid
    steps = [thinned if length > thinned * thinned else 1 for length in whole.shape]
    cut = tuple(slice(None, None, step) for step in steps)
    # One file at a time is held at full size.
    volumes = islice(chain.from_iterable(map(read_volumes, _some(paths))), MOST_VOLUMES)
    images = [np.abs(volume.values[cut]).astype(np.float32) for volume in volumes if volume.grid.shape == whole.shape]
    shape = images[0].shape
    affine = whole.affine.copy()
    affine[:3, :3] = whole.affine[:3, :3] * steps
    return Grid((shape[0], shape[1], shape[2]), affine), images


def _called(name: BidsName) -> str:
    return " ".join(f"{key}-{label}" for key, label in name.entities if key not in {"sub", "ses"})


def _labels(run: RunResult, paths: Sequence[Path], n_images: int) -> tuple[str, ...]:
    """Name images by the time that they differ in where the record has one for each, else by their files."""
    for key, short in TIMES.items():
        times = run.record.get(key)
        if isinstance(times, list) and len(times) == n_images >= len(paths):
            return tuple(f"{short} {1000 * float(time):g} ms" for time in times)
    shown = [_called(BidsName.parse(path.name)) for path in _some(paths)]
    if len(shown) == n_images:
        return tuple(shown)
    return tuple(f"volume {number}" for number in range(1, n_images + 1))
