"""bids_t1: measure T1 in the brain, from scanner files to BIDS derivatives."""

from importlib.metadata import version as _version

__version__ = _version("bids_t1")
