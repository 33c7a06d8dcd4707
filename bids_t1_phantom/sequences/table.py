"""The sequences that the phantom plays: a row for each, and a file that plays it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from bids_t1_phantom.sequences import inversion_recovery, mp2rage, multi_echo_gre, variable_flip_angle

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    from bids_t1_phantom.sequences.scan import Sequence

SEQUENCES: Mapping[str, Callable[[Namespace], Sequence]] = MappingProxyType(
    {
        "IRT1": inversion_recovery.from_arguments,
        "MP2RAGE": mp2rage.two_trains,
        "MP3RAGE": mp2rage.three_trains,
        "MEGRE": multi_echo_gre.from_arguments,
        "VFA": variable_flip_angle.from_arguments,
    }
)
"""By name, in the order in which they are scanned: what makes each of the command line."""
