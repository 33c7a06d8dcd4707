"""``python -m tests.corpus``: run the cases, or some of them, and say what held."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.corpus.forks import preload
from tests.corpus.runner import run
from tests.corpus.table import CASES, FAST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.corpus.case import Case
    from tests.corpus.verdict import Verdict


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 where a case did not hold."""
    arguments = _parser().parse_args(argv)
    cases = _chosen(arguments)
    if arguments.list:
        for case in cases:
            sys.stdout.write(
                f"{case.form:18} {case.kind:12} {case.wanted:8} {'/'.join(map(str, case.exit_codes)):4} {case.words}  {case.names}\n"
            )
        return 0
    preload()
    with tempfile.TemporaryDirectory(prefix="corpus-") as scratch:
        verdicts = [_told(verdict, arguments) for verdict in run(cases, Path(scratch), arguments.n)]
    sys.stdout.write(_summary(verdicts))
    return 0 if all(verdict.held for verdict in verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("words", nargs="*", help="only cases whose form, kind or description holds one of these")
    parser.add_argument("--kind", nargs="+", default=[], help="only cases of these kinds")
    parser.add_argument("--form", nargs="+", default=[], help="only cases of these forms of data")
    parser.add_argument("--fast", action="store_true", help="only cases of the default tests")
    parser.add_argument("-n", type=int, default=1, help="cases at a time (default: 1)")
    parser.add_argument("-q", "--quiet", action="store_true", help="only cases that did not hold")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what the command said")
    parser.add_argument("--list", action="store_true", help="show the table and run nothing")
    return parser


def _chosen(arguments: argparse.Namespace) -> list[Case]:
    chosen = [
        case
        for case in CASES
        if (not arguments.words or any(word in str(case) for word in arguments.words))
        and (not arguments.kind or case.kind in arguments.kind)
        and (not arguments.form or case.form in arguments.form)
        and (str(case) in FAST or not arguments.fast)
    ]
    return sorted(chosen, key=lambda case: str(case) not in FAST)  # what represents its kind first


def _told(verdict: Verdict, arguments: argparse.Namespace) -> Verdict:
    """Say what came of one case."""
    ran = verdict.ran
    if not (verdict.held and arguments.quiet):
        state = "held" if verdict.held else "NOT"
        line = f"{state:4} {ran.code:3} {ran.seconds:5.1f} s {ran.memory:5.0f} MB  {verdict.case}"
        sys.stdout.write("".join([line, "\n", *(f"       {complaint}\n" for complaint in verdict.complaints)]))
        if arguments.verbose:
            sys.stdout.write("".join(f"     | {said[:300]}\n" for said in ran.said.splitlines()[-8:]))
        sys.stdout.flush()
    return verdict


def _summary(verdicts: Sequence[Verdict]) -> str:
    """Count what held by kind, and say what took longest and most."""
    if not verdicts:
        return "no case is chosen\n"
    all_of = Counter(verdict.case.kind for verdict in verdicts)
    held = Counter(verdict.case.kind for verdict in verdicts if verdict.held)
    slowest = max(verdicts, key=lambda verdict: verdict.ran.seconds)
    largest = max(verdicts, key=lambda verdict: verdict.ran.memory)
    rows = [f"| {kind} | {n} | {n - held[kind]} |" for kind, n in sorted(all_of.items())]
    return "\n".join([
        "", "| kind | cases | not held |", "|---|---|---|", *rows,
        f"| all | {all_of.total()} | {all_of.total() - held.total()} |", "",
        f"median {statistics.median(verdict.ran.seconds for verdict in verdicts):.1f} s of processor time",
        f"longest {slowest.ran.seconds:.1f} s ({slowest.case})",
        f"most memory {largest.ran.memory:.0f} MB ({largest.case})", "",
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
