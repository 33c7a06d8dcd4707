"""The same done for several things side by side: files packed and unpacked, programs waited for, voxels counted.

Python runs one thread at a time, but for the time that such work takes it lets the others go on.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from bids_t1.stopping import stop_if_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(
    work: Callable[[T], R], items: Iterable[T], n_threads: int, progress: Callable[[R], object] | None = None
) -> list[R]:
    """Return what comes of each item, in their order.

    Parameters
    ----------
    work
        What is done for one item; what it raises is raised here, of the first item that it is raised of.
    items
        Those not begun when one has failed, or when the process is asked to stop, are left.
    n_threads
        How many are worked on at a time; one by one it is done by this thread itself, which has its data at hand.
    progress
        Called with what came of each item as soon as it and those before it are done.
    """
    pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else None
    done: list[R] = []
    try:
        for result in map(work, items) if pool is None else pool.map(work, items):
            stop_if_asked()
            done.append(result)
            if progress is not None:
                progress(result)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    return done
