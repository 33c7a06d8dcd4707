"""Heads whose bias is no function of T1 alone: what varies, what lesions are, and voxels that tissues share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Tissue
from bids_t1_phantom.head.head import HeadOptions, field_of, make_grid, make_head, mapped_field_of, parts_of
from bids_t1_phantom.head.transmit import TransmitOptions
from bids_t1_phantom.head.variety import FIELD_ERROR
from bids_t1_phantom.sequences.mp2rage import acquire_readouts, default_sequence

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1_phantom.head.anatomy import Atlas
    from bids_t1_phantom.head.head import Head

OPTIONS = HeadOptions(resolution=6.0, bound_pool=True, varied=True, transmit=TransmitOptions(0.5, 1.25))


@pytest.fixture(scope="module")
def head(atlas: Atlas) -> Head:
    return make_head(atlas, OPTIONS, seed=3)


def plain(atlas: Atlas, participant: int = 1) -> Head:
    return make_head(atlas, replace(OPTIONS, varied=False), seed=3, participant=participant)


def test_pools_inversions_and_lesions_vary_and_nothing_else_does(atlas: Atlas, head: Head) -> None:
    usual = plain(atlas)
    assert head.pools is not None
    assert usual.pools is not None
    white = (head.tissue == Tissue.WHITE_MATTER) & ~head.variety.lesion  # type: ignore[union-attr]
    for name in ("ratio", "exchange"):
        factor = getattr(head.pools, name)[white] / getattr(usual.pools, name)[white]
        assert 0.05 < factor.std() < 0.2
        assert abs(np.corrcoef(factor, head.t1[white])[0, 1]) < 0.5
    for name in ("m0", "phase", "tissue", "transmit_field", "inversion_efficiency"):
        np.testing.assert_array_equal(getattr(usual, name), getattr(head, name))
    np.testing.assert_array_equal(usual.t1[white], head.t1[white])


def test_a_lesion_is_white_matter_with_a_longer_t1_and_a_smaller_pool(atlas: Atlas, head: Head) -> None:
    usual, lesion = plain(atlas), head.lesion
    assert usual.lesion is None
    assert lesion is not None
    assert 0.005 < lesion.sum() / (head.tissue == Tissue.WHITE_MATTER).sum() < 0.2
    np.testing.assert_allclose(head.t1[lesion] / usual.t1[lesion], 1.2)


def test_an_inversion_fails_where_the_transmit_field_is_weak(head: Head) -> None:
    assert head.variety is not None
    weak, strong = (head.variety.efficiency[where] for where in (head.transmit_field < 0.55, head.transmit_field > 0.9))
    assert weak.mean() < strong.mean() - 0.04
    assert np.ptp(strong) == pytest.approx(0.0)


def test_people_differ_in_what_their_inversions_do(atlas: Atlas) -> None:
    heads = [make_head(atlas, OPTIONS, seed=3, participant=number) for number in (1, 2, 3)]
    varieties = [head.variety for head in heads if head.variety is not None]
    assert np.std([each.left.mean() for each in varieties]) > 0.02
    assert np.std([each.efficiency.max() for each in varieties]) > 0.003


def test_a_map_of_the_transmit_field_errs_by_a_few_percent_smoothly() -> None:
    points = make_grid(OPTIONS).points()
    true = field_of(points, OPTIONS.transmit, seed=3, participant=1)
    error = mapped_field_of(points, OPTIONS, seed=3, participant=1) / true - 1
    assert 0.01 < error.std() < 2 * FIELD_ERROR[1]
    assert np.abs(np.diff(error, axis=1)).max() < 0.02
    np.testing.assert_array_equal(mapped_field_of(points, replace(OPTIONS, varied=False), seed=3, participant=1), true)


def test_voxels_at_borders_average_their_parts(atlas: Atlas) -> None:
    options = HeadOptions(resolution=8.0)
    whole = make_head(atlas, options, seed=3)
    parts = tuple(make_head(atlas, options, seed=3, grid=grid) for grid in parts_of(whole.grid))
    sequence = default_sequence("MP2RAGE", noise=0.0)
    mixed = acquire_readouts(whole, sequence, seed=3, layers=parts).images
    singles = [acquire_readouts(part, sequence, seed=3).images for part in parts]
    np.testing.assert_allclose(mixed, np.mean(singles, axis=0), atol=1e-3)
    assert np.abs(mixed - acquire_readouts(whole, sequence, seed=3).images).max() > 1


def test_the_command_writes_varied_heads_with_their_lesions_and_the_same_bytes_again(tmp_path: Path) -> None:
    words = ["--resolution", "12", "--slices", "1", "--sequences", "IRT1,MP2RAGE", "--partial-volume"]
    for name in ("a", "b"):
        assert main([str(tmp_path / name), *words, "--bias", "mt-varied"]) == 0
    name = "derivatives/truth/sub-01/anat/sub-01_desc-truthlesion_mask.nii.gz"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    image = "sub-01/anat/sub-01_inv-1_part-mag_MP2RAGE.nii.gz"
    assert (tmp_path / "a" / image).read_bytes() == (tmp_path / "b" / image).read_bytes()
