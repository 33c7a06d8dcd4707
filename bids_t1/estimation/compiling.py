"""Plain scalar Python, compiled where Numba is there: the one place that knows how."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., object]")

COMPILES = importlib.util.find_spec("numba") is not None
"""Whether there is a compiler; without one, PyTorch computes the same."""

ALLOWED = {"reassoc", "contract", "nsz", "arcp"}
"""Freedom of the compiler in sums and products of one voxel. All voxels go through the same instructions, so that
their bits depend neither on their neighbours nor on the number of threads."""


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, without the interpreter's lock, for use by other compiled ones."""
    if not COMPILES:
        return function
    import numba

    made: Function = numba.njit(nogil=True, fastmath=ALLOWED, error_model="numpy", forceinline=True, _nrt=False)(
        function
    )
    return made


def kept(function: Function) -> Function:
    """Compile as `compiled` does, and keep the machine code on disk where a folder is writable."""
    if not COMPILES:
        return function
    import numba

    settings = {"nogil": True, "fastmath": ALLOWED, "error_model": "numpy"}
    try:
        made: Function = numba.njit(cache=True, _nrt=False, **settings)(function)
    except RuntimeError:  # there is no such folder: it is compiled anew in each process
        made = numba.njit(_nrt=False, **settings)(function)
    return made
