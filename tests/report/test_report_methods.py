from __future__ import annotations

import pytest

from bids_t1.report.voices.methods import Methods, write_methods
from bids_t1.report.words import literature
from tests.report.report_results import make_result, make_run


def text_of(methods: Methods) -> str:
    return " ".join(methods.paragraphs).replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("record", "said", "unsaid"),
    [
        ({"EfficiencyModel": "free"}, "M0, κ and T1 were free in every voxel", "Gaussian prior"),
        ({"EfficiencyModel": "ideal"}, "S(TI) = M0 (1 - 2 exp(-TI/T1))", "κ"),
        (
            {
                "EfficiencyModel": "learned",
                "LearnedEfficiency": {"AtT1": [0.8, 1.6], "Mean": [1.8, 1.95], "SD": 0.02, "Voxels": 12345},
            },
            "(mean 1.800 at T1 0.80 s, 1.950 at T1 1.60 s; SD 0.020, from 12\N{NARROW NO-BREAK SPACE}345 voxels)",
            "were free in every voxel",
        ),
        ({"EfficiencyModel": "absent"}, "variable projection", "S(TI)"),
        ({"NoiseHandling": "floor"}, "subtracted from the squared magnitudes", "Rician"),
        ({"EfficiencyModel": "learned"}, "change with T1. For", "(mean"),
        ({"NoiseHandling": "rician"}, "maximises the Rician likelihood", "subtracted"),
        ({"NoiseHandling": "gaussian"}, "taken as Gaussian", "Rician"),
        ({"DataKind": "magnitude"}, "have lost the sign", "as those of"),
        ({"DataKind": "real"}, "Signs were those of the real-part images", "magnitudes"),
        ({"DataKind": "complex"}, "phase-corrected complex images", "have lost the sign"),
        ({"DataKind": "real", "PolarityRestored": True}, "were set aside: the signal changes sign", "Signs were those"),
        ({"RepetitionTimes": [1.0, None, 2.46, 2.0, 2.0]}, "repetition times of 1 to 2.46 s", "repetition time of"),
        ({"RepetitionTimes": [None] * 5}, "not known were taken as infinite", "a repetition time of"),
        ({"DegreesOfFreedom": 1}, "with one degree of freedom", "degrees"),
        ({"MagneticFieldStrength": 7}, "images at 7 T had", "at 3 T"),
    ],
)
def test_the_text_follows_what_was_done(record: dict[str, object], said: str, unsaid: str) -> None:
    text = text_of(write_methods(make_result(runs=(make_run(record=record),))))
    assert said in text
    assert unsaid not in text


def test_references_are_numbered_as_they_are_cited() -> None:
    methods = write_methods(make_result())
    assert methods.references[0] is literature.DCM2NIIX
    text = text_of(methods) + methods.pictures
    assert all(f"{number}" in text for number in range(1, len(methods.references) + 1))
    assert len(set(methods.references)) == len(methods.references)


def test_only_works_that_were_used_are_cited() -> None:
    used = write_methods(make_result(series=(), runs=(make_run(record={"DataKind": "real"}),))).references
    assert not {literature.DCM2NIIX, literature.GUDBJARTSSON, literature.VARADHAN} & set(used)
    rician = write_methods(make_result(runs=(make_run(record={"NoiseHandling": "rician"}),))).references
    assert literature.VARADHAN in rician


def test_runs_that_were_treated_alike_share_their_text() -> None:
    one = write_methods(make_result())
    assert write_methods(make_result(runs=(make_run(), make_run()))).paragraphs == one.paragraphs
    other = write_methods(make_result(runs=(make_run(), make_run(record={"EfficiencyModel": "ideal"}))))
    assert len(other.paragraphs) == len(one.paragraphs) + 1
    assert other.equations == ("inversion", "ideal_inversion")
