from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bids_t1.report.sections.run import describe_run
from bids_t1.report.voices.methods import write_methods
from bids_t1.report.voices.mp2rage import cautions
from bids_t1.report.voices.transmit import METHODS, describe_transmit, works_of
from bids_t1.report.words import literature
from tests.report.pages import page_of, readout_run
from tests.report.readout_results import MAP, make_readout_run
from tests.report.report_results import make_result

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult

SHAPE = (20, 24, 8)


def extrapolated_run(share: float, **record: Any) -> RunResult:
    """A run in which B1+ of so large a share of the fitted voxels was extrapolated, and of some voxels of air."""
    run = make_readout_run(SHAPE, record={"TransmitField": {**MAP, **record}})
    fitted = np.isfinite(run.maps["time"])
    mask = np.zeros(SHAPE, np.uint8)
    mask[fitted] = np.arange(fitted.sum()) < share * fitted.sum()
    mask[0, 0] = 1
    return replace(run, maps={**run.maps, "transmit_extrapolated": mask})


@pytest.mark.parametrize(
    ("suffix", "dois"),
    [
        ("TB1AFI", {"10.1002/mrm.21120"}),
        ("TB1DAM", {"10.1006/jmra.1993.1133"}),
        ("TB1TFL", {"10.1002/mrm.22423"}),
        ("TB1SRGE", {"10.1002/mrm.23145"}),
        ("TB1EPI", {"10.1002/mrm.21083", "10.1002/mrm.22421"}),
    ],
)
def test_each_way_of_measuring_b1_is_named_and_cited(suffix: str, dois: set[str]) -> None:
    run = make_readout_run((4, 4, 1), record={"TransmitField": {**MAP, "Method": suffix}})
    section = describe_transmit(run, ())
    assert section is not None
    assert section.method == f"Measured with {METHODS[suffix].name}"
    assert {work.doi for work in section.works} == dois
    methods = write_methods(make_result(runs=(run,)))
    assert str(METHODS[suffix].name) in " ".join(methods.paragraphs)
    assert dois <= {work.doi for work in methods.references}


@pytest.mark.parametrize("method", ["TB1map", "TB1NEW", None, 3])
def test_a_map_of_unknown_method_claims_none(method: object) -> None:
    run = make_readout_run((4, 4, 1), record={"TransmitField": {**MAP, "Method": method}})
    section = describe_transmit(run, ())
    assert section is not None
    assert "does not tell its method" in section.method
    cited = write_methods(make_result(runs=(run,))).references
    assert not set(cited) & {work for method in METHODS.values() for work in works_of(method)}


def test_without_a_map_there_is_no_section_and_both_maps_are_named_as_missing() -> None:
    text = page_of(readout_run(transmit=False)).text
    assert "The transmit field B1+ that was used" not in text
    missing = text[text.index("Not made in this run:") : text.index("Which voxels have a value")]
    assert missing.count("no map of B1+ was used") == 2


def test_every_file_the_field_was_made_from_is_named_without_its_folder() -> None:
    sources = "bids:raw:sub-01/fmap/sub-01_acq-tr1_TB1AFI.nii.gz, bids:raw:sub-01/fmap/sub-01_acq-tr2_TB1AFI.nii.gz"
    text = page_of(make_readout_run((4, 4, 1), record={"TransmitField": {**MAP, "Source": sources}})).text
    assert text.count("sub-01_acq-tr1_TB1AFI.nii.gz, sub-01_acq-tr2_TB1AFI.nii.gz") == 2


def test_numbers_of_b1_are_those_of_fitted_voxels() -> None:
    run = extrapolated_run(0.25)
    values = np.where(np.isfinite(run.maps["time"]), np.float32(0.9), np.float32(7.0))
    values[:10] = np.where(np.isfinite(run.maps["time"][:10]), np.float32(np.nan), np.float32(7.0))
    section = describe_transmit(replace(run, maps={**run.maps, "transmit": values}), ())
    assert section is not None
    numbers = {number.label: number for number in section.numbers}
    assert numbers["Median B1+"].value == "0.90 of nominal"
    assert numbers["Median B1+"].remarks[1] == "0.90 to 0.90 in all of them"
    assert numbers["Extrapolated"].value == "25.0 %"
    assert numbers["Not known"].value == "50.0 %"
    assert numbers["Not known"].remarks[0].endswith("where it was integrated over its prior")


def test_a_field_that_was_taken_as_exact_where_it_is_not_known_is_not_said_to_be_integrated_over() -> None:
    run = extrapolated_run(0.0)
    values = np.full(SHAPE, np.nan, np.float32)
    record = {**run.record, "TransmitFieldPrior": {"Mean": 0.9, "SD": 0.0, "Range": [0.9, 0.9]}}
    section = describe_transmit(replace(run, record=record, maps={**run.maps, "transmit": values}), ())
    assert section is not None
    assert section.numbers[0].value == "not available"
    assert section.numbers[-1].remarks[0].endswith("where it was taken as 0.9")


def test_extrapolation_is_drawn_on_the_slices_of_the_map_and_counted() -> None:
    run = extrapolated_run(0.25)
    section = describe_run(run, 1)
    assert section.transmit is not None
    field, marks = section.transmit.figures
    assert [tile.position for tile in field.tiles] == [tile.position for tile in marks.tiles]
    assert marks.file.endswith("b1extrapolated_mask.nii.gz")
    clear = describe_run(extrapolated_run(0.0), 1)
    assert clear.transmit is not None
    assert [tile.source for tile in clear.transmit.figures[1].tiles] != [tile.source for tile in marks.tiles]
    assert not {"B1+ extrapolated", field.label} & {map_.label for map_ in section.maps}


@pytest.mark.parametrize(("share", "cautioned"), [(0.0, False), (0.02, False), (0.25, True)])
def test_much_extrapolation_is_a_caution(share: float, cautioned: bool) -> None:
    run = extrapolated_run(share)
    assert any("not measured but continued" in caution for caution in cautions(run)) == cautioned
    text = " ".join(write_methods(make_result(runs=(run,))).paragraphs)
    assert ("continued from their neighbourhood" in text) == (share > 0)


def test_cautions_are_counted_at_the_head_and_lead_to_their_box() -> None:
    reader = page_of(readout_run(transmit=False))
    assert len(cautions(readout_run(transmit=False))) == 2
    assert "no failures, two warnings." in reader.text
    link = next(a for a in reader.all("a") if (a["href"] or "").endswith("-cautions"))
    boxes = [attributes for _, attributes in reader.tags if f"#{attributes.get('id')}" == link["href"]]
    assert len(boxes) == 1


def test_works_on_b1_have_their_doi() -> None:
    works = [work for method in METHODS.values() for work in works_of(method)]
    assert len({work.doi for work in works}) == len(works) == 6
    assert literature.LUTTI in works
