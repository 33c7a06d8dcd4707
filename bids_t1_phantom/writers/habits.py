"""What each vendor writes into the files of each sequence: one row for both, with the sources of its habits.

Sources of inversion recovery are told in `vendors`. All echoes of an excitation share a series and differ in EchoTime
(0018,0081) and EchoNumbers (0018,0086), as DICOM defines them; sorting them out is what dcm2niix's suffix ``_e`` is for
(its README, "File naming").
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bids_t1.data.errors import UsageError
from bids_t1_phantom.writers.siemens_protocol import alternating_times, saturation_map, trains_protocol
from bids_t1_phantom.writers.vendors import GE, Habit, Philips, Siemens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SIEMENS, _PHILIPS, _GE = Siemens(), Philips(), GE()

_MAGNITUDE = MappingProxyType({"mag": ("mag",)})
_SIEMENS_PARTS = MappingProxyType(
    {"mag": ("mag",), "real": ("signed",), "complex": ("mag", "phase"), "polar": ("mag", "phase")}
)
_PHILIPS_PARTS = MappingProxyType(
    {"mag": ("mag",), "real": ("signed",), "complex": ("real", "imag"), "polar": ("mag", "phase")}
)
_GE_PARTS = MappingProxyType(
    {"mag": ("mag",), "real": ("signed",), "complex": ("mag", "phase", "real", "imag"), "polar": ("mag", "phase")}
)

_SIEMENS_TRAINS = Habit(
    # rordenlab/dcm2niix#536 (image types of readouts), #675 (sequence, comments, names of series);
    # bids-standard/bids-specification#1890 (names of series).
    vendor=_SIEMENS,
    scanning_sequence=["GR", "IR"],
    variant=["SK", "SP", "MP"],
    options="IR",
    sequence="*tfl3d1_ns",
    parts=MappingProxyType({"all": ("mag", "phase")}),
    derived=("uni", "denoised", "t1"),
    image_types=MappingProxyType(
        {
            "t1": ["DERIVED", "PRIMARY", "T1 MAP", "ND"],
            "uni": ["DERIVED", "PRIMARY", "M", "ND", "UNI"],
            "denoised": ["DERIVED", "PRIMARY", "M", "ND", "UNI"],
        }
    ),
    comments=MappingProxyType({"uni": "Uniform Image", "t1": "T1 Map"}),
    descriptions=MappingProxyType(
        {
            "mag": "{protocol}_INV{number}",
            "phase": "{protocol}_INV{number}_PHS",
            "uni": "{protocol}_UNI_Images",
            "denoised": "{protocol}_UNI-DEN",
            "t1": "{protocol}_T1_Images",
        }
    ),
    private_protocol=trains_protocol,
)
_PHILIPS_TRAINS = Habit(
    # Real and imaginary images of each readout in one series, and nothing derived.
    vendor=_PHILIPS,
    scanning_sequence="GR",
    variant="MP",
    sequence="T1TFE",
    kind="FFE",
    parts=MappingProxyType({"all": ("real", "imag")}),
    description="WIP_{name}_TI{number}",
    no_inversion_times=True,
)
_GE_TRAINS = Habit(
    # Magnitudes only; no public header of this vendor's MP2RAGE was found.
    vendor=_GE,
    scanning_sequence=["GR", "IR"],
    variant="NONE",
    sequence="efgre3d",
    parts=MappingProxyType({"all": ("mag",)}),
    description="3D_{name}_INV{number}",
)

_SPOILED_ECHOES = MappingProxyType(
    {
        # The name of the product sequence for 3D FLASH.
        "siemens": Habit(
            vendor=_SIEMENS, scanning_sequence="GR", variant="SP", sequence="*fl3d1", parts=_SIEMENS_PARTS
        ),
        "philips": Habit(
            vendor=_PHILIPS,
            scanning_sequence="GR",
            variant="SP",
            sequence="T1FFE",
            kind="FFE",
            parts=_PHILIPS_PARTS,
        ),
        "ge": Habit(vendor=_GE, scanning_sequence="GR", variant="NONE", sequence="efgre3d", parts=_GE_PARTS),
    }
)

HABITS: Mapping[str, Mapping[str, Habit]] = MappingProxyType(
    {
        "IRT1": {
            "siemens": Habit(
                vendor=_SIEMENS,
                scanning_sequence=["SE", "IR"],
                variant=["SK", "MP"],
                sequence="*tir2d1",
                parts=_SIEMENS_PARTS,
            ),
            "philips": Habit(
                vendor=_PHILIPS,
                scanning_sequence="IR",
                variant="SS",
                sequence="IR",
                kind="IR",
                parts=_PHILIPS_PARTS,
            ),
            "ge": Habit(vendor=_GE, scanning_sequence="IR", variant="NONE", sequence="mpir", parts=_GE_PARTS),
        },
        "MP2RAGE": {"siemens": _SIEMENS_TRAINS, "philips": _PHILIPS_TRAINS, "ge": _GE_TRAINS},
        "MP3RAGE": {"siemens": _SIEMENS_TRAINS, "philips": _PHILIPS_TRAINS, "ge": _GE_TRAINS},
        "MEGRE": _SPOILED_ECHOES,
        "VFA": _SPOILED_ECHOES,
        "TB1TFL": {
            # tfl_b1map as of software VB: an ordinary image, and ten times the angle of the saturation pulse in
            # degrees. FlipAngle is that of the saturation pulse in VB only; later versions write that of the
            # excitation, and the other one nowhere: github.com/spinal-cord-7t/coil-qc-code/issues/18.
            # Comments: hMRI-group/hMRI-toolbox, hmri_run_b1map.m; name of the sequence:
            # shimming-toolbox/shimming-toolbox pull request 227. The image type is an assumption: no public header
            # was found.
            "siemens": Habit(
                vendor=_SIEMENS,
                software="syngo MR B17",
                scanning_sequence="GR",
                variant=["SP", "MP"],
                sequence="*tfl2d1_16",
                parts=_MAGNITUDE,
                derived=("angle",),
                image_types=MappingProxyType({"angle": ["ORIGINAL", "PRIMARY", "FLIP ANGLE MAP", "ND"]}),
                comments=MappingProxyType({"mag": "anatomical image", "angle": "flip angle map"}),
                private_protocol=saturation_map,
            ),
        },
        "TB1AFI": {
            # Both images in one series, told apart by the number of the echo. Both have the first repetition time; the
            # protocol has both: rordenlab/dcm2niix#918.
            "siemens": Habit(
                vendor=_SIEMENS,
                scanning_sequence="GR",
                variant="SP",
                sequence="*fl3d1",
                parts=_MAGNITUDE,
                private_protocol=alternating_times,
            ),
        },
    }
)
"""By sequence and vendor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomOptions:
    """How scanner files are written."""

    vendor: str = "siemens"
    """siemens, philips or ge."""

    enhanced: bool = False
    """Multi-frame files."""

    one_series: bool = False
    """All inversion times in one series, instead of a series each."""

    part: str = "mag"
    """Of inversion recovery: mag, real, complex or polar; what is stored for it depends on the vendor."""

    echo_part: str = "mag"
    """Of the multi-echo gradient echo: mag, polar or complex."""

    flip_part: str = "mag"
    """Of variable flip angles, likewise."""

    echo_series: str = "one"
    """Series of the multi-echo gradient echo: one for all echoes, or each its own."""

    nested: bool = True
    """A folder per series; False puts all files into one."""

    def __post_init__(self) -> None:
        """Refuse what no scanner writes."""
        vendors = {vendor: None for row in HABITS.values() for vendor in row}
        if self.vendor not in vendors:
            raise UsageError(f"vendor {self.vendor!r}; expected one of {', '.join(vendors)}.")
        if self.enhanced and self.vendor == "ge":
            raise UsageError("GE scanners write no enhanced files here; expected siemens or philips, or no --enhanced.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How the images of a sequence are sorted into series, whoever the vendor is."""

    choice: Callable[[DicomOptions], str]
    """Key of `Habit.parts`."""

    apart: Callable[[DicomOptions], bool]
    """Whether every measurement has a series of its own."""

    one_series_joins_parts: bool = True
    """Whether asking for one series joins the parts, too, of a vendor that keeps them apart."""

    brightest: float | None = 4000.0
    """Stored value of the brightest voxel of all images, or their ratio would be lost; None: as they are."""


_TRAINS = Order(choice=lambda _: "all", apart=lambda options: not options.one_series)
_PAIR = Order(choice=lambda _: "mag", apart=lambda _: False)

ORDERS: Mapping[str, Order] = MappingProxyType(
    {
        "IRT1": Order(
            choice=lambda options: options.part,
            apart=lambda options: not options.one_series,
            one_series_joins_parts=False,
            brightest=None,
        ),
        "MP2RAGE": _TRAINS,
        "MP3RAGE": _TRAINS,
        "MEGRE": Order(choice=lambda options: options.echo_part, apart=lambda options: options.echo_series == "each"),
        "VFA": Order(choice=lambda options: options.flip_part, apart=lambda options: not options.one_series),
        "TB1TFL": _PAIR,
        "TB1AFI": _PAIR,
    }
)
"""By sequence."""
