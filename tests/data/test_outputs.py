"""The one table of outputs agrees with the estimate, with itself and with BIDS."""

from __future__ import annotations

import dataclasses

import pytest
from bidsschematools.schema import load_schema

from bids_t1.data.estimate import Estimate, PosteriorEstimate, VoxelStatus
from bids_t1.data.forms import FORMS
from bids_t1.data.outputs import ANATOMY, CALIBRATED, CONDITIONS, OUTPUTS, SLOW, WEIGHTED, Output, outputs_of

IDS = [row.ending for row in OUTPUTS]


@pytest.mark.parametrize("row", OUTPUTS, ids=IDS)
def test_every_quantity_is_one_of_the_estimate(row: Output) -> None:
    if row.sequence == ANATOMY:
        return  # brain and tissues are no estimate of a relaxation time
    kind = Estimate if row.sequence in {"IRT1", "SIR", "MEGRE"} else PosteriorEstimate
    derived = {"rate", "transmit_extrapolated", *CALIBRATED, *SLOW, WEIGHTED}
    known = {field.name for field in dataclasses.fields(kind)} | derived
    assert row.quantity in known
    assert outputs_of(row.sequence)


@pytest.mark.parametrize("row", OUTPUTS, ids=IDS)
def test_rows_say_rightly_whether_bids_knows_their_suffix(row: Output) -> None:
    suffixes = {suffix.value for suffix in load_schema().objects.suffixes.values()}
    assert row.in_bids == (row.suffix in suffixes)


def test_what_a_form_of_input_gives_no_map_of_is_not_always_there() -> None:
    assert {quantity for form in FORMS.values() for quantity in form.missing} <= set(CONDITIONS)
    assert set(CONDITIONS) <= {row.quantity for row in OUTPUTS}


def test_no_two_rows_give_the_same_file() -> None:
    assert len({(row.ending, row.datatype) for row in OUTPUTS}) == len(OUTPUTS)


def test_each_quantity_of_a_sequence_is_written_once() -> None:
    quantities = [(row.sequence, row.quantity) for row in OUTPUTS]
    assert len(set(quantities)) == len(quantities)


@pytest.mark.parametrize("row", OUTPUTS, ids=IDS)
def test_units_and_descriptions_are_complete(row: Output) -> None:
    required = {"T1map": "s", "R1map": "1/s"}
    if row.quantity != "confidence":  # a share that goes by the name of the map it is about
        assert row.units == required.get(row.suffix, row.units)
    assert all(value is None or value.isalnum() for value in row.entities.values())
    assert row.description.endswith(".")


def test_every_status_has_a_meaning_of_its_own() -> None:
    assert len({status.meaning for status in VoxelStatus}) == len(VoxelStatus)
    assert {status for status in VoxelStatus if status.has_estimate} == {
        status for status in VoxelStatus if status.meaning.startswith("fitted")
    }
