from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import SimpleITK

from bids_t1.data.alignment import HeadImage
from bids_t1.data.grid import Grid
from bids_t1.registration.check import displacements, inspect, similarity
from bids_t1.registration.images import coarser, points_of, region
from bids_t1.registration.rigid import align
from tests.registration.heads import Scan, error, picture, random_motion

if TYPE_CHECKING:
    from bids_t1.data.alignment import Alignment

ITK: Any = SimpleITK
"""Its functions have no types."""

WHOLE = Scan(resolution=3.0)
SLAB = Scan(resolution=3.0, slices=8)
SLICE = Scan(resolution=3.0, slices=1)


@cache
def inversion_recovery(scan: Scan, seed: int) -> HeadImage:
    return picture(scan, sequence="IR", head=(seed, 1), matrix=np.eye(4), noise=seed)


@cache
def mp2rage(scan: Scan, seed: int, participant: int = 1) -> HeadImage:
    return picture(scan, sequence="MP2RAGE", head=(seed, participant), matrix=random_motion(seed), noise=seed + 1000)


@cache
def alignment(scan: Scan, seed: int, participant: int = 1) -> Alignment:
    return align(inversion_recovery(scan, seed), mp2rage(WHOLE, seed, participant))


@pytest.mark.parametrize(("scan", "least"), [(WHOLE, 0.3), (SLAB, 0.5), (SLICE, 1.0)], ids=["whole", "slab", "slice"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_head_that_moved_is_found_again(scan: Scan, least: float, seed: int) -> None:
    found = alignment(scan, seed)
    assert error(found.matrix, random_motion(seed), inversion_recovery(scan, seed)) < least
    assert found.trusted, found.reasons
    assert found.overlap > 0.95
    assert found.similarity_after > found.similarity_before
    assert len(found.estimated) == 6


@pytest.mark.parametrize("scan", [SLAB, SLICE], ids=["slab", "slice"])
def test_the_head_of_another_participant_is_flagged(scan: Scan) -> None:
    found = alignment(scan, 1, participant=2)
    assert not found.trusted
    assert "two persons" in found.reasons[-1]


def test_angle_and_shift_are_those_of_the_truth() -> None:
    truth, found = random_motion(1), alignment(WHOLE, 1)
    image = inversion_recovery(WHOLE, 1)
    assert image.brain is not None
    centre = image.grid.affine @ np.append(np.argwhere(image.brain).mean(axis=0), 1)
    assert found.rotation == pytest.approx(np.degrees(np.arccos((np.trace(truth[:3, :3]) - 1) / 2)), abs=0.3)
    assert found.translation == pytest.approx(np.linalg.norm(((truth - np.eye(4)) @ centre)[:3]), abs=0.3)


def test_a_slab_is_found_in_a_whole_head_that_is_fixed() -> None:
    fixed, slab = mp2rage(WHOLE, 1), inversion_recovery(SLAB, 1)
    found = align(fixed, slab)
    assert found.trusted, found.reasons
    assert error(np.linalg.inv(found.matrix), random_motion(1), slab) < 0.5


def test_one_slice_is_said_to_be_less_certain() -> None:
    assert "One slice" in alignment(SLICE, 1).warnings[0]
    assert not alignment(SLAB, 1).warnings


def test_two_single_slices_determine_what_happens_within_them() -> None:
    angle = np.deg2rad(6)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[:3, 3] = (4, -3, 0)
    fixed = inversion_recovery(SLICE, 1)
    moving = picture(SLICE, sequence="MP2RAGE", head=(1, 1), matrix=np.eye(4), noise=5)
    # Turned about the normal of the slice.
    frame = fixed.grid.affine @ np.diag([1 / 3, 1 / 3, 1 / 3, 1])
    motion = frame @ turn @ np.linalg.inv(frame)
    moving = replace(moving, grid=Grid(moving.grid.shape, motion @ moving.grid.affine))
    found = align(fixed, moving)
    assert found.estimated == ("rotation z", "translation x", "translation y")
    assert error(found.matrix, motion, fixed) < 0.3
    assert "headers" in found.warnings[0]


def test_any_number_of_threads_gives_the_same_bits() -> None:
    before = ITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    try:
        ITK.ProcessObject.SetGlobalDefaultNumberOfThreads(5)
        again = align(inversion_recovery(SLAB, 2), mp2rage(WHOLE, 2))
    finally:
        ITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    assert np.array_equal(again.matrix, alignment(SLAB, 2).matrix)


def test_without_masks_the_head_is_aligned() -> None:
    fixed, moving = (replace(image, brain=None) for image in (inversion_recovery(SLAB, 2), mp2rage(WHOLE, 2)))
    found = align(fixed, moving)
    assert error(found.matrix, random_motion(2), inversion_recovery(SLAB, 2)) < 0.5
    assert found.trusted, found.reasons


def test_the_brain_of_one_image_serves_both() -> None:
    found = align(replace(inversion_recovery(SLAB, 2), brain=None), mp2rage(WHOLE, 2))
    assert error(found.matrix, random_motion(2), inversion_recovery(SLAB, 2)) < 0.5
    assert found.trusted, found.reasons
    assert found.overlap > 0.95


def test_a_head_that_did_not_move_is_left_where_the_headers_have_it() -> None:
    still = picture(WHOLE, sequence="MP2RAGE", head=(2, 1), matrix=np.eye(4), noise=1002)
    found = align(inversion_recovery(WHOLE, 2), still)
    assert found.headers_kept
    assert np.array_equal(found.matrix, np.eye(4))
    assert not alignment(SLAB, 2).headers_kept


def test_the_order_of_voxels_does_not_matter() -> None:
    slab = inversion_recovery(SLAB, 1)
    affine = slab.grid.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (slab.grid.shape[0] - 1)
    affine[:3, 0] *= -1
    assert slab.brain is not None
    flipped = HeadImage(values=slab.values[::-1], brain=slab.brain[::-1], grid=Grid(slab.grid.shape, affine))
    found = align(flipped, mp2rage(WHOLE, 1))
    assert error(found.matrix, random_motion(1), slab) < 0.5


def test_a_head_far_from_where_the_headers_say_is_not_believed() -> None:
    moving = mp2rage(WHOLE, 1)
    affine = moving.grid.affine.copy()
    affine[:3, 3] += (60, 0, 0)
    found = align(inversion_recovery(SLAB, 1), replace(moving, grid=Grid(moving.grid.shape, affine)))
    assert any("would have moved by" in reason and "at most 40 mm" in reason for reason in found.reasons)


def test_images_without_a_common_part_are_left_where_they_are() -> None:
    moving = mp2rage(WHOLE, 1)
    affine = moving.grid.affine.copy()
    affine[:3, 3] += (0, 0, 900)
    single = inversion_recovery(SLICE, 1)
    away = replace(
        single, grid=Grid(single.grid.shape, affine @ np.linalg.inv(moving.grid.affine) @ single.grid.affine)
    )
    found = align(single, away)
    assert np.array_equal(found.matrix, np.eye(4))
    assert "no part" in found.reasons[0]
    empty = replace(moving, values=np.zeros_like(moving.values), brain=None)
    assert "shows no head" in align(single, empty).reasons[0]


def test_a_turn_no_head_makes_is_not_believed() -> None:
    image = inversion_recovery(WHOLE, 1)
    angle = np.deg2rad(50)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    reasons, _ = inspect(image, replace(image, grid=Grid(image.grid.shape, turn @ image.grid.affine)), turn)
    assert reasons == ("The head would have turned by 50 degrees; expected at most 40.",)


def test_blocks_find_how_far_an_alignment_is_off() -> None:
    image = inversion_recovery(SLAB, 1)
    off = np.eye(4)
    off[:3, 3] = 3.0 * image.grid.affine[:3, 0] / 3.0
    found = displacements(image, mp2rage(WHOLE, 1), random_motion(1) @ off)
    np.testing.assert_allclose(np.median(found, axis=0), [-3, 0, 0], atol=0.5)


def test_similarity_goes_from_one_to_two() -> None:
    image = inversion_recovery(WHOLE, 1)
    noise = np.random.default_rng(1).random(image.values.shape, dtype=np.float32)
    assert similarity(image, image, np.eye(4)) == pytest.approx(2)
    assert similarity(image, replace(image, values=noise), np.eye(4)) == pytest.approx(1, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize(
    ("scan", "least"),
    [
        (Scan(resolution=2.0), 0.3),
        (Scan(resolution=2.0, slices=8), 0.5),
        (Scan(resolution=2.0, slices=8, thickness=4.0), 0.5),
    ],
    ids=["whole", "slab of 2 mm", "slab of 4 mm"],
)
def test_ten_heads_are_found_and_ten_others_flagged(scan: Scan, least: float, seed: int) -> None:
    whole = Scan(resolution=2.0)
    fixed = inversion_recovery(scan, seed)
    found = align(fixed, mp2rage(whole, seed))
    assert error(found.matrix, random_motion(seed), fixed) < least
    assert found.trusted, found.reasons
    assert not align(fixed, mp2rage(whole, seed, participant=2)).trusted


def test_fine_voxels_are_averaged_before_they_are_compared_but_not_those_of_a_slab() -> None:
    values = np.zeros((64, 48, 40), np.float32)
    values[20:40, 10:30, 6:34] = 1
    fine = HeadImage(values=values, grid=Grid(values.shape, np.diag([1.0, 1.0, 1.25, 1.0])), brain=values > 0)
    found = coarser(fine)
    assert np.allclose(found.grid.voxel_sizes, (2, 2, 2.5))
    assert found.brain is not None
    assert np.array_equal(np.argwhere(found.brain).min(axis=0), (10, 5, 3))
    assert np.count_nonzero(found.brain) == 10 * 10 * 14
    middles = [points_of(each.grid, np.argwhere(region(each))).mean(axis=1) for each in (fine, found)]
    assert np.allclose(*middles)
    slab = HeadImage(values=values[:, :, :20], grid=Grid((64, 48, 20), np.eye(4)))
    assert coarser(slab) is slab
