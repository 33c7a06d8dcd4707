"""Plain scalar Python, compiled where Numba is there: the one place that knows how."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., object]")


def _has_compiler() -> bool:
    """Tell whether Numba is there and agrees with the NumPy beside it."""
    try:
        importlib.import_module("numba")
    except ImportError:
        return False
    return True


COMPILES = _has_compiler()
"""Whether there is a compiler; without one, PyTorch computes the same."""


WORTH_COMPILING = 250_000
"""Voxels from which on compiled code is used, which takes seconds to compile where nothing could be kept of it; fewer
ones are done without in less than that."""


def compiles_for_cards() -> bool:
    """Tell whether Numba compiles for CUDA: with the package numba-cuda, or in its simulator."""
    if not COMPILES:
        return False
    is_simulated: bool = importlib.import_module("numba.core.config").ENABLE_CUDASIM
    return is_simulated or importlib.util.find_spec("numba_cuda") is not None


SETTINGS = {
    "nogil": True,
    "error_model": "numpy",
    # Sums and products of one voxel may be ordered freely. All voxels go through the same instructions, so that their
    # bits depend neither on their neighbours nor on the number of threads.
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    # Compiled functions get all arrays and make none: counting who holds them would take most of the time.
    "_nrt": False,
}

WITHOUT_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For functions that only compiled ones call."""


def compiled(function: Function) -> Function:
    """Compile a function as a part of those that call it."""
    return _compile(function, forceinline=True, **WITHOUT_WRAPPERS) if COMPILES else function


def called(function: Function) -> Function:
    """Compile a function that stays one of its own, where it is long and seldom called."""
    return _compile(function, **WITHOUT_WRAPPERS) if COMPILES else function


def kept(function: Function) -> Function:
    """Compile a function when it is first called, and keep the machine code where a folder can be written to.

    ``NUMBA_CACHE_DIR`` says where; else it is beside the source, or in the user's folder for such things.
    """
    if not COMPILES:
        return function
    source = Path(inspect.getfile(function))
    function.__qualname__ += f"-{_stamp(source.parent)}"
    try:
        return _compile(function, cache=True)
    except RuntimeError:  # there is no such folder: each process compiles anew
        return _compile(function)


@cache
def _stamp(folder: Path) -> str:
    """Return what changes with any source in a folder, whose functions and constants are compiled into one another.

    Numba itself looks at the file of the kept function only, and would go on with what another version left there.
    """
    statuses = Path(__file__).parent / "data" / "estimate.py"  # numbers of which are constants there
    sources = [Path(__file__), statuses, *sorted(folder.glob("*.py"))]
    return sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def _compile(function: Function, **settings: bool) -> Function:
    compiler: Any = importlib.import_module("numba")
    made: Function = compiler.njit(**SETTINGS, **settings)(function)
    return made
