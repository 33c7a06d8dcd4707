"""A sequence of the phantom is a row of its tables and a file: nothing else asks for its name."""

import re
from pathlib import Path

import bids_t1_phantom
from bids_t1_phantom.sequences.table import SEQUENCES
from bids_t1_phantom.writers.habits import HABITS, ORDERS


def test_every_sequence_has_its_rows_for_scanner_files() -> None:
    assert HABITS.keys() == ORDERS.keys()
    assert SEQUENCES.keys() <= HABITS.keys()
    assert all(HABITS[name].keys() == {"siemens", "philips", "ge"} for name in SEQUENCES)


def test_names_of_sequences_stand_in_tables_and_in_their_own_files_only() -> None:
    root = Path(bids_t1_phantom.__file__).parent
    own = {
        "inversion_recovery.py",
        "mp2rage.py",
        "multi_echo_gre.py",
        "variable_flip_angle.py",
        "table.py",
        "habits.py",
    }
    named = re.compile(rf'"({"|".join(SEQUENCES)})"')
    found = {path.name for path in root.rglob("*.py") if named.search(path.read_text(encoding="utf-8"))}
    assert found == own
