from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.data.tissue import Tissue
from bids_t1.report import render_page
from bids_t1.report.figures.agreement_plots import Pair, ends_of
from bids_t1.report.sections.comparison import describe_comparison
from bids_t1.report.voices.methods import write_methods
from bids_t1.report.words import literature
from tests.report.readout_results import make_readout_run
from tests.report.report_results import make_result
from tests.report.test_report_tissues import read
from tests.report.tissue_results import ALIGNMENT, RIGID, SHORTER, make_together

if TYPE_CHECKING:
    from bids_t1.data.result import ParticipantResult
    from tests.report.reader import Reader


@cache
def page(*, calibrated: bool = False, forced: bool = False) -> Reader:
    record: dict[str, object] = {"CalibrationForced": ["InversionTimes: 0.7 here, 0.8 in the model"]} if forced else {}
    return read(render_page(make_together(calibrated=calibrated, record=record)))


def failed() -> ParticipantResult:
    return make_together(alignment=replace(ALIGNMENT, reasons=("The brains overlap by 41 % only.",)))


def text_of(result: ParticipantResult) -> str:
    return " ".join(write_methods(result).paragraphs).replace("\N{NO-BREAK SPACE}", " ")


def test_a_failed_registration_is_told_at_the_top_and_nothing_is_compared() -> None:
    reader = read(render_page(failed()))
    assert "a registration failed" in reader.text[: reader.text.index("Median T1")]
    assert "The brains overlap by 41 % only." in reader.text
    assert "Limits of agreement" not in reader.text
    alts = [image["alt"] or "" for image in reader.all("img")]
    assert not [alt for alt in alts if "Bland-Altman" in alt or "after registration" in alt]
    assert [alt for alt in alts if "before: by the headers alone" in alt]
    assert "a registration failed" not in page().text


def test_a_registration_that_was_not_tried_has_no_numbers() -> None:
    nothing = replace(ALIGNMENT, estimated=(), overlap=0.0, reasons=("There is no brain.",))
    text = read(render_page(make_together(alignment=nothing))).text
    assert "There is no brain." in text
    assert "Overlap of the brains" not in text


def test_the_registration_is_shown_before_and_after_in_the_same_slices() -> None:
    alts = [image["alt"] or "" for image in page().all("img")]
    before, after = (
        [alt[alt.index(", at ") :] for alt in alts if label in alt]
        for label in ("before: by the headers alone", "after registration")
    )
    assert len(before) == 4
    assert before == after


def test_what_the_headers_kept_is_shown_once() -> None:
    kept = replace(ALIGNMENT, headers_kept=True)
    alts = [image["alt"] or "" for image in read(render_page(make_together(alignment=kept))).all("img")]
    assert not [alt for alt in alts if "before: by the headers alone" in alt]
    assert [alt for alt in alts if "after registration" in alt]


def test_before_and_after_lie_on_each_other_and_are_chosen_without_a_script() -> None:
    shown = [one for one in page().all("input") if (one.get("name") or "").endswith("-shown")]
    assert [one["id"] for one in shown] == [f"comparison-1-{word}" for word in ("before", "after", "turns")]
    assert len([image for image in page().all("img") if (image.get("class") or "").startswith("over ")]) == 4


def test_the_alignment_is_told_in_numbers_and_words() -> None:
    text = page().text
    for said in ("3.2°", "4.6 mm", "98.7 %", "1.313", "1.081 by the headers alone", "All three rotations"):
        assert said in text


def test_parameters_that_were_not_estimated_are_told() -> None:
    result = make_together(alignment=replace(ALIGNMENT, estimated=(*RIGID[2:5],)))
    text = read(render_page(result)).text
    assert "Estimated from the images: rotation z, translation x and translation y." in text
    assert "Not every rotation and translation could be determined" in text
    nothing = read(render_page(make_together(shape=(28, 32, 1), alignment=replace(ALIGNMENT, estimated=())))).text
    assert "Nothing was estimated" in nothing
    assert "Inversion recovery is a single slice" in nothing


def test_bias_limits_and_ratio_of_each_tissue_are_in_the_table() -> None:
    result, text = make_together(), page().text
    for one in result.agreements:
        if one.bias is None:  # too thin for voxels away from its border
            continue
        assert f"{one.bias:+.3f}".replace("-", "\N{MINUS SIGN}") in text
        assert f"{one.ratio:.3f}" in text
    assert f"{SHORTER:.3f}" in text
    for where in ("every voxel", "away from borders of tissues"):
        assert f"MP2RAGE · ses-2: {where}" in text


def test_the_plots_are_described() -> None:
    (alt,) = [image["alt"] or "" for image in page().all("img") if "Bland-Altman" in (image["alt"] or "")]
    assert "white matter 0.900 s and 0.85" in alt
    assert "limits of agreement" in alt


def test_the_legend_of_the_plots_lists_the_tissues_that_are_in_them() -> None:
    result = make_together()
    (anatomy,) = [one for one in result.anatomies if result.comparisons[0].fixed in one.runs]
    tissue = np.where(anatomy.maps["tissue"] == Tissue.SUBCORTICAL_GREY_MATTER, 0, anatomy.maps["tissue"])
    without = replace(result, anatomies=(replace(anatomy, maps={**anatomy.maps, "tissue": tissue}),))
    meanings = [
        [entry.meaning for entry in describe_comparison(one.comparisons[0], one, 1).legend] for one in (result, without)
    ]
    assert meanings == [
        ["white matter", "cortical grey matter", "subcortical grey matter"],
        ["white matter", "cortical grey matter"],
    ]


def test_calibrated_maps_are_compared_beside_the_others_and_shown_in_their_run() -> None:
    text = page(calibrated=True).text
    for said in (
        "MP2RAGE, calibrated · ses-2: every voxel",
        "sub-01_ses-2_space-IRT1_desc-MP2RAGEcalibrated_T1map.nii.gz",
        "sub-01_ses-2_desc-MP2RAGEcalibrated_T1map.nii.gz",
        "sub-01_ses-2_desc-MP2RAGEoutsidetraining_mask.nii.gz",
        "of the voxels of tissue the measurements lie outside",
    ):
        assert said in text
    assert len([image for image in page(calibrated=True).all("img") if "Bland-Altman" in (image["alt"] or "")]) == 2
    assert "calibrated" not in page().text


def test_a_calibration_of_another_protocol_is_cautioned_against() -> None:
    text = page(calibrated=True, forced=True).text
    said = "trained on another protocol (InversionTimes: 0.7 here, 0.8 in the model)"
    assert text.count(said) == 2  # with the run and with the comparison
    assert "trained on another protocol" not in page(calibrated=True).text


def test_without_tissues_there_is_no_plot_but_a_page() -> None:
    result = replace(make_together(), anatomies=(), regions=(), agreements=())
    reader = read(render_page(result))
    assert "MP2RAGE · ses-2 in the space of inversion recovery" in reader.text
    assert not [image for image in reader.all("img") if "Bland-Altman" in (image["alt"] or "")]


def test_a_comparison_with_a_run_that_is_not_there_has_no_pictures() -> None:
    result = make_together()
    text = read(render_page(replace(result, runs=result.runs[1:]))).text
    assert "Do both scans line up?" in text
    assert "after registration" not in text


@pytest.mark.parametrize(("n_voxels", "said"), [(30, "Few voxels are compared in white matter (30)"), (10**6, "")])
def test_few_voxels_are_cautioned_against(n_voxels: int, said: str) -> None:
    result = make_together()
    agreements = tuple(
        replace(one, n_voxels=n_voxels) if one.tissue is Tissue.WHITE_MATTER else one for one in result.agreements
    )
    text = read(render_page(replace(result, agreements=agreements))).text
    assert said in text
    assert ("Few voxels are compared" in text) == bool(said)


def test_voxels_that_are_not_compared_are_counted() -> None:
    result = make_together()
    agreements = tuple(
        replace(one, n_voxels=one.n_voxels // 2) if one.tissue is None else one for one in result.agreements
    )
    assert "50.0 % of the voxels of tissue have no T1" in read(render_page(replace(result, agreements=agreements))).text
    assert "of the voxels of tissue have no T1" not in page().text


def test_axes_hold_zero_the_limits_and_nearly_all_voxels() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(1.2, 0.1, 5000)
    pair = Pair(
        name="MP2RAGE",
        values=reference + rng.normal(0.2, 0.01, 5000),
        reference=reference,
        tissue=np.full(5000, Tissue.WHITE_MATTER, np.uint8),
    )
    ends = ends_of([pair], [None])
    assert ends.differences[0] <= 0
    outside = (pair.values < ends.times[0]) | (pair.values > ends.times[1])
    assert outside.mean() <= 0.002
    agreement = replace(make_together().agreements[0], lower_limit=-0.95, upper_limit=0.9)
    wider = ends_of([pair], [agreement])
    assert wider.differences[0] <= -0.95
    assert wider.differences[1] >= 0.9


def test_methods_follow_what_was_done() -> None:
    text = text_of(make_together())
    for said in (
        "Brain mask: template, refined by the image.",
        "Template: MNI152NLin2009cAsym [",
        "registered to inversion recovery by a rigid transformation that maximises mutual information [",
        "bias and limits of agreement",
    ):
        assert said in text
    assert "calibrated" not in text
    assert "calibrated to T1 of inversion recovery" in text_of(make_together(calibrated=True))
    without = text_of(failed())
    assert "registration of MP2RAGE to inversion recovery failed" in without
    assert "limits of agreement" not in without


def test_only_works_that_were_used_are_cited() -> None:
    together = {literature.CIRIC, literature.FONOV, literature.MATTES, literature.LOWEKAMP, literature.BLAND}
    assert together <= set(write_methods(make_together()).references)
    assert not together & set(write_methods(make_result(runs=(make_readout_run(),))).references)
    result = make_together()
    other = replace(result.anatomies[0], record={"Template": "a template of this site"})
    cited = set(write_methods(replace(result, anatomies=(other,))).references)
    assert not {literature.CIRIC, literature.FONOV} & cited
