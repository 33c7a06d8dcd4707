"""The protocol that Siemens scanners write into every image: numbers between ASCCONV BEGIN and ASCCONV END."""

from __future__ import annotations

import importlib
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bids_t1.dicom.header import Private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bids_t1.dicom.header import Header

CSA_SERIES = Private(0x0029, "SIEMENS CSA HEADER", 0x20)
"""Series header of numaris 4, up to VE (nibabel's documentation of the CSA headers)."""

XA_PROTOCOL = Private(0x0021, "SIEMENS MR SDS 01", 0x19)
"""Protocol of numaris X, in the shared groups of an enhanced file or at its top level (openmrslab/suspect#184)."""

_WITHOUT_CREATOR = "00291020"
"""`CSA_SERIES` in files whose private creators were removed; the text between the marks speaks for itself."""

_BEGIN, _END = "### ASCCONV BEGIN", "### ASCCONV END ###"

_WANTED = re.compile(
    r"^[ \t]*((?:lContrasts|lInvContrasts|ucDenoiseUniform|(?:alTI|alTR|adFlipAngleDegree)\[[0-9]{1,3}\]|"
    r"sKSpace\.(?:lPartitions|ucSlicePartialFourier|unReordering|Reordering3D)|"
    r"sFastImaging\.(?:lTurboFactor|lEchoSpacing)|sTXSPEC\.asNucleusInfo\[0\]\.flReferenceAmplitude)"
    r"[ \t]*=[ \t]*-?(?:0x[0-9a-f]{1,16}|[0-9.]{1,20}(?:e[-+]?[0-9]{1,2})?))[ \t]*(?:#.*)?\r?$",
    re.IGNORECASE | re.MULTILINE,
)
"""The lines that are read: finite numbers only, so that no free text, which may name a person, comes any further; and
no numbers of places but small ones, as room is made for all places before them."""

_B1_MAP = re.compile(r'^[ \t]*tSequenceFileName[ \t]*=[ \t]*"+[^"\r\n]*tfl_b1map"+', re.IGNORECASE | re.MULTILINE)
"""The sequence's file name, of which only one value is asked for."""

_COMPRESSED = re.compile(
    r'^[ \t]*tSequenceFileName[ \t]*=[ \t]*"+[^"\r\n]*(?:cs[-_]?mp2rage|mp2rage[-_]?cs)', re.IGNORECASE | re.MULTILINE
)
"""The same of sequences of compressed sensing, whose excitations do not follow k-space."""

_MICROSECOND = 1e-6

_SLICE_PARTIAL_FOURIER = {1: 4 / 8, 2: 5 / 8, 4: 6 / 8, 8: 7 / 8, 16: 1.0}
"""Share of the partitions that is played, by its code (BIDS 1.11, NumberShots; rordenlab/dcm2niix#1031)."""

_LINEAR = 1
"""Code of k-space lines played one after the other (rordenlab/dcm2niix#1031)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiemensProtocol:
    """The numbers of a protocol that MP2RAGE is made of, and those of AFI; None where the protocol lacks them."""

    n_readouts: int
    """Readouts after one inversion."""

    inversion_times: tuple[float, ...]
    """[s], one per readout."""

    flip_angles: tuple[float, ...]
    """[degree], one per readout, or fewer."""

    partitions: int | None
    slice_partial_fourier: float | None
    """Share of the partitions that is played."""

    linear: bool
    """Partitions are played from one edge of k-space to the other."""

    turbo_factor: int | None
    """Excitations per readout as the sequence counts them."""

    echo_spacing: float | None
    """Delay between two excitations [s]."""

    denoised: bool
    """A denoised UNI image was asked for."""

    reference_voltage: float | None = None
    """At which a pulse of a millisecond turns by 180 degrees [V]."""

    repetition_times: tuple[float, ...] = ()
    """[s], in the order in which they alternate."""


def read_protocol(header: Header) -> SiemensProtocol | None:
    """Return the protocol of an image, or None where its header holds none that can be read."""
    fields = next((found for text in _texts(header) if (found := _fields(text))), None)
    return None if fields is None else _protocol(fields)


def plays_b1_map(header: Header) -> bool:
    """Tell whether the protocol is that of tfl_b1map, which an image of other contrasts does not say elsewhere."""
    return any(_B1_MAP.search(text) is not None for text in _texts(header))


def plays_compressed_sensing(header: Header) -> bool:
    """Tell whether an MP2RAGE samples k-space by compressed sensing, by the name of its sequence."""
    return any(_COMPRESSED.search(text) is not None for text in _texts(header))


def _texts(header: Header) -> Iterator[str]:
    """Yield what may hold a protocol."""
    for place in (CSA_SERIES, XA_PROTOCOL, _WITHOUT_CREATOR):
        content = header.value(place)
        if content is not None:
            yield content.decode("latin-1") if isinstance(content, bytes) else str(content)


@lru_cache(maxsize=2)
def _fields(text: str) -> Mapping[str, Any]:
    """Parse the wanted lines of the first protocol in a text; the files of a series hold the same."""
    begin = text.find(_BEGIN)
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        return {}
    lines = _WANTED.findall(text, begin, end)
    module = _ascconv()
    try:
        fields, _ = module.parse_ascconv("\n".join([f"{_BEGIN} ###", *lines, _END]))
    except (module.AscconvParseError, SyntaxError, TypeError, AttributeError):
        return {}
    return dict(fields)


def _ascconv() -> Any:
    """Import nibabel's reader, which warns that the package around it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return importlib.import_module("nibabel.nicom.ascconv")


def _protocol(fields: Mapping[str, Any]) -> SiemensProtocol:
    times = tuple((time or 0) * _MICROSECOND for time in fields.get("alTI", ()))
    space, fast = fields.get("sKSpace", {}), fields.get("sFastImaging", {})
    n_readouts = _n_readouts(fields, len(times))
    # the newer parameter wins over the older one (rordenlab/dcm2niix#1031)
    order = space.get("Reordering3D", space.get("unReordering", _LINEAR))
    spacing = fast.get("lEchoSpacing")
    return SiemensProtocol(
        n_readouts=n_readouts,
        inversion_times=tuple(round(time, 7) for time in times[:n_readouts]),
        flip_angles=tuple(float(angle) for angle in fields.get("adFlipAngleDegree", ())[:n_readouts] if angle),
        partitions=space.get("lPartitions"),
        slice_partial_fourier=_SLICE_PARTIAL_FOURIER.get(space.get("ucSlicePartialFourier", 0)),
        linear=order == _LINEAR,
        turbo_factor=fast.get("lTurboFactor"),
        echo_spacing=spacing * _MICROSECOND if spacing else None,
        denoised=bool(fields.get("ucDenoiseUniform")),
        reference_voltage=_reference_voltage(fields),
        repetition_times=tuple(round(time * _MICROSECOND, 7) for time in fields.get("alTR", ()) if time),
    )


def _reference_voltage(fields: Mapping[str, Any]) -> float | None:
    """Return the reference voltage of the first nucleus [V]; nothing where it is no number above 0."""
    nuclei = fields.get("sTXSPEC", {}).get("asNucleusInfo", ())
    voltage = nuclei[0].get("flReferenceAmplitude") if nuclei and isinstance(nuclei[0], dict) else None
    return float(voltage) if isinstance(voltage, int | float) and voltage > 0 else None


def _n_readouts(fields: Mapping[str, Any], n_times: int) -> int:
    """Return the number of inversion contrasts; before there was a name for it, that of contrasts.

    Contrasts may be echoes instead: they only count where there is an inversion time for each. Old protocols carry
    values of earlier ones along, so that there may be more.
    """
    n_readouts = int(fields.get("lInvContrasts", 1))
    if n_readouts > 1:
        return min(n_readouts, n_times)
    contrasts = int(fields.get("lContrasts", 1))
    enough = contrasts <= n_times if "lInvContrasts" not in fields else contrasts == n_times
    return contrasts if contrasts > 1 and enough else min(1, n_times)
