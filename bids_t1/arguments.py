"""A parser of command lines that leaves with the exit codes of this program."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from bids_t1.data.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors have the exit code for usage of sysexits.h, where argparse has its own."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, and leave."""
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"{self.prog}: {message}\n")
