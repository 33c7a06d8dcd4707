"""Machine code that is kept."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bids_t1.compiling import COMPILES

if TYPE_CHECKING:
    from pathlib import Path

CALLER = """
from bids_t1.compiling import kept
from kept_package.constants import ANSWER

@kept
def answer(number: float) -> float:
    return number + ANSWER
"""


@pytest.mark.skipif(not COMPILES, reason="needs Numba")
def test_code_that_was_kept_is_not_used_once_a_constant_of_another_file_is_different(tmp_path: Path) -> None:
    package = tmp_path / "kept_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "caller.py").write_text(CALLER, encoding="utf-8")
    found = []
    for constant in ("1.0", "2.0", "2.0"):
        (package / "constants.py").write_text(f"ANSWER = {constant}\n", encoding="utf-8")
        program = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from kept_package.caller import answer\n"
            "print(answer(0.0), sum(answer.stats.cache_hits.values()))"
        )
        command = [sys.executable, "-B", "-c", program]
        found.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert found == [["1.0", "0"], ["2.0", "0"], ["2.0", "1"]]
