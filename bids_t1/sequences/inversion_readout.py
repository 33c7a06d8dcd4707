"""What an inversion-recovery readout does to the recovery that follows it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bids_t1.data.shapes import Times
    from bids_t1.data.sidecar import Sidecar

SPIN_ECHO, GRADIENT_ECHO = "spin echo", "gradient echo"

READOUT_KEY = "PulseSequenceType"
"""Field that names the readout where ScanningSequence does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """Excitation, and the refocusing pulses of a spin-echo train.

    Each of these pulses turns upside down what has recovered since the excitation, so that recovery begins at the end
    of a long train, not at the excitation.
    """

    n_pulses: int = 0
    """Refocusing pulses; none in a gradient echo."""

    spacing: float = 0.0
    """Of the refocusing pulses, the first of which comes half of it after the excitation [s]."""

    flip_angle: float = 90.0
    """Of the excitation [degree]."""

    is_known: bool = False
    """Whether metadata tell it; else it is taken as an excitation by 90 degrees and nothing more."""

    @property
    def duration(self) -> float:
        """From the excitation to the last refocusing pulse [s]."""
        return max(0.0, (self.n_pulses - 0.5) * self.spacing)

    @classmethod
    def from_sidecar(cls, sidecar: Sidecar) -> Readout:
        """Read what is played, from ``ScanningSequence``, else ``PulseSequenceType``; a train needs ``EchoSpacing``.

        The length of a train (``EchoTrainLength``) is written by converters where it is above one. That of an EPI
        readout has no refocusing pulses.
        """
        codes = _codes(sidecar)
        if "SE" in codes:
            return cls._spin_echo(sidecar, is_train="EP" not in codes)
        if "GR" in codes:
            return cls(flip_angle=_positive(sidecar, "FlipAngle") or 90.0, is_known=True)
        return cls()

    @classmethod
    def _spin_echo(cls, sidecar: Sidecar, *, is_train: bool) -> Readout:
        length = _positive(sidecar, "EchoTrainLength") if is_train else None
        if length is None or length <= 1:
            echo_time = _positive(sidecar, "EchoTime")
            return cls() if echo_time is None else cls(n_pulses=1, spacing=echo_time, is_known=True)
        spacing = _positive(sidecar, "EchoSpacing")
        return cls() if spacing is None else cls(n_pulses=round(length), spacing=spacing, is_known=True)

    def recovered(self, time: Times) -> tuple[Times, Times]:
        """Return Mz over M0 right after the last refocusing pulse, and its derivative with respect to log T1.

        From zero at the excitation, by recovering half a spacing, then over and over turning and recovering a whole
        one: m -> (q - 1) - q m with q = exp(-spacing/T1), a geometric series.
        """
        if self.n_pulses == 0:
            return torch.zeros_like(time), torch.zeros_like(time)
        relative = self.spacing / time
        q, half = torch.exp(-relative), torch.exp(-relative / 2)
        fixed, first = (q - 1) / (1 + q), half - 1
        sign, n = (-1) ** (self.n_pulses - 1), self.n_pulses - 1
        decay = sign * torch.exp(-n * relative)
        fixed_slope = 2 * relative * q / (1 + q) ** 2
        first_slope = relative / 2 * half
        slope = fixed_slope + decay * (n * relative * (first - fixed) + first_slope - fixed_slope)
        return fixed + decay * (first - fixed), slope

    @property
    def leaves(self) -> float:
        """Share of the longitudinal magnetisation after the excitation."""
        return math.cos(math.radians(self.flip_angle)) if self.flip_angle < 90 else 0.0  # noqa: PLR2004 -- a right angle


def _codes(sidecar: Sidecar) -> set[str]:
    """Return DICOM's codes of the sequence, SE, GR and EP among them."""
    value = sidecar.fields.get("ScanningSequence")
    words = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
    codes = set(re.findall(r"[A-Z]+", words.upper()))
    if codes & {"SE", "GR"}:
        return codes
    named = (sidecar.text(READOUT_KEY) or "").lower().replace("-", " ")
    found = {"SE"} if SPIN_ECHO in named else {"GR"} if GRADIENT_ECHO in named else set()
    return codes | found | ({"EP"} if re.search(r"\bepi\b|echo planar", named) else set())


def _positive(sidecar: Sidecar, key: str) -> float | None:
    """Return a number above zero; None where the field holds none: it only refines the recovery."""
    value = sidecar.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 < value < math.inf else None


INSTANTANEOUS = Readout()
"""An excitation by 90 degrees and nothing more: what is taken where a readout is not known."""
