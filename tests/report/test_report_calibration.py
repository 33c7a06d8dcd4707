from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.calibration.scores import summarise
from bids_t1.data.calibration import (
    METHODS,
    Calibration,
    CalibrationCard,
    CalibrationModel,
    CalibrationScore,
    CalibrationScores,
    Coverage,
    Method,
)
from bids_t1.data.result import GroupResult, MapSummary, ParticipantSummary
from bids_t1.data.tissue import Tissue
from bids_t1.report.pages.calibration_card import render_card, write_card
from bids_t1.report.pages.group import render_group_page, write_group_page
from bids_t1.report.sections import calibration_tables
from bids_t1.report.sections.calibration import describe_calibration
from bids_t1.report.sections.calibration_plots import rmse_of
from tests.report.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TISSUES = (Tissue.WHITE_MATTER, Tissue.SUBCORTICAL_GREY_MATTER, Tissue.GREY_MATTER)
BEFORE: Mapping[Tissue, float] = {
    Tissue.WHITE_MATTER: -0.22,
    Tissue.SUBCORTICAL_GREY_MATTER: -0.20,
    Tissue.GREY_MATTER: -0.25,
}
"""Bias without correction [s]."""

LEFT: dict[Method, tuple[float, float]] = {
    "none": (1.0, 0.12),
    "scale": (0.22, 0.13),
    "linear": (0.12, 0.13),
    "cubic": (0.10, 0.125),
    "tissue": (0.12, 0.13),
    "efficiency": (0.16, 0.13),
    "prior": (0.3, 0.13),
    "prior_cubic": (0.11, 0.13),
    "voxel": (0.12, 0.13),
    "network": (0.05, 0.08),
}
"""Share of the bias that is left, and SD within a scan [s], by method."""


def make_scores(
    n: int = 4, left: Mapping[Method, tuple[float, float]] | None = None, applied: Method = "network"
) -> CalibrationScores:
    """Score methods that leave so much, in one scan each of some participants."""
    rng = np.random.default_rng(5)
    scores = []
    for number in range(1, n + 1):
        for tissue in TISSUES:
            shift, wider = 0.012 * rng.standard_normal(), 1 + 0.06 * rng.standard_normal()
            for method, (share, sd) in (left or LEFT).items():
                scores.append(make_score(number, method, tissue, (share * BEFORE[tissue] + shift, sd * wider)))
    coverage = tuple(
        Coverage(tissue=tissue, one_sd=one, two_sd=two)
        for tissue, one, two in zip(TISSUES, (0.66, 0.71, 0.55), (0.94, 0.89, 0.86), strict=True)
    )
    limits = {(method, tissue): 0.04 for method in (left or LEFT) for tissue in TISSUES}
    return summarise(scores, coverage, applied, limits)


def make_score(number: int, method: Method, tissue: Tissue, left: tuple[float, float]) -> CalibrationScore:
    bias, sd = left
    return CalibrationScore(
        fold=number,
        label=f"sub-{number:02d}_acq-iso_desc-MP2RAGE",
        participant=f"{number:02d}",
        method=method,
        tissue=tissue,
        n_voxels=12_345,
        rmse=math.hypot(bias, sd),
        bias=bias,
        sd=sd,
        lower_limit=bias - 1.96 * sd,
        upper_limit=bias + 1.96 * sd,
        within=0.93,
    )


def make_calibration(scores: CalibrationScores, applied: Method = "network") -> Calibration:
    """Make what training hands back; weights play no part on pages."""
    return Calibration(model=CalibrationModel(members=(), card=make_card(scores, applied)), scores=scores)


def make_card(scores: CalibrationScores, applied: Method) -> CalibrationCard:
    participants = {one.participant for one in scores.scores}
    n = len(participants)

    def row(noun: object, names: tuple[str, ...]) -> dict[str, object]:
        return {name: getattr(noun, name) for name in names} | {"tissue": noun.tissue.abbreviation}  # type: ignore[attr-defined]

    return CalibrationCard(
        format=1,
        software={"bids_t1": "0.1.0", "torch": "2.13.0"},
        plan={"name": "small", "width": 0.25, "tile": 24, "batch": 8, "steps": 25, "epochs": 12, "patience": 6,
              "learning_rate": 0.002, "validation_examples": 48},
        seed=7,
        device="cpu",
        n_threads=2,
        members=(*(f"fold-{number}" for number in range(1, n + 1)), "final"),
        epochs=tuple(range(5, 6 + n)),
        n_participants=n,
        n_scans=n,
        n_voxels={"WM": 210_000, "GM": 190_000, "SGM": 14_000, "CSF": 31_000},
        voxel_edge=2.0,
        neighbours=1,
        inputs=("log T1", "log relative SD", "B1+", "B1+ known", "measured"),
        centres=(math.log(1.2), math.log(0.03), 1.0, 0.0, 0.0),
        scales=(0.4, 0.7, 0.15, 1.0, 1.0),
        ranges={"time": [0.41, 3.92], "bins": [0.4, 0.8, 1.2, 3.9], "relative_sd": [0.031, 0.045, 0.152],
                "transmit": [0.71, 1.22], "transmit_needed": True},
        sd_scale=1.132,
        validation="one training participant",
        measured_protocol={
            "InversionTimes": [0.7, 2.5], "FlipAngles": [4.0, 5.0], "RepetitionTimePreparation": 5.0,
            "RepetitionTimesExcitation": [0.007, 0.007], "NumberShotsPerReadout": [[88, 88], [88, 88]],
            "InversionEfficiency": 0.96, "MagneticFieldStrength": 3.0, "TransmitFieldMeasured": True,
        },
        reference_protocol={
            "InversionTimes": [0.05, 0.4, 1.1, 2.5], "RepetitionTimes": [6.0, 6.0, 6.0, 6.0],
            "EfficiencyModel": "learned", "MagneticFieldStrength": 3.0, "TransmitFieldMeasured": False,
        },
        results=tuple(
            row(one, ("method", "n_participants", "rmse", "rmse_sd", "bias", "reduction", "excess",
                      "excess_error", "n_worse", "within", "least_within", "region_limit"))
            for one in scores.summaries
        ),
        folds=tuple(
            row(one, ("fold", "method", "n_voxels", "rmse", "bias", "sd", "lower_limit", "upper_limit"))
            for one in scores.scores
        ),
        verdict=scores.verdict,
        checksum="0123456789abcdef" * 4,
        rung=applied,
    )  # fmt: skip


def make_group(n: int = 4) -> GroupResult:
    names = [f"{number:02d}" for number in range(1, n + 1)]
    return GroupResult(
        participants=tuple(
            ParticipantSummary(participant=name, status="done", n_maps=1, failures=(), version="0.1.0")
            for name in names
        ),
        maps=tuple(
            MapSummary(
                participant=name,
                session=None,
                name=f"sub-{name}_acq-iso_desc-MP2RAGE_T1map.nii.gz",
                sequence="MP2RAGE",
                n_voxels=120_000,
                quartiles=(0.8, 1.1, 1.6),
                median_sd=0.03,
                n_warnings=0,
            )
            for name in names
        ),
    )


@cache
def usual() -> Calibration:
    return make_calibration(make_scores())


@cache
def usual_group_page() -> str:
    return render_group_page(make_group(), usual())


@cache
def usual_card() -> str:
    return render_card(usual().model.card)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", Reader(html).text.replace("\N{NO-BREAK SPACE}", " "))


@cache
def beaten_calibration() -> Calibration:
    """Make one whose network is worse than regression."""
    return make_calibration(make_scores(8, LEFT | {"network": (0.3, 0.14)}, "cubic"), "cubic")


def headline(scores: CalibrationScores, applied: Method) -> str:
    return calibration_tables.summarise(scores.summaries, applied).sentence


def test_without_calibration_the_page_is_silent_about_it() -> None:
    text = text_of(render_group_page(make_group()))
    assert "alibration" not in text
    assert "sub-04_acq-iso_desc-MP2RAGE_T1map.nii.gz" in text


def test_a_note_says_why_nothing_was_trained() -> None:
    html = render_group_page(make_group(1), note="One participant <b>only</b> in /home/anna/data.tsv.")
    text = text_of(html)
    assert "Nothing was trained. One participant <b>only</b> in \N{HORIZONTAL ELLIPSIS}/data.tsv." in text
    assert "Nothing was trained" not in text_of(render_group_page(make_group(), usual(), "sub-05 was left out."))
    assert "sub-05 was left out." in text_of(render_group_page(make_group(), usual(), "sub-05 was left out."))


def page_with_note() -> str:
    return render_group_page(make_group(1), note="Too few.")


@pytest.mark.parametrize("page", [usual_group_page, usual_card, page_with_note])
def test_pages_load_nothing(page: Callable[[], str]) -> None:
    html = page()
    reader = Reader(html)
    assert reader.open == []
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in reader.tags}
    assert not any("src" in script for script in reader.all("script"))
    assert all((image["src"] or "").startswith("data:image/") for image in reader.all("img"))
    assert all(len(image["alt"] or "") > 10 for image in reader.all("img"))
    ids = [attributes["id"] for _, attributes in reader.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = [link["href"] or "" for link in reader.all("a")]
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    assert all(link.startswith(("#", "https://doi.org/", "sub-", "calibration/model.html")) for link in links)


@pytest.mark.parametrize("page", [usual_group_page, usual_card])
def test_headings_of_calibration_do_not_skip_levels(page: Callable[[], str]) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(page()).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_same_calibration_gives_the_same_bytes(tmp_path: Path) -> None:
    page = write_group_page(make_group(), tmp_path, usual())
    assert page == tmp_path / "group.html"
    assert page.read_text(encoding="utf-8") == usual_group_page()
    card = write_card(usual().model.card, tmp_path)
    assert card == tmp_path / "model.html"
    assert card.read_text(encoding="utf-8") == usual_card()


def test_the_verdict_comes_before_the_numbers() -> None:
    text = text_of(usual_group_page())
    first = text.index("Applied is a network (network of patches): no simpler correction does as well")
    assert first < text.index(usual().scores.verdict[0][:40]) < text.index("Limits of agreement [s]")


def test_every_tissue_and_method_is_in_the_table_with_its_error() -> None:
    text = text_of(usual_group_page())
    for row in usual().scores.summaries:
        assert f"{row.rmse:.3f} ± {row.rmse_sd:.3f}" in text
        assert calibration_tables.NAMES[row.method] in text
        assert row.tissue.meaning in text.lower()
    assert {row.method for row in usual().scores.summaries} == set(METHODS) - {"small"}


def test_the_headline_tells_what_is_applied_where_no_network_wins() -> None:
    said = headline(beaten_calibration().scores, "cubic")
    assert said.startswith(
        "Applied is no network but cubic regression of T1: no network did better. It lowers the RMSE"
    )
    assert calibration_tables.summarise(beaten_calibration().scores.summaries, "cubic").tone == "good"
    assert said in text_of(render_group_page(make_group(8), beaten_calibration()))
    assert said in text_of(render_card(beaten_calibration().model.card))


def test_the_headline_says_that_nothing_helps_or_that_so_few_teach_no_network() -> None:
    assert headline(make_scores(), "none").startswith("No correction is better than none")
    few = make_scores(2, {"none": LEFT["none"], "scale": LEFT["scale"]}, "scale")
    assert "so few participants teach no network" in headline(few, "scale")


def test_methods_are_compared_by_participants_and_without_tests() -> None:
    table = describe_calibration(beaten_calibration()).tables[0]
    by_name = {row.name: [cell.text for cell in row.cells] for row in table.rows}
    assert by_name["network"][5] == "8 of 8"
    assert by_name["cubic"][4:6] == ["\N{EN DASH}", "\N{EN DASH}"]
    assert by_name["cubic"][6].replace("\N{NO-BREAK SPACE}", " ") == "93 %, least 93 %"
    assert by_name["cubic"][7].replace("\N{NO-BREAK SPACE}", " ") == "± 4.0 %"
    assert "signed rank" not in text_of(render_group_page(make_group(8), beaten_calibration()))


def test_nothing_that_could_be_compared_is_no_crash() -> None:
    nothing = make_calibration(CalibrationScores(scores=(), summaries=(), coverage=(), verdict=()))
    calibration = replace(nothing, model=replace(nothing.model, card=replace(nothing.model.card, results=(), folds=())))
    assert "Nothing could be compared" in text_of(render_group_page(make_group(), calibration))
    assert "Nothing could be compared" in text_of(render_card(calibration.model.card))


def test_the_best_of_each_column_is_marked() -> None:
    for table in describe_calibration(usual()).tables:
        assert [row.name for row in table.rows if row.cells[0].is_best] == ["network"]
        assert [row.name for row in table.rows if row.cells[2].is_best] == ["network"]
        assert [row.name for row in table.rows if row.cells[3].is_best] == ["network"]
    # Without correction limits are narrow, but far from zero: not the best.
    for table in describe_calibration(beaten_calibration()).tables:
        assert [row.name for row in table.rows if row.cells[3].is_best] == ["cubic"]


def test_limits_of_agreement_cover_participants_that_were_not_seen() -> None:
    # 400 scans whose bias and scatter are known: 95 % of the differences of single voxels of any of them.
    rng = np.random.default_rng(0)
    biases = -0.1 + 0.05 * rng.standard_normal(400)
    scores = tuple(
        make_score(number, "none", Tissue.WHITE_MATTER, (float(bias), 0.12)) for number, bias in enumerate(biases)
    )
    summary = replace(make_scores(2).summaries[0], bias=float(biases.mean()))
    limits = calibration_tables.limits_of(summary, scores)
    assert limits is not None
    voxels = rng.normal(-0.1 + 0.05 * rng.standard_normal(200_000), 0.12)
    assert np.mean((voxels > limits[0]) & (voxels < limits[1])) == pytest.approx(0.95, abs=0.01)


def test_the_error_of_a_participant_is_that_of_all_scans() -> None:
    scores = tuple(make_score(1, "none", Tissue.WHITE_MATTER, (bias, 0.0)) for bias in (0.3, 0.4))
    assert rmse_of(scores, "01", Tissue.WHITE_MATTER, "none") == pytest.approx(math.sqrt(0.125))
    assert math.isnan(rmse_of(scores, "02", Tissue.WHITE_MATTER, "none"))


def test_coverage_says_whether_the_sd_is_right() -> None:
    meanings = [row.meaning for row in describe_calibration(usual()).coverage]
    assert meanings == ["SD about right", "large errors are more frequent than the SD says", "SD too small"]
    wide = replace(usual().scores, coverage=(Coverage(tissue=Tissue.WHITE_MATTER, one_sd=0.9, two_sd=0.99),))
    assert describe_calibration(make_calibration(wide)).coverage[0].meaning == "SD too large"


def test_published_values_are_context_with_their_source() -> None:
    text = text_of(usual_group_page())
    assert "0.30 ± 0.01" in text
    assert "0.11 ± 0.02" in text
    assert "equal numbers would not mean that the methods are equal" in text
    assert "doi:10.1016/j.mri.2025.110322" in text
    reductions = {row.tissue: row.reduction for row in describe_calibration(usual()).published}
    assert [reductions[tissue.meaning][:2] for tissue in TISSUES] == ["63", "62", "53"]


def test_cautions_name_protocol_folds_and_ensemble() -> None:
    for text in (text_of(usual_group_page()), text_of(usual_card())):
        assert "four folds over four participants of one dataset" in text
        assert "an ensemble of five networks" in text
    assert "Valid only for this protocol of MP2RAGE" in text_of(usual_group_page())


def test_the_card_names_no_participant() -> None:
    assert "sub-" not in usual_card()
    assert all(one.label not in usual_card() for one in usual().scores.scores)


@pytest.mark.parametrize(
    "wanted",
    ["0.7, 2.5 s", "6 s, for all inversion times", "4, 5°", "88 and 88", "0.410 to 3.920 s", "3 T", "fold-1: 5",
     "0.710 to 1.220 of nominal; must be known", "final: 9", "0123456789abcdef" * 4, "--calibration-force", "2.13.0",
     "bids_t1 bids_dir out_dir participant --calibration calibration/model.safetensors"],
)  # fmt: skip
def test_the_card_holds_protocol_ranges_versions_and_checksum(wanted: str) -> None:
    assert wanted in text_of(usual_card())


def test_the_card_says_what_the_network_that_is_applied_sees() -> None:
    card = usual().model.card
    alone = text_of(render_card(replace(card, rung="voxel", plan={**card.plan, "kind": "voxel"})))
    assert "on single voxels" in alone
    assert "the voxel alone" in alone
    assert "ResNet-18 with" not in alone
    assert "3 slices" not in alone
    for plan in (card.plan, {**card.plan, "kind": "patch"}):
        text = text_of(render_card(replace(card, plan=plan)))
        assert "ResNet-18 with 0.25 of its channels, on patches of voxels" in text
        assert "3 slices: that of the voxel and 1 on each side" in text


def test_the_card_says_what_was_never_known() -> None:
    card = replace(
        usual().model.card,
        ranges={"time": (0.4, 3.0), "relative_sd": (0.1,), "transmit": None, "transmit_needed": False},
        measured_protocol={"InversionTimes": (0.6, 1.5, 2.8), "Made": "<b>"},
    )
    text = text_of(render_card(card))
    assert "was never known, and must not be" in text
    assert "up to 10.0 %" in text
    assert "Calibration of MP3RAGE T1" in text
    assert "<b>" in text


def test_three_readouts_have_their_own_name_on_the_page() -> None:
    card = replace(usual().model.card, measured_protocol={"InversionTimes": [0.6, 1.5, 2.8]})
    calibration = replace(usual(), model=replace(usual().model, card=card))
    assert "Calibration of MP3RAGE to inversion recovery" in text_of(render_group_page(make_group(), calibration))
