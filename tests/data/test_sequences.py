"""The table of sequences is the one place that knows them: every room follows it, and none spells a name itself."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from bids_t1.bids.transmit.measurement import READERS
from bids_t1.bids.uni import CONVENTIONS, SCALING_KEY
from bids_t1.data.entities import ENTITY_ORDER
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.outputs import BY_SEQUENCE, outputs_of
from bids_t1.data.protocol import Texts
from bids_t1.data.sequences import (
    BY_SUFFIX,
    INVERSION_RECOVERY,
    MP2RAGE,
    NAMES,
    REFERENCES,
    SEQUENCES,
    TRANSMIT_METHODS,
    PulseSequence,
    sequence_of,
)
from bids_t1.report.voices.by_sequence import VOICES
from bids_t1.report.words.literature import BY_DOI
from bids_t1.runs.by_sequence import RUNS
from bids_t1.sequences.adiabatic import PULSES
from bids_t1.sequences.inversion_readout import GRADIENT_ECHO, READOUT_KEY, SPIN_ECHO
from bids_t1.sequences.mp2rage_shots import PLAYED
from bids_t1.sequences.slice_timing import INVERSION_KEY, NON_SELECTIVE, SELECTIVE

PACKAGE = Path(__file__).parents[2] / "bids_t1"

ROOMS = ("sequences", "runs", "report.voices")


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("row", SEQUENCES, ids=lambda row: row.file)
def test_a_sequence_has_a_file_of_its_name_in_each_room(row: PulseSequence, room: str) -> None:
    assert find_spec(f"bids_t1.{room}.{row.file}") is not None


def test_each_room_has_each_sequence_of_the_table_and_no_other() -> None:
    names = {row.name for row in SEQUENCES}
    assert set(BY_SEQUENCE) == set(VOICES) == set(RUNS) == names
    files = {row.name: f"bids_t1.runs.{row.file}" for row in SEQUENCES}
    assert {name: run.process.__module__ for name, run in RUNS.items()} == files
    assert {name: run.ready.__module__ for name, run in RUNS.items()} == files
    assert {row.name: import_module(f"bids_t1.report.voices.{row.file}").VOICE for row in SEQUENCES} == VOICES


def test_names_and_suffixes_are_of_one_sequence_each() -> None:
    assert len(set(NAMES)) == len(NAMES) == sum(len(row.titles) for row in SEQUENCES)
    assert len(BY_SUFFIX) == sum(len(row.suffixes) for row in SEQUENCES)


@pytest.mark.parametrize("name", NAMES)
def test_every_sequence_has_outputs_among_them_a_map_of_what_it_measures(name: str) -> None:
    assert [row.suffix for row in outputs_of(name) if row.quantity == "time"] == [
        f"{sequence_of(name).quantity.replace('*', 'star')}map"
    ]


@pytest.mark.parametrize("row", SEQUENCES, ids=lambda row: row.file)
def test_images_of_a_run_are_numbered_by_an_entity_of_bids(row: PulseSequence) -> None:
    within = {key for entities in row.suffixes.values() for key in entities}
    assert within <= set(ENTITY_ORDER)
    assert row.numbered_by in within or not row.suffixes


def test_of_several_references_inversion_recovery_comes_before_the_selective_one() -> None:
    assert REFERENCES == ("IRT1", "SIR")


def test_an_unknown_sequence_is_an_error_and_never_another_one() -> None:
    with pytest.raises(InvalidInputError, match="'T1w' is no sequence that is known; expected IRT1, SIR, MP2RAGE"):
        sequence_of("T1w")


def test_words_of_a_protocol_file_are_those_that_the_readers_know() -> None:
    words = {
        (row.name, key): field.choices
        for row in SEQUENCES
        for key, field in row.protocol.items()
        if isinstance(field, Texts)
    }
    recovery, readouts = INVERSION_RECOVERY.name, MP2RAGE.name
    assert words == {
        (recovery, READOUT_KEY): (SPIN_ECHO, GRADIENT_ECHO),
        (recovery, INVERSION_KEY): (SELECTIVE, NON_SELECTIVE),
        (readouts, SCALING_KEY): tuple(CONVENTIONS),
        (readouts, "InversionPulse"): tuple(PULSES),
    }
    assert PLAYED in MP2RAGE.protocol


def test_every_way_of_measuring_b1_has_a_reader_and_its_works() -> None:
    assert list(READERS) == [method.suffix for method in TRANSMIT_METHODS]
    assert {doi for method in TRANSMIT_METHODS for doi in method.works} == set(BY_DOI)


def _spelt(path: Path) -> set[str]:
    """Return the names of sequences that code spells: as a text of its own, or in quotes within one."""
    texts = {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {name for name in NAMES for text in texts if text == name}


def test_no_file_but_those_of_a_sequence_spells_its_name() -> None:
    own = {"data/sequences.py"}
    spelling = {
        place: names
        for path in sorted(PACKAGE.rglob("*.py"))
        if (place := path.relative_to(PACKAGE).as_posix()) not in own
        if (names := {name for name in _spelt(path) if sequence_of(name).file not in path.stem})
    }
    assert not spelling
