"""The shape of a vendor rule: one habit of one vendor, and where that habit is known from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bids_t1.dicom.header import Header

Component = Literal["mag", "phase", "real", "imag"]
"""Part of the complex signal, in the words of the BIDS entity ``part``."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One habit of a vendor."""

    source: str
    """Document or issue in which the habit is known."""

    read: Callable[[Header], T | None]
    """Reads the quantity from an image's header, or None where the rule has nothing to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """The rules of one vendor, by the quantity they give; the first rule that answers wins."""

    name: str
    manufacturers: tuple[str, ...]
    """Lower-case beginnings of the attribute Manufacturer."""

    component: tuple[Rule[Component], ...] = ()
    """Which part of the complex signal the image shows."""

    inversion_time: tuple[Rule[float], ...] = ()
    """Delay between inversion and excitation [ms]."""

    refusal: tuple[Rule[str], ...] = ()
    """Why the image is no separate inversion recovery, whatever its inversion time."""

    zero_level: tuple[Rule[float], ...] = ()
    """Stored value that stands for no signal in a signed image, where no rescale intercept says it."""

    phase_unit: tuple[Rule[float], ...] = ()
    """Radians per unit of the phase image that dcm2niix writes; used if the image's range confirms it."""

    gain: tuple[Rule[str], ...] = ()
    """Receiver setting; images with different settings are not comparable."""

    caveat: tuple[Rule[str], ...] = ()
    """Something the user must know about the image."""


def first(rules: Iterable[Rule[T]], header: Header) -> T | None:
    """Return what the first rule with an answer says."""
    for rule in rules:
        answer = rule.read(header)
        if answer is not None:
            return answer
    return None
