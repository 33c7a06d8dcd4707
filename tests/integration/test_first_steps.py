"""The way from scanner files to a page that docs/first_steps.md describes, walked as it stands there."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "first_steps.md"


def walk() -> list[list[str]]:
    """Return the commands of the last section."""
    section = PAGE.read_text(encoding="utf-8").rpartition("\n## ")[2]
    return [shlex.split(line) for line in section.splitlines() if line.startswith("    ")]


@pytest.mark.slow
def test_dicom_files_without_timing_become_a_page_in_two_commands(tmp_path: Path) -> None:
    codes = []
    for program, *words in walk():
        done = subprocess.run([sys.executable, "-m", program, *words], cwd=tmp_path, check=False, capture_output=True)
        codes.append(done.returncode)
    assert codes == [0, 16, 0]
    assert (tmp_path / "out" / "sub-01.html").exists()
    assert (tmp_path / "out" / "sub-01" / "anat" / "sub-01_desc-MP2RAGE_T1map.nii.gz").exists()
