"""What `make example` leaves: every file that the outputs table promises, or its condition stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bids_t1.data.entities import BidsName
from bids_t1.data.outputs import CONDITIONS, OUTPUTS
from bids_t1_phantom.cli import main as make_phantom
from tests import command

if TYPE_CHECKING:
    from bids_t1.data.outputs import Output

ROOT = Path(__file__).parents[2]


def commands(folder: Path) -> list[list[str]]:
    """Return the words of the commands in the Makefile that make data and maps, coarser than there."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nexample:")[2].partition("\n\n")[0]
    lines = re.findall(r"\$\(BIN\)/(bids_t1\w* .*)", recipe)
    return [
        shlex.split(line.replace("$(EXAMPLE)", str(folder)).replace("--resolution 3", "--resolution 6"))
        for line in lines
    ]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[tuple[tuple[str, str], ...], str]]:
    """Return what the names of the images add to that of the participant, and their suffix."""
    folder = tmp_path_factory.mktemp("example")
    phantom, maps = commands(folder)
    assert make_phantom(phantom[1:]) == 0
    assert command.run(*maps[1:], "--device", "cpu").code == 0
    names = [BidsName.parse(path.name) for path in (folder / "derivatives" / "sub-01").rglob("*.nii.gz")]
    return {
        (tuple(entity for entity in name.entities if entity[0] in {"desc", "label"}), name.suffix)
        for name in names
        if name.get("space") is None
    }


def is_promised(row: Output, example: set[tuple[tuple[tuple[str, str], ...], str]]) -> bool:
    wanted = tuple((key, value) for key, value in row.entities.items() if value)
    return (tuple(sorted(wanted)), row.suffix) in {(tuple(sorted(entities)), suffix) for entities, suffix in example}


@pytest.mark.slow
@pytest.mark.parametrize("sequence", ["IRT1", "MP2RAGE", "anatomy"])
def test_every_output_is_there_after_the_example_or_its_condition_is_told(
    sequence: str, example: set[tuple[tuple[tuple[str, str], ...], str]]
) -> None:
    rows = [row for row in OUTPUTS if row.sequence == sequence]
    missing = {row.quantity for row in rows if not is_promised(row, example)}
    assert rows
    assert missing <= set(CONDITIONS)
    assert len(missing) < len(rows) / 2
