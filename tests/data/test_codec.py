"""Nouns of the record come back from JSON as they were."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest

from bids_t1.data.calibration import Behaviour, CalibrationScore, CalibrationScores, Coverage
from bids_t1.data.codec import decode
from bids_t1.data.result import Example, SeriesNote, SignalCurve
from bids_t1.data.tissue import Agreement, Tissue
from bids_t1.dicom.writing.record import Conversion
from bids_t1.storage import as_json

NOUNS = (
    SignalCurve(times=(0.1, 0.2), transmit=(1.0,), values=((0.5, -0.5),)),
    Agreement(map="a", reference="b", tissue=Tissue.FLUID, eroded=True, n_voxels=7, bias=0.25),
    Agreement(map="a", reference="b", tissue=None, eroded=False, n_voxels=2),
    Conversion(
        digest="d",
        written=("anat/a", "anat/b"),
        series=(SeriesNote(number=None, description="PAR/REC", n_files=1, outcome="kept"),),
    ),
    CalibrationScores(
        scores=(
            CalibrationScore(
                fold=1,
                label="sub-01",
                participant="01",
                method="linear",
                tissue=Tissue.WHITE_MATTER,
                n_voxels=3,
                rmse=0.1,
                bias=None,
                sd=0.2,
                lower_limit=None,
                upper_limit=0.4,
            ),
        ),
        summaries=(),
        coverage=(Coverage(tissue=Tissue.GREY_MATTER, one_sd=0.7, two_sd=0.9),),
        verdict=("enough",),
        behaviour=(Behaviour(method="linear", n_scans=1, lesion_response=1.0, least_response=0.9, spectrum=(1.0,)),),
    ),
)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_a_noun_is_the_same_after_json(noun: object) -> None:
    assert decode(type(noun), json.loads(as_json(asdict(noun)))) == noun  # type: ignore[call-overload]


def test_a_number_that_json_does_not_know_comes_back_as_nan() -> None:
    example = Example(voxel=(1, 2, 3), times=(0.1,), measured=(1.0,), fitted=(1.1,), estimate=1.0, sd=math.nan)
    read = decode(Example, json.loads(as_json(asdict(example))))
    assert read.voxel == example.voxel
    assert math.isnan(read.sd)


@pytest.mark.parametrize("change", [{"tissue": 99}, {"unknown": 1}, {"map": None, "n_voxels": None, "eroded": None}])
def test_what_is_no_such_noun_is_an_error(change: dict[str, object]) -> None:
    stored = json.loads(as_json(asdict(NOUNS[1])))
    for key, value in change.items():
        stored = {**stored, key: value} if value is not None else {k: v for k, v in stored.items() if k != key}
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(Agreement, stored)
