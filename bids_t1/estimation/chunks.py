"""Where to compute, and voxels in chunks side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.data.errors import UsageError
from bids_t1.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bids_t1.data.shapes import Measurements

CHUNK = 65_536
"""Voxels at a time. Fixed, so that the same input gives the same bits whatever memory there is."""


def choose_device(wanted: str) -> torch.device:
    """Return the device to compute on.

    Raises
    ------
    UsageError
        If CUDA is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("the device is cuda, but PyTorch finds no CUDA device here; expected cpu or auto.")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def for_each_chunk(
    n_voxels: int,
    fill: Callable[[slice], None],
    *,
    n_threads: int,
    size: float = 1.0,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Fill the maps of all voxels, some chunks at a time, each in a thread of its own.

    Parameters
    ----------
    n_voxels
        Number of voxels of the image.
    fill
        Computes one chunk and stores its maps.
    n_threads
        Chunks computed side by side; with more than one, set PyTorch's own threads to one.
    size
        Chunks taken as one, or the part of a chunk that is.
    progress
        Called with the number of voxels just done.
    """
    _keep_freed_memory()

    length = max(1, int(size * CHUNK))

    def work(start: int) -> int:
        chunk = slice(start, min(start + length, n_voxels))
        fill(chunk)
        return chunk.stop - chunk.start

    side_by_side(work, range(0, n_voxels, length), n_threads, progress)


def take_voxels(flat: Measurements, which: slice | NDArray[np.intp], n_threads: int) -> Measurements:
    """Copy some voxels, several images at a time: far apart in memory, they are waited for.

    Parameters
    ----------
    flat
        (measurement, voxel).
    which
        The voxels: indices, or every few of them.
    n_threads
        Images read side by side.
    """

    def take(image: int) -> Measurements:
        values = flat[image]
        return np.ascontiguousarray(values[which]) if isinstance(which, slice) else values.take(which)

    return np.stack(side_by_side(take, range(len(flat)), n_threads))


def _keep_freed_memory() -> None:
    """Let the allocator reuse what chunks free, where it would give it back to the system and fetch it again.

    The GNU allocator raises its threshold for doing so to the size of the largest block freed so far, up to 32 MB;
    a block that is never touched costs nothing. Without this, a third of the time goes into fresh pages.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)
