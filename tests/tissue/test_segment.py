from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.grid import Grid
from bids_t1.data.tissue import TISSUES, Hemisphere, Segmentation, Tissue
from bids_t1.tissue.brain import cleaned
from bids_t1.tissue.segment import Given, NoBrainError, _require_brain, from_probabilities, segment
from bids_t1.tissue.templates import Template, load_template
from tests.real_data import real_data
from tests.tissue.heads import Known, known_head, overlap

LEAST = {
    Tissue.WHITE_MATTER: 0.92,
    Tissue.GREY_MATTER: 0.85,
    Tissue.SUBCORTICAL_GREY_MATTER: 0.80,
    Tissue.FLUID: 0.80,
}
LEAST_BRAIN = 0.96


@pytest.fixture(scope="module")
def template() -> Template:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPLATEFLOW_HOME", str(real_data("templateflow_home")))
        return load_template()


@pytest.fixture(scope="module")
def slab() -> Known:
    return known_head(resolution=3.0, slices=8)


@pytest.fixture(scope="module")
def found(slab: Known, template: Template) -> Segmentation:
    return segment(slab.maps, slab.grid, template=template, given=Given())


def check(found: Segmentation, known: Known) -> None:
    assert overlap(found.brain, known.brain) >= LEAST_BRAIN
    for tissue, least in LEAST.items():
        assert overlap(found.tissue == tissue, known.tissue == tissue) >= least, tissue


def test_brain_and_tissues_of_a_slab_are_those_of_the_phantom(found: Segmentation, slab: Known) -> None:
    check(found, slab)


def test_probabilities_sum_to_one_in_the_brain_and_to_nothing_outside(found: Segmentation) -> None:
    total = np.sum([found.probabilities[tissue] for tissue in TISSUES], axis=0)
    np.testing.assert_allclose(total, found.brain, atol=1e-5)
    assert all(each.dtype == np.float32 for each in found.probabilities.values())


def test_left_is_left(found: Segmentation, slab: Known) -> None:
    assert found.hemisphere is not None
    x = (slab.grid.affine @ np.vstack([np.argwhere(found.brain).T, np.ones(found.brain.sum())]))[0]
    clear = np.abs(x) > 10
    expected = np.where(x < 0, Hemisphere.LEFT, Hemisphere.RIGHT)
    assert np.mean(found.hemisphere[found.brain][clear] == expected[clear]) > 0.99
    assert not found.hemisphere[~found.brain].any()


def test_the_number_of_threads_changes_no_bit(found: Segmentation, slab: Known, template: Template) -> None:
    again = segment(slab.maps, slab.grid, template=template, given=Given(), n_threads=3)
    np.testing.assert_array_equal(again.tissue, found.tissue)
    for tissue, probability in again.probabilities.items():
        np.testing.assert_array_equal(probability, found.probabilities[tissue])


def test_a_head_that_lies_elsewhere_is_found(template: Template) -> None:
    angle = np.deg2rad(10)
    moved = np.eye(4)
    moved[:3, :3] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    moved[:3, 3] = [8.0, -10.0, 20.0]
    known = known_head(resolution=3.0, slices=12, seed=3, moved=moved)
    check(segment(known.maps, known.grid, template=template, given=Given()), known)


@pytest.mark.slow
def test_brain_and_tissues_of_a_whole_head_are_those_of_the_phantom(template: Template) -> None:
    known = known_head(resolution=2.0, seed=5)
    check(segment(known.maps, known.grid, template=template, given=Given(), n_threads=2), known)


def test_one_slice_is_enough(template: Template) -> None:
    known = known_head(resolution=2.0, slices=1, seed=4)
    check(segment(known.maps, known.grid, template=template, given=Given()), known)


def test_a_mask_that_is_given_is_kept_as_it_is(slab: Known, template: Template) -> None:
    brain = slab.brain.copy()
    brain[: brain.shape[0] // 2] = False
    found = segment(slab.maps, slab.grid, template=template, given=Given(brain=brain, brain_source="mask.nii.gz"))
    np.testing.assert_array_equal(found.brain, brain)
    assert "mask.nii.gz" in str(found.record["BrainMask"])
    assert (found.tissue[brain] > 0).all()


def test_tissues_that_are_given_win(slab: Known, template: Template) -> None:
    given = Given(tissue=slab.tissue, tissue_source="dseg.nii.gz")
    found = segment(slab.maps, slab.grid, template=template, given=given)
    np.testing.assert_array_equal(found.tissue, slab.tissue)
    np.testing.assert_array_equal(found.brain, slab.tissue > 0)
    assert found.record["Tissues"] == "given: dseg.nii.gz"
    assert found.hemisphere is not None


def test_what_is_given_of_another_shape_is_refused_with_both(slab: Known, template: Template) -> None:
    with pytest.raises(InvalidInputError, match=r"wrong\.nii\.gz: \(3, 3, 3\) voxels; expected \(61, 80, 8\)"):
        segment(
            slab.maps,
            slab.grid,
            template=template,
            given=Given(brain=np.ones((3, 3, 3), bool), brain_source="wrong.nii.gz"),
        )


def test_what_looks_like_no_head_is_said_to(slab: Known, template: Template) -> None:
    rng = np.random.default_rng(0)
    maps = {name: rng.uniform(0.5, 2.0, values.shape).astype(np.float32) for name, values in slab.maps.items()}
    found = segment(maps, slab.grid, template=template, given=Given())
    assert found.hemisphere is None
    assert "could not be aligned" in found.warnings[0]
    assert set(found.probabilities) == {Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.FLUID}


def test_without_an_atlas_grey_matter_is_one_class(slab: Known, template: Template) -> None:
    plain = replace(template, grey=template.grey + template.subcortical, subcortical=None)
    found = segment(slab.maps, slab.grid, template=plain, given=Given())
    grey = np.isin(slab.tissue, [Tissue.GREY_MATTER, Tissue.SUBCORTICAL_GREY_MATTER])
    assert Tissue.SUBCORTICAL_GREY_MATTER not in found.probabilities
    assert overlap(found.tissue == Tissue.GREY_MATTER, grey) > 0.85


def test_probabilities_on_another_grid_are_scaled_and_unknown_voxels_left_out(slab: Known) -> None:
    brain = np.zeros(slab.grid.shape, bool)
    brain[2:6, 2:6] = True
    white, grey = (np.full(slab.grid.shape, value, np.float32) for value in (0.2, 0.6))
    white[2, 2, 0] = grey[2, 2, 0] = np.nan
    made = from_probabilities(
        {Tissue.WHITE_MATTER: white, Tissue.GREY_MATTER: grey}, brain, None, slab.grid, {"Source": "elsewhere"}
    )
    assert not made.brain[2, 2, 0]
    assert made.brain.sum() == brain.sum() - 1
    assert made.probabilities[Tissue.GREY_MATTER][3, 3, 0] == pytest.approx(0.75)
    assert (made.tissue[made.brain] == Tissue.GREY_MATTER).all()
    assert made.record == {"Source": "elsewhere"}


def test_nothing_of_the_machine_is_recorded(found: Segmentation) -> None:
    assert str(Path.home()) not in str(found.record)
    assert str(real_data()) not in str(found.record)


@pytest.mark.parametrize(
    ("white", "grey", "is_brain"),
    [((0.8, 0.05), (1.5, 0.2), True), ((0.8, 0.6), (1.5, 0.2), False), ((2.0, 0.1), (1.5, 0.1), False)],
    ids=["a brain", "white matter of any T1", "white matter above grey"],
)
def test_tissues_that_are_none_are_refused(
    white: tuple[float, float], grey: tuple[float, float], is_brain: bool
) -> None:
    rng = np.random.default_rng(0)
    time = np.abs(np.concatenate([rng.normal(*white, 500), rng.normal(*grey, 500)])).reshape(10, 10, 10)
    codes = np.repeat([Tissue.WHITE_MATTER, Tissue.GREY_MATTER], 500).reshape(10, 10, 10)
    probabilities = {kind: (codes == kind).astype(np.float32) for kind in (Tissue.WHITE_MATTER, Tissue.GREY_MATTER)}
    found = from_probabilities(probabilities, codes > 0, None, Grid((10, 10, 10), np.eye(4)), {})
    with nullcontext() if is_brain else pytest.raises(NoBrainError, match="No brain was found"):
        _require_brain(time, found)


def test_what_is_cleaned_does_not_depend_on_the_air_around() -> None:
    piece = np.random.default_rng(3).random((30, 26, 22)) < 0.8
    piece[8:20, 6:20, 6:16] = True
    piece[14, 12, 10] = False
    tight, wide = np.pad(piece, 1), np.pad(piece, 9)
    found = cleaned(tight, Grid(tight.shape, np.eye(4)), 1.0)
    assert found[15, 13, 11]  # a hole
    assert np.array_equal(cleaned(wide, Grid(wide.shape, np.eye(4)), 1.0), np.pad(found, 8))
