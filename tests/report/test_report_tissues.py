from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from bids_t1.data.grid import Grid
from bids_t1.data.tissue import Tissue
from bids_t1.report import render_page
from bids_t1.report.figures import colours
from bids_t1.report.figures.mosaic import enlargement
from bids_t1.report.figures.orientation import lay_out
from bids_t1.report.figures.overlay import EDGE, draw_tissues, find_edges
from bids_t1.tissue.statistics import describe_regions
from tests.report.pages import usual_page
from tests.report.reader import Reader
from tests.report.tissue_results import make_anatomy, make_together

if TYPE_CHECKING:
    from bids_t1.data.tissue import RegionStatistics

VOXEL = enlargement((40, 40))


def read(html: str) -> Reader:
    reader = Reader(html)
    reader.text = re.sub(r"\s+", " ", reader.text.replace("\N{NO-BREAK SPACE}", " "))
    return reader


@cache
def together_page() -> Reader:
    return read(render_page(make_together()))


def pixels(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB"))


def test_how_much_in_white_matter_is_told_first() -> None:
    text = together_page().text
    line = "Inversion recovery · ses-2 · acq-tse0.900"
    assert text.index("Median T1 [s] in the tissues") < text.index(line) < text.index("Brain and tissues as they were")


def test_without_tissues_the_page_is_as_it_was() -> None:
    text = Reader(usual_page()).text
    assert "Brain and tissues" not in text
    assert "tissues of the brain" not in text


def test_the_page_is_sound() -> None:
    reader = together_page()
    assert reader.open == []
    names = [attributes["id"] for _, attributes in reader.tags if attributes.get("id")]
    assert len(names) == len(set(names))
    assert {(a["href"] or "")[1:] for a in reader.all("a") if (a["href"] or "").startswith("#")} <= set(names)
    assert all(len(image["alt"] or "") > 10 for image in reader.all("img"))
    assert all((image["src"] or "").startswith("data:image/") for image in reader.all("img"))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_each_tissue_of_each_map_has_a_row_whole_and_away_from_borders() -> None:
    result, text = make_together(), together_page().text
    for one in result.regions:
        if one.median is not None and one.hemisphere == 0:
            assert f"{one.median:.3f}" in text
    assert "Away from borders" in text
    assert "cerebrospinal fluid" in text
    assert text.count("Left and right hemisphere") == 1


def test_hemispheres_are_listed_only_where_they_are_known() -> None:
    assert "Left and right hemisphere" not in read(render_page(make_together(hemispheres=False))).text


def test_mask_tissues_and_template_are_named() -> None:
    text = together_page().text
    assert "Brain masktemplate, refined by the image" in text
    assert "Atlas of subcortical grey matterHOSPA" in text


def test_a_template_is_named_with_its_files() -> None:
    name = "tpl-MNI152NLin2009cAsym_res-02_label-GM_probseg.nii.gz"
    template = {"Name": "MNI152NLin2009cAsym", "Source": "TemplateFlow 25.1", "Files": {name: "sha256:0a"}}
    result = make_together()
    anatomy = replace(result.anatomies[0], record={"Template": template})
    text = read(render_page(replace(result, anatomies=(anatomy,)))).text
    assert f"Name: MNI152NLin2009cAsym Source: TemplateFlow 25.1 Files: {name}" in text
    assert "Template: MNI152NLin2009cAsym, TemplateFlow 25.1 [" in text


def test_messages_and_records_are_shown_and_not_obeyed() -> None:
    attack = "<script>alert('x')</script> /home/jane/mask.nii.gz"
    result = make_together()
    anatomy = replace(result.anatomies[0], record={"BrainMask": attack, "<script>": "x"}, warnings=(attack,))
    reader = read(render_page(replace(result, anatomies=(anatomy,))))
    assert reader.text.count("/mask.nii.gz") == 3  # in warnings, table and methods
    assert "jane" not in reader.text
    assert len(reader.all("script")) == 2  # those of the rating
    assert "three warnings" in reader.text  # with two things to know before numbers are used


def test_published_values_are_those_of_the_field_strength() -> None:
    result = make_together()
    at_7_tesla = tuple(replace(run, record={**run.record, "MagneticFieldStrength": 7}) for run in result.runs)
    mixed = (result.runs[0], at_7_tesla[1])
    assert "56 data sets" in together_page().text
    seven = read(render_page(replace(result, runs=at_7_tesla)))
    assert "56 data sets" not in seven.text
    assert "with MPRAGE in four people" in seven.text
    assert "No published values are drawn" in read(render_page(replace(result, runs=mixed))).text


@pytest.mark.parametrize(
    ("n_voxels", "not_fitted", "said"),
    [
        (12, 0.0, "white matter has 12 voxels only"),
        (1000, 0.25, "25.0 % of the voxels of white matter have no T1"),
    ],
)
def test_numbers_that_say_little_come_with_a_caution(n_voxels: int, not_fitted: float, said: str) -> None:
    result = make_together()
    regions = tuple(
        replace(one, n_voxels=n_voxels, not_fitted=not_fitted)
        if one.tissue is Tissue.WHITE_MATTER and not one.eroded
        else one
        for one in result.regions
    )
    assert said not in together_page().text
    assert said in read(render_page(replace(result, regions=regions))).text


def test_parts_of_a_brain_are_told_from_whole_ones() -> None:
    result = make_together()
    run = result.runs[0]
    slab = make_anatomy(run, grid=Grid(run.grid.shape, np.diag([8.0, 8.0, 4.0, 1.0])))
    whole = make_anatomy(run, grid=Grid(run.grid.shape, np.diag([8.0, 8.0, 12.0, 1.0])))
    assert "a slab of 56 mm" in read(render_page(replace(result, anatomies=(slab,)))).text
    assert "a slab of" not in read(render_page(replace(result, anatomies=(whole,)))).text
    assert "a single slice" in read(render_page(make_together(shape=(28, 32, 1)))).text


def without_estimate(one: RegionStatistics) -> RegionStatistics:
    (gone,) = describe_regions("a_T1map.nii.gz", np.array([np.nan]), np.array([one.tissue], np.uint8), None, 0.001)[:1]
    return replace(gone, map=one.map, hemisphere=one.hemisphere, eroded=one.eroded)


def test_tissues_without_an_estimate_leave_no_box() -> None:
    result = make_together()
    regions = tuple(without_estimate(one) for one in result.regions)
    reader = read(render_page(replace(result, regions=regions)))
    assert not [image for image in reader.all("img") if (image["alt"] or "").startswith("Boxes of T1")]
    assert not re.search(r"\b(nan|None)\b", reader.text)


def test_outlines_have_the_colours_of_the_legend_and_leave_the_inside_free() -> None:
    tissue = np.zeros((30, 30, 1), np.uint8)
    tissue[4:26, 4:26] = Tissue.GREY_MATTER
    tissue[9:21, 9:21] = Tissue.WHITE_MATTER
    time = np.where(tissue == Tissue.WHITE_MATTER, 0.9, 1.5).astype(np.float32)
    layout = lay_out(Grid(tissue.shape, np.eye(4)), tissue > 0, n_slices=1)
    figure = draw_tissues(time, tissue, layout, "file")
    picture = pixels(figure.tiles[0].source)
    scale = picture.shape[0] // layout.picture(tissue, 0).shape[0]
    labels = layout.picture(tissue, 0).repeat(scale, 0).repeat(scale, 1)
    assert [entry.meaning for entry in figure.legend] == ["white matter", "cortical grey matter"]
    for kind in (Tissue.WHITE_MATTER, Tissue.GREY_MATTER):
        drawn = (picture == colours.TISSUE_COLOURS[kind]).all(axis=-1)
        assert drawn.any()
        assert (labels[drawn] == kind).all()
        assert drawn.sum() < 0.3 * (labels == kind).sum()
    grey = (picture == colours.TISSUE_COLOURS[Tissue.GREY_MATTER]).all(axis=-1)
    rows, _ = np.nonzero(grey)
    middle = picture.shape[0] // 2
    assert np.abs(rows - middle).max() > 10 * scale
    assert not grey[middle - 8 * scale : middle + 8 * scale, middle - 8 * scale : middle + 8 * scale].any()


def step(height: float, place: int, noise: float = 0.0) -> np.ndarray:
    picture = np.full((40, 40), 0.9)
    picture[:, place:] += height
    return picture + np.random.default_rng(2).normal(0, noise, picture.shape)


@pytest.mark.parametrize("place", [12, 25])
@pytest.mark.parametrize("noise", [0.0, 0.04])
def test_edges_lie_where_t1_steps(place: int, noise: float) -> None:
    edges = find_edges(step(0.6, place, noise))
    _, columns = np.nonzero(edges)
    assert columns.size
    assert np.abs((columns + 0.5) / VOXEL - place).max() < 1
    assert edges.any(axis=1).all()  # without gaps


def test_small_steps_and_noise_are_not_edges() -> None:
    assert not find_edges(step(0.6 * EDGE, 20)).any()
    assert find_edges(step(1.4 * EDGE, 20)).any()
    assert not find_edges(step(0.0, 20, noise=0.04)).any()


def test_the_border_of_what_was_fitted_is_an_edge() -> None:
    picture = step(0.0, 20)
    picture[:10] = np.nan
    rows, _ = np.nonzero(find_edges(picture))
    assert rows.size
    assert np.abs((rows + 0.5) / VOXEL - 10).max() < 1
