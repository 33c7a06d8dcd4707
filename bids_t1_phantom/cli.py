"""The command line of the phantom. Nothing heavy is imported before the arguments are right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.arguments import Parser, add_options
from bids_t1.data.errors import BidsT1Error
from bids_t1_phantom.options import GROUPS

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
    add_options(parser, GROUPS)
    return parser


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
