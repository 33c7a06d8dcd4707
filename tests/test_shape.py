"""No function holds many conditions, and the floors below the story know nothing of the command line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from radon.complexity import cc_visit
from radon.visitors import Function

ROOT = Path(__file__).parents[1]
PACKAGES = ("bids_t1", "bids_t1_phantom")

MOST = 10
"""Cyclomatic complexity, conditions of boolean operators and comprehensions counted, which ruff leaves out.

Split by thought where a function grows: a table, a value, an early end.
"""

OPTION = re.compile(r"(?<![-\w])--[a-z]")

LEFT = frozenset({
    "bids_t1/calibration/cross_validation.py: _card",
    "bids_t1/calibration/cross_validation.py: calibrate",
    "bids_t1/estimation/curves/engine.py: _begin",
    "bids_t1/estimation/curves/engine.py: _choices",
    "bids_t1/estimation/curves/misfit.py: Hypotheses.find",
    "bids_t1/estimation/curves/misfit.py: _Trial.best",
    "bids_t1/estimation/posterior/scan.py: valley_of",
})  # fmt: skip
"""Functions that have more; one that is mended leaves the list, and none joins it.

Compiled code (voxel, scan) passes numbers, not objects: what would hold conditions elsewhere is not to be had there.
"""


def _crowded() -> set[str]:
    return {
        f"{path.relative_to(ROOT)}: {block.fullname}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for block in cc_visit(path.read_text(encoding="utf-8"))
        if isinstance(block, Function) and block.complexity > MOST
    }


def test_no_function_has_more_conditions_than_a_reader_holds_in_mind() -> None:
    assert _crowded() == LEFT


def test_physics_and_engine_name_no_option_of_the_command_line() -> None:
    named = {
        f"{path.relative_to(ROOT)}: {node.value}"
        for room in ("sequences", "estimation")
        for path in (ROOT / "bids_t1" / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and OPTION.search(node.value)
    }
    assert not named
