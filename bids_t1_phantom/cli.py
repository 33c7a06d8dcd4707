"""The command line of the phantom. Nothing heavy is imported before the arguments are right."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.arguments import Parser
from bids_t1.data.errors import BidsT1Error

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def build_parser() -> argparse.ArgumentParser:
    """Declare the arguments, their defaults and their help."""
    parser = Parser(
        prog="bids_t1_phantom",
        description="Make a dataset of digital heads with known T1 and T2*: inversion-recovery, MP2RAGE, MP3RAGE, "
        "multi-echo gradient-echo and variable-flip-angle images as BIDS or as the DICOM files of a scanner, and "
        "beside them the true maps. The same options and seed give the same bytes.",
    )
    parser.add_argument("out_dir", type=Path, help="folder to make; it must not exist, or be empty")
    _add_object(parser.add_argument_group("what is scanned"))
    _add_position(parser.add_argument_group("where inversion recovery and other images lie"))
    _add_protocol(parser.add_argument_group("how it is scanned"))
    _add_readouts(parser.add_argument_group("MP2RAGE and MP3RAGE"))
    _add_field(parser.add_argument_group("transmit field B1+"))
    _add_echoes(parser.add_argument_group("multi-echo gradient echo (MEGRE)"))
    _add_flip_angles(parser.add_argument_group("variable flip angle (VFA)"))
    _add_format(parser.add_argument_group("how it is written"))
    return parser


def _add_object(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--participants",
        type=int,
        default=1,
        metavar="N",
        help="number of participants, each a different head (default: %(default)s)",
    )
    group.add_argument(
        "--resolution",
        type=float,
        default=2.0,
        metavar="MM",
        help="edge of the cubic voxels [mm] (default: %(default)s)",
    )
    group.add_argument(
        "--slices",
        type=int,
        default=None,
        metavar="N",
        help="only N slices about the basal ganglia (default: the whole head)",
    )
    group.add_argument(
        "--efficiency",
        type=float,
        nargs=2,
        default=[1.93, 0.02],
        metavar=("MEAN", "SD"),
        help="inversion efficiency 1 - cos(inversion angle), 2 if perfect, and its smooth "
        "variation in space (default: 1.93 0.02)",
    )
    group.add_argument(
        "--bias",
        choices=["none", "mt"],
        default="none",
        help="mt: tissues have a pool of bound protons, which exchanges magnetisation with free water, so that MP2RAGE "
        "reads a shorter T1 than IRT1, as in vivo (default: none)",
    )
    group.add_argument(
        "--inversion-leaves",
        type=float,
        nargs="+",
        default=None,
        metavar="F",
        help="with --bias mt: share of the bound protons' magnetisation that an inversion leaves, one for all "
        "sequences, or that of IRT1 and that of MP2RAGE and MP3RAGE; adiabatic pulses are longer and leave less "
        "(default: 0.83)",
    )
    group.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="number that determines heads, noise and identifiers (default: %(default)s)",
    )


def _add_position(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--misalignment",
        type=float,
        nargs=2,
        default=[0.0, 0.0],
        metavar=("DEGREES", "MM"),
        help="how far the head of each participant moves at most between IRT1 and all other images: a rotation about "
        "the middle of the brain and a shift, both drawn at random; the truth holds the transform (default: 0 0)",
    )
    group.add_argument(
        "--ir-slices",
        type=int,
        default=None,
        metavar="N",
        help="only N slices of IRT1 about the basal ganglia; other images are as --slices says (default: as --slices)",
    )
    group.add_argument(
        "--ir-slice-thickness",
        type=float,
        default=None,
        metavar="MM",
        help="thickness of the slices of IRT1, whose signal is the mean of thin layers [mm] (default: --resolution)",
    )


def _add_protocol(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--sequences",
        nargs="+",
        type=_sequences,
        default=[],
        metavar="NAME",
        help="sequences to simulate, separated by spaces or commas: IRT1, inversion recovery with several inversion "
        "times (default); MP2RAGE, two gradient-echo trains after one inversion, at 3 T; MP3RAGE, three, at 7 T; "
        "MEGRE, a spoiled gradient echo with several echoes, at 3 T; VFA, one at several flip angles, at 3 T",
    )
    group.add_argument(
        "--inversion-times",
        type=float,
        nargs="+",
        default=None,
        metavar="S",
        help="inversion times [s] (default: ten from 0.05 to 3.0, logarithmically spaced)",
    )
    group.add_argument(
        "--repetition-times",
        type=float,
        nargs="+",
        default=[6.0],
        metavar="S",
        help="from inversion to inversion, one for all inversion times or one for each [s] (default: 6.0)",
    )
    group.add_argument(
        "--recovery-times",
        type=float,
        nargs="+",
        default=[],
        metavar="S",
        help="makes IRT1 a selective inversion recovery: from the end of a readout, a train of spin echoes, to the "
        "next inversion, one for each inversion time, which then may be equal [s]; repetition times follow from it",
    )
    group.add_argument(
        "--echo-time",
        type=float,
        default=0.010,
        metavar="S",
        help="spin-echo time [s] (default: %(default)s)",
    )
    group.add_argument(
        "--snr",
        type=float,
        default=50.0,
        metavar="X",
        help="M0 of white matter over the noise SD of one channel (real or imaginary) of IRT1; inf for no noise "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--part",
        choices=["mag", "real", "complex", "polar"],
        default="mag",
        help="mag: magnitude (default); real: signed real part after phase correction; complex: real and "
        "imaginary parts; polar: magnitude and phase. In DICOM, complex means what the vendor stores: "
        "Siemens magnitude and phase, Philips real and imaginary, GE all four in one series",
    )


def _sequences(words: str) -> list[str]:
    """Read one word of --sequences, which may be a list with commas."""
    from bids_t1_phantom.sequences.table import SEQUENCES  # noqa: PLC0415 -- --help must stay quick

    names = [word for word in words.split(",") if word]
    unknown = [name for name in names if name not in SEQUENCES]
    if unknown or not names:
        raise ArgumentTypeError(f"{words!r}; expected {', '.join(SEQUENCES)}")
    return names


def _add_readouts(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--mp2rage-form",
        choices=["polar", "complex", "uni", "uni-mag", "uni-last", "mag", "all"],
        default="polar",
        help="images of BIDS datasets. polar: magnitude and phase (default); complex: real and imaginary; uni: UNIT1 "
        "alone; uni-mag: UNIT1 and magnitudes; uni-last: UNIT1 and the second magnitude; mag: magnitudes; all: "
        "polar, UNIT1 and the denoised UNIT1. DICOM files are what the vendor stores",
    )
    group.add_argument(
        "--uni-scale",
        choices=["4095", "unit", "signed"],
        default="4095",
        help="how UNIT1 is stored in BIDS datasets. 4095: integers 0 to 4095 (default); unit: -0.5 to 0.5; signed: "
        "integers -2048 to 2047",
    )
    group.add_argument(
        "--mp2rage-efficiency",
        type=float,
        default=None,
        metavar="F",
        help="inversion efficiency, 1 if perfect (default: 0.96 of MP2RAGE, 0.84 of MP3RAGE)",
    )
    group.add_argument(
        "--mp2rage-noise",
        type=float,
        default=0.0005,
        metavar="X",
        help="noise SD of one channel (real or imaginary) over the M0 of white matter (default: %(default)s)",
    )
    group.add_argument(
        "--slice-partial-fourier",
        type=float,
        default=1.0,
        metavar="F",
        help="fraction of the partitions of MP2RAGE that are played: 0.5 to 1 in eighths (default: %(default)s)",
    )
    group.add_argument(
        "--mp2rage-echoes",
        type=float,
        nargs="+",
        default=None,
        metavar="S",
        help="several echo times of the second readout of MP2RAGE, below 0.031, of which the first one is also that of "
        "the first readout [s]; BIDS only, with a protocol of its own that has room for them, and images that decay "
        "with T2* (default: one echo, without decay)",
    )


def _add_field(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--b1-range",
        type=float,
        nargs=2,
        default=[0.8, 1.2],
        metavar=("LOW", "HIGH"),
        help="relative transmit field at the edge and in the middle of the brain; 1 1 for none (default: 0.8 1.2)",
    )
    group.add_argument(
        "--b1-map",
        choices=["none", "ratio", "percent", "thousand", "angle", "afi", "dam", "tfl", "sa2rage", "epi"],
        default=None,
        help="how it is measured (default: ratio beside MP2RAGE, none if flat and in DICOM). A map, where 1 (ratio), "
        "100 (percent) or 1000 (thousand) is nominal, or of achieved angles in degrees (angle); or images of actual "
        "flip-angle imaging (afi), of the double-angle method (dam), of Siemens' tfl_b1map (tfl), of Sa2RAGE "
        "(sa2rage), or spin and stimulated echoes (epi). In DICOM: tfl and afi of Siemens",
    )
    group.add_argument(
        "--b1-resolution",
        type=float,
        default=4.0,
        metavar="MM",
        help="edge of the cubic voxels of the map or the images [mm] (default: %(default)s)",
    )
    group.add_argument(
        "--b1-shift",
        type=float,
        default=0.0,
        metavar="MM",
        help="move their field of view towards the top of the head, or away from it if negative; what they hold stays "
        "where it belongs [mm] (default: %(default)s)",
    )
    group.add_argument(
        "--b1-noise",
        type=float,
        default=0.0005,
        metavar="X",
        help="noise SD of one channel (real or imaginary) of the images over the M0 of white matter; maps have none "
        "(default: %(default)s)",
    )


def _add_echoes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--echo-times",
        type=float,
        nargs="+",
        default=None,
        metavar="S",
        help="echo times [s] (default: six from 0.004 to 0.024)",
    )
    group.add_argument(
        "--megre-part",
        choices=["mag", "polar", "complex"],
        default="mag",
        help="mag: magnitude (default); polar: magnitude and phase; complex: real and imaginary parts. DICOM files "
        "hold magnitude and phase for both of the latter, Philips real and imaginary parts for complex",
    )
    group.add_argument(
        "--megre-snr",
        type=float,
        default=50.0,
        metavar="X",
        help="signal of white matter at echo time 0 over the noise SD of one channel (real or imaginary); inf for no "
        "noise (default: %(default)s)",
    )


def _add_flip_angles(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--flip-angles",
        type=float,
        nargs="+",
        default=None,
        metavar="DEGREES",
        help="flip angles [degree] (default: 4 10 20)",
    )
    group.add_argument(
        "--vfa-part",
        choices=["mag", "polar", "complex"],
        default="mag",
        help="mag: magnitude (default); polar: magnitude and phase; complex: real and imaginary parts",
    )
    group.add_argument(
        "--vfa-snr",
        type=float,
        default=100.0,
        metavar="X",
        help="mean signal of white matter over the noise SD of one channel (real or imaginary); inf for no noise "
        "(default: %(default)s)",
    )


def _add_format(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--format",
        choices=["bids", "dicom"],
        default="bids",
        help="BIDS dataset or scanner files (default: %(default)s)",
    )
    group.add_argument(
        "--vendor",
        choices=["siemens", "philips", "ge"],
        default="siemens",
        help="whose DICOM files to imitate (default: %(default)s)",
    )
    group.add_argument(
        "--enhanced",
        action="store_true",
        help="multi-frame DICOM files, as Siemens XA and Philips write them",
    )
    group.add_argument(
        "--one-series",
        action="store_true",
        help="all inversion times in ONE DICOM series instead of a series each; of MP2RAGE and "
        "MP3RAGE with all their parts, but without the derived images; of MEGRE with all its parts",
    )
    group.add_argument(
        "--echo-series",
        choices=["one", "each"],
        default="one",
        help="DICOM series of MEGRE: one with all echoes (default), or one for each echo, as when echoes are scanned "
        "one by one",
    )
    group.add_argument(
        "--layout",
        choices=["participants", "sourcedata", "flat"],
        default="participants",
        help="where the DICOM files lie: participants: out_dir/sub-01/... (default); sourcedata: "
        "out_dir/sourcedata/sub-01/...; flat: directly in out_dir, one participant. The truth is in "
        "out_dir/derivatives/truth for BIDS and sourcedata, else in out_dir_truth beside out_dir",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Make a dataset; return the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        from bids_t1_phantom.dataset import Request, make_dataset  # noqa: PLC0415 -- --help must stay quick

        make_dataset(Request.from_arguments(arguments))
    except BidsT1Error as error:
        sys.stderr.write(f"bids_t1_phantom: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
