"""The shape of a vendor rule: one habit of one vendor, and where that habit is known from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bids_t1.dicom.header import Header

Component = Literal["mag", "phase", "real", "imag"]
"""Part of the complex signal, in the words of the BIDS entity ``part``."""

Product = Literal["UNIT1", "denoised UNIT1", "T1 map"]
"""What the scanner itself computes of the readouts of MP2RAGE."""

TransmitImage = Literal["flip angles", "anatomy of flip angles", "B1 map"]
"""What an image of a transmit field shows, where the scanner says so."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One habit of a vendor."""

    source: str
    """Document or issue in which the habit is known."""

    read: Callable[[Header], T | None]
    """Reads the quantity from an image's header, or None where the rule has nothing to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readouts:
    """What a vendor's protocol says of the readouts that follow one inversion."""

    inversion_times: tuple[float, ...]
    """One per readout [s]; a single one where each image has an inversion of its own."""

    flip_angles: tuple[float, ...] = ()
    """One per readout [degree]; empty where unknown."""

    excitation_time: float | None = None
    """Delay between two excitations of a readout [s]."""

    shots: tuple[float, float] | None = None
    """Excitations of a readout before and after the k-space centre."""

    denoised: bool = False
    """The scanner was asked for a denoised UNI image."""

    caveats: tuple[str, ...] = ()
    """What the protocol leaves open, for the user."""

    @property
    def shared_inversion(self) -> bool:
        """Tell whether several readouts follow each inversion."""
        return len(self.inversion_times) > 1


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

    product: tuple[Rule[Product], ...] = ()
    """What the scanner computed, where the image is no readout."""

    readouts: tuple[Rule[Readouts], ...] = ()
    """The protocol of the readouts after one inversion."""

    shared_inversion: tuple[Rule[bool], ...] = ()
    """Hints that several readouts follow one inversion, believed where nothing in the images speaks against it."""

    transmit: tuple[Rule[TransmitImage], ...] = ()
    """Which image of a transmit field this is."""

    saturation_angle: tuple[Rule[float], ...] = ()
    """Nominal flip angle of the pulse whose achieved angle an image shows [degree]."""

    repetition_times: tuple[Rule[tuple[float, ...]], ...] = ()
    """Delays between excitations that alternate, in their order [s]."""

    reference_voltage: tuple[Rule[float], ...] = ()
    """Voltage in proportion to which nominal flip angles are played [V]."""

    echo_planar: tuple[Rule[bool], ...] = ()
    """Tells that many lines of k-space follow one excitation, where the public attributes do not."""

    words: tuple[Rule[tuple[str, ...]], ...] = ()
    """Image type in the vendor's own words, beside the public one."""

    uni_scaling: tuple[Rule[str], ...] = ()
    """How a UNI image stores its values: the lowest and the highest of them."""

    caveat: tuple[Rule[str], ...] = ()
    """Something the user must know about the image."""


def first(rules: Iterable[Rule[T]], header: Header) -> T | None:
    """Return what the first rule with an answer says."""
    for rule in rules:
        answer = rule.read(header)
        if answer is not None:
            return answer
    return None
