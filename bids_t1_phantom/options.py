"""Every option of the phantom, said once, as those of the product are in `bids_t1.data.options`."""

from argparse import ArgumentTypeError
from dataclasses import dataclass
from typing import Final, Literal, Self

from bids_t1.data.options import Group, Option, option

FieldMap = Literal["none", "ratio", "percent", "thousand", "angle", "afi", "dam", "tfl", "sa2rage", "epi"]


class Names(tuple[str, ...]):
    """Names of sequences, from one word of the command line, which may be a list with commas."""

    __slots__ = ()

    def __new__(cls, words: str) -> Self:
        """Read the names; an error tells those there are."""
        from bids_t1_phantom.sequences.table import SEQUENCES  # noqa: PLC0415 -- --help must stay quick

        names = [word for word in words.split(",") if word]
        unknown = [name for name in names if name not in SEQUENCES]
        if unknown or not names:
            raise ArgumentTypeError(f"{words!r}; expected {', '.join(SEQUENCES)}")
        return super().__new__(cls, names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What is scanned."""

    participants: int = option(1, Option(
        metavar="N", help="number of participants, each a different head (default: %(default)s)",
    ))  # fmt: skip
    resolution: float = option(2.0, Option(
        metavar="MM", help="edge of the cubic voxels [mm] (default: %(default)s)",
    ))  # fmt: skip
    slices: int | None = option(None, Option(
        metavar="N", help="only N slices about the basal ganglia (default: the whole head)",
    ))  # fmt: skip
    efficiency: tuple[float, float] = option((1.93, 0.02), Option(
        metavar=("MEAN", "SD"),
        help="inversion efficiency 1 - cos(inversion angle), 2 if perfect, and its smooth variation in space "
        "(default: 1.93 0.02)",
    ))  # fmt: skip
    bias: Literal["none", "mt", "mt-varied"] = option("none", Option(
        help="mt: tissues have a pool of bound protons, which exchanges magnetisation with free water, so that "
        "MP2RAGE reads a shorter T1 than IRT1, as in vivo, by nearly a function of T1. mt-varied: size and exchange of "
        "the pool, what MP2RAGE's inversion leaves of it, its efficiency, which fails where B1+ is weak, and the error "
        "of the B1+ map vary independently of T1, between participants and within; and there are lesions in white "
        "matter, with T1 longer by a fifth (default: none)",
    ))  # fmt: skip
    partial_volume: bool = option(False, Option(
        help="voxels of IRT1, MP2RAGE and MP3RAGE average the signals of four places in them, so that tissues share "
        "voxels at their borders; the truth stays what is in their middle",
    ))  # fmt: skip
    inversion_leaves: tuple[float, ...] | None = option(None, Option(
        metavar="F",
        help="with --bias mt: share of the bound protons' magnetisation that an inversion leaves, one for all "
        "sequences, or that of IRT1 and that of MP2RAGE and MP3RAGE; adiabatic pulses are longer and leave less "
        "(default: 0.83)",
    ))  # fmt: skip
    seed: int = option(0, Option(
        metavar="S", help="number that determines heads, noise and identifiers (default: %(default)s)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where inversion recovery and other images lie."""

    misalignment: tuple[float, float] = option((0.0, 0.0), Option(
        metavar=("DEGREES", "MM"),
        help="how far the head of each participant moves at most between IRT1 and all other images: a rotation about "
        "the middle of the brain and a shift, both drawn at random; the truth holds the transform (default: 0 0)",
    ))  # fmt: skip
    ir_slices: int | None = option(None, Option(
        metavar="N",
        help="only N slices of IRT1 about the basal ganglia; other images are as --slices says (default: as --slices)",
    ))  # fmt: skip
    ir_slice_thickness: float | None = option(None, Option(
        metavar="MM",
        help="thickness of the slices of IRT1, whose signal is the mean of thin layers [mm] (default: --resolution)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How it is scanned."""

    sequences: tuple[Names, ...] = option((), Option(
        metavar="NAME",
        help="sequences to simulate, separated by spaces or commas: IRT1, inversion recovery with several inversion "
        "times (default); MP2RAGE, two gradient-echo trains after one inversion, at 3 T; MP3RAGE, three, at 7 T; "
        "MEGRE, a spoiled gradient echo with several echoes, at 3 T; VFA, one at several flip angles, at 3 T",
    ))  # fmt: skip
    inversion_times: tuple[float, ...] | None = option(None, Option(
        metavar="S", help="inversion times [s] (default: ten from 0.05 to 3.0, logarithmically spaced)",
    ))  # fmt: skip
    repetition_times: tuple[float, ...] = option((6.0,), Option(
        metavar="S",
        help="from inversion to inversion, one for all inversion times or one for each [s] (default: 6.0)",
    ))  # fmt: skip
    recovery_times: tuple[float, ...] = option((), Option(
        metavar="S",
        help="makes IRT1 a selective inversion recovery: from the end of a readout, a train of spin echoes, to the "
        "next inversion, one for each inversion time, which then may be equal [s]; repetition times follow from it",
    ))  # fmt: skip
    echo_time: float = option(0.01, Option(
        metavar="S", help="spin-echo time [s] (default: %(default)s)",
    ))  # fmt: skip
    snr: float = option(50.0, Option(
        metavar="X",
        help="M0 of white matter over the noise SD of one channel (real or imaginary) of IRT1; inf for no noise "
        "(default: %(default)s)",
    ))  # fmt: skip
    part: Literal["mag", "real", "complex", "polar"] = option("mag", Option(
        help="mag: magnitude (default); real: signed real part after phase correction; complex: real and imaginary "
        "parts; polar: magnitude and phase. In DICOM, complex means what the vendor stores: Siemens magnitude and "
        "phase, Philips real and imaginary, GE all four in one series",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Readouts:
    """MP2RAGE and MP3RAGE."""

    mp2rage_form: Literal["polar", "complex", "uni", "uni-mag", "uni-last", "mag", "all"] = option("polar", Option(
        help="images of BIDS datasets. polar: magnitude and phase (default); complex: real and imaginary; uni: UNIT1 "
        "alone; uni-mag: UNIT1 and magnitudes; uni-last: UNIT1 and the second magnitude; mag: magnitudes; all: "
        "polar, UNIT1 and the denoised UNIT1. DICOM files are what the vendor stores",
    ))  # fmt: skip
    uni_scale: Literal["4095", "unit", "signed"] = option("4095", Option(
        help="how UNIT1 is stored in BIDS datasets. 4095: integers 0 to 4095 (default); unit: -0.5 to 0.5; signed: "
        "integers -2048 to 2047",
    ))  # fmt: skip
    mp2rage_efficiency: float | None = option(None, Option(
        metavar="F", help="inversion efficiency, 1 if perfect (default: 0.96 of MP2RAGE, 0.84 of MP3RAGE)",
    ))  # fmt: skip
    mp2rage_noise: float = option(0.0005, Option(
        metavar="X",
        help="noise SD of one channel (real or imaginary) over the M0 of white matter (default: %(default)s)",
    ))  # fmt: skip
    slice_partial_fourier: float = option(1.0, Option(
        metavar="F",
        help="fraction of the partitions of MP2RAGE that are played: 0.5 to 1 in eighths (default: %(default)s)",
    ))  # fmt: skip
    mp2rage_echoes: tuple[float, ...] | None = option(None, Option(
        metavar="S",
        help="several echo times of the second readout of MP2RAGE, below 0.031, of which the first one is also that "
        "of the first readout [s]; BIDS only, with a protocol of its own that has room for them, and images that "
        "decay with T2* (default: one echo, without decay)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitField:
    """The transmit field, and how it is measured."""

    b1_range: tuple[float, float] = option((0.8, 1.2), Option(
        metavar=("LOW", "HIGH"),
        help="relative transmit field at the edge and in the middle of the brain; 1 1 for none (default: 0.8 1.2)",
    ))  # fmt: skip
    b1_map: FieldMap | None = option(None, Option(
        help="how it is measured (default: ratio beside MP2RAGE, none if flat and in DICOM). A map, where 1 (ratio), "
        "100 (percent) or 1000 (thousand) is nominal, or of achieved angles in degrees (angle); or images of actual "
        "flip-angle imaging (afi), of the double-angle method (dam), of Siemens' tfl_b1map (tfl), of Sa2RAGE "
        "(sa2rage), or spin and stimulated echoes (epi). In DICOM: tfl and afi of Siemens",
    ))  # fmt: skip
    b1_resolution: float = option(4.0, Option(
        metavar="MM", help="edge of the cubic voxels of the map or the images [mm] (default: %(default)s)",
    ))  # fmt: skip
    b1_shift: float = option(0.0, Option(
        metavar="MM",
        help="move their field of view towards the top of the head, or away from it if negative; what they hold "
        "stays where it belongs [mm] (default: %(default)s)",
    ))  # fmt: skip
    b1_noise: float = option(0.0005, Option(
        metavar="X",
        help="noise SD of one channel (real or imaginary) of the images over the M0 of white matter; maps have none "
        "(default: %(default)s)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoes:
    """Multi-echo gradient echoes."""

    echo_times: tuple[float, ...] | None = option(None, Option(
        metavar="S", help="echo times [s] (default: six from 0.004 to 0.024)",
    ))  # fmt: skip
    megre_part: Literal["mag", "polar", "complex"] = option("mag", Option(
        help="mag: magnitude (default); polar: magnitude and phase; complex: real and imaginary parts. DICOM files "
        "hold magnitude and phase for both of the latter, Philips real and imaginary parts for complex",
    ))  # fmt: skip
    megre_snr: float = option(50.0, Option(
        metavar="X",
        help="signal of white matter at echo time 0 over the noise SD of one channel (real or imaginary); inf for no "
        "noise (default: %(default)s)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipAngles:
    """Gradient echoes at several flip angles."""

    flip_angles: tuple[float, ...] | None = option(None, Option(
        metavar="DEGREES", help="flip angles [degree] (default: 4 10 20)",
    ))  # fmt: skip
    vfa_part: Literal["mag", "polar", "complex"] = option("mag", Option(
        help="mag: magnitude (default); polar: magnitude and phase; complex: real and imaginary parts",
    ))  # fmt: skip
    vfa_snr: float = option(100.0, Option(
        metavar="X",
        help="mean signal of white matter over the noise SD of one channel (real or imaginary); inf for no noise "
        "(default: %(default)s)",
    ))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How it is written."""

    format: Literal["bids", "dicom"] = option("bids", Option(
        help="BIDS dataset or scanner files (default: %(default)s)",
    ))  # fmt: skip
    vendor: Literal["siemens", "philips", "ge"] = option("siemens", Option(
        help="whose DICOM files to imitate (default: %(default)s)",
    ))  # fmt: skip
    enhanced: bool = option(False, Option(
        help="multi-frame DICOM files, as Siemens XA and Philips write them",
    ))  # fmt: skip
    one_series: bool = option(False, Option(
        help="all inversion times in ONE DICOM series instead of a series each; of MP2RAGE and MP3RAGE with all "
        "their parts, but without the derived images; of MEGRE with all its parts",
    ))  # fmt: skip
    echo_series: Literal["one", "each"] = option("one", Option(
        help="DICOM series of MEGRE: one with all echoes (default), or one for each echo, as when echoes are scanned "
        "one by one",
    ))  # fmt: skip
    layout: Literal["participants", "sourcedata", "flat"] = option("participants", Option(
        help="where the DICOM files lie: participants: out_dir/sub-01/... (default); sourcedata: "
        "out_dir/sourcedata/sub-01/...; flat: directly in out_dir, one participant. The truth is in "
        "out_dir/derivatives/truth for BIDS and sourcedata, else in out_dir_truth beside out_dir",
    ))  # fmt: skip


GROUPS: Final = (
    Group("what is scanned", Scanned),
    Group("where inversion recovery and other images lie", Position),
    Group("how it is scanned", Scan),
    Group("MP2RAGE and MP3RAGE", Readouts),
    Group("transmit field B1+", TransmitField),
    Group("multi-echo gradient echo (MEGRE)", Echoes),
    Group("variable flip angle (VFA)", FlipAngles),
    Group("how it is written", Writing),
)
"""In the order of the help."""
