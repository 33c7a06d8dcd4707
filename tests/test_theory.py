"""What the page of theory says is what the program computes."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
THEORY = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
LINES = "\n\n".join(re.findall(r"```python\n(.*?)```", THEORY, re.DOTALL))
NAMES = sorted(set(re.findall(r"`(bids_t1(?:\.\w+)+)`", THEORY)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", THEORY)))


def test_lines_beside_formulas_give_what_stands_there() -> None:
    page = doctest.DocTestParser().get_doctest(LINES, {}, "theory", "docs/theory.md", 0)
    said: list[str] = []
    results = doctest.DocTestRunner().run(page, out=said.append)
    assert not results.failed, "".join(said)
    assert results.attempted > 50


@pytest.mark.parametrize("name", NAMES)
def test_functions_that_the_theory_names_are_there(name: str) -> None:
    parts = name.split(".")
    n_modules = next(n for n, part in enumerate([*parts, "X"]) if part[0].isupper() or n == len(parts) - 1)
    found: object = importlib.import_module(".".join(parts[:n_modules]))
    for part in parts[n_modules:]:
        found = getattr(found, part)


@pytest.mark.parametrize(("file", "test"), TESTS, ids=[test for _, test in TESTS])
def test_tests_that_the_theory_names_are_there(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_every_section_evaluates_its_formulas() -> None:
    sections = re.split(r"^#{2,3} ", THEORY, flags=re.MULTILINE)[1:]
    without = [section.partition("\n")[0] for section in sections if "$$" in section and ">>>" not in section]
    assert not without
