"""bids_t1: measure T1 in the brain, from scanner files to BIDS derivatives, or from arrays.

>>> import bids_t1
>>> sorted(name for name in dir(bids_t1) if name.startswith("fit_"))
['fit_inversion_recovery', 'fit_mp2rage', 'fit_sir', 'fit_t2star', 'fit_vfa']
"""

from importlib import import_module as _import_module
from typing import Any

_FITS = ("fit_inversion_recovery", "fit_mp2rage", "fit_sir", "fit_t2star", "fit_vfa")


def __getattr__(name: str) -> Any:
    # PyTorch takes a second to import, and metadata a good part of what the command's help takes: whoever asks waits.
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - as above

        return version("bids_t1")
    if name in _FITS:
        return getattr(_import_module("bids_t1.arrays"), name)
    raise AttributeError(f"module 'bids_t1' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "__version__", *_FITS]
