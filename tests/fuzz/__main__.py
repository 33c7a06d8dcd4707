"""``python -m tests.fuzz TARGET``: change bytes for some minutes, guided by the lines that they reach.

Needs atheris (``pip install atheris``). Stops at the first input that raises what is no expected failure, keeps it in
the folder of findings, and shows the traceback; run again with that file as an argument to see it once more.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("sidecars", "headers", "files", "protocol")


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz one target, or run it once on a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("file", type=Path, nargs="?", help="a finding to run once")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument(
        "--findings", type=Path, default=Path("findings-of-fuzzing"), help="folder (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)
    if arguments.file is not None:
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - below it is loaded in another way

        TARGETS[arguments.target](arguments.file.read_bytes())
        return 0
    return _fuzz(arguments.target, arguments.minutes, arguments.findings)


def _fuzz(target: str, minutes: float, findings: Path) -> int:
    import atheris  # noqa: PLC0415 - only for this

    with atheris.instrument_imports(include=["bids_t1"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - while imports are instrumented
    kept = findings / target
    kept.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={60 * minutes:.0f}",
        "-max_len=400",
        "-rss_limit_mb=2048",
        "-timeout=30",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={findings}/{target}-", str(kept)], TARGETS[target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
