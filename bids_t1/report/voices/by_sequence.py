"""The voice of each sequence; a test holds them equal to the table of sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.sequences import (
    INVERSION_RECOVERY,
    MP2RAGE,
    MULTI_ECHO,
    SELECTIVE_INVERSION_RECOVERY,
    VARIABLE_FLIP_ANGLE,
    sequence_of,
)
from bids_t1.report.voices import (
    inversion_recovery,
    mp2rage,
    multi_echo_gre,
    selective_inversion_recovery,
    variable_flip_angle,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1.data.result import RunResult
    from bids_t1.report.voices.voice import Voice

VOICES: Mapping[str, Voice] = {
    INVERSION_RECOVERY.name: inversion_recovery.VOICE,
    SELECTIVE_INVERSION_RECOVERY.name: selective_inversion_recovery.VOICE,
    MULTI_ECHO.name: multi_echo_gre.VOICE,
    MP2RAGE.name: mp2rage.VOICE,
    VARIABLE_FLIP_ANGLE.name: variable_flip_angle.VOICE,
}
"""In the order in which the page shows equations."""


def voice_of(run: RunResult) -> Voice:
    """Return what speaks of a run."""
    return VOICES[sequence_of(run.sequence).name]
