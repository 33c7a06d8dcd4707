from __future__ import annotations

import numpy as np
import pytest

from bids_t1.data.tissue import Hemisphere, RegionStatistics, Tissue
from bids_t1.tissue.statistics import describe_regions, interior

NAME = "sub-01_desc-IRT1_T1map.nii.gz"


def cube(kind: Tissue = Tissue.WHITE_MATTER) -> np.ndarray:
    """Return a cube of 5 x 5 x 5 voxels of a tissue inside of nothing."""
    tissue = np.zeros((9, 9, 9), np.uint8)
    tissue[2:7, 2:7, 2:7] = kind
    return tissue


def only(statistics: list[RegionStatistics], **wanted: object) -> RegionStatistics:
    (found,) = [one for one in statistics if all(getattr(one, name) == value for name, value in wanted.items())]
    return found


def test_erosion_takes_one_voxel_off_every_face() -> None:
    expected = np.zeros((9, 9, 9), bool)
    expected[3:6, 3:6, 3:6] = True
    tissue = cube()
    np.testing.assert_array_equal(interior(tissue) & (tissue > 0), expected)


def test_erosion_follows_faces_not_edges_or_corners() -> None:
    tissue = np.full((3, 3, 3), Tissue.WHITE_MATTER, np.uint8)
    tissue[0, 0, 0] = tissue[0, 0, 2] = tissue[2, 2, 1] = Tissue.FLUID
    assert interior(tissue)[1, 1, 1]
    tissue[1, 1, 0] = Tissue.GREY_MATTER
    assert not interior(tissue)[1, 1, 1]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_is_eroded_in_its_plane_only(axis: int) -> None:
    tissue = cube().take([4], axis=axis)
    assert np.count_nonzero(interior(tissue) & (tissue > 0)) == 9


def test_the_border_of_the_image_is_not_another_tissue() -> None:
    assert interior(np.full((4, 3, 2), Tissue.WHITE_MATTER, np.uint8)).all()


def test_numbers_are_those_of_the_values_that_were_put_in() -> None:
    tissue, rng = cube(), np.random.default_rng(1)
    time = np.full(tissue.shape, 9.0, np.float32)
    values = rng.normal(0.85, 0.05, 125).astype(np.float32)
    values[::5] = np.nan
    time[tissue > 0] = values
    fitted = values[np.isfinite(values)].astype(float)
    found = only(describe_regions(NAME, time, tissue, None, 0.008), eroded=False)
    assert (found.map, found.tissue, found.hemisphere) == (NAME, Tissue.WHITE_MATTER, Hemisphere.NEITHER)
    assert found.n_voxels == 125
    assert (found.volume, found.not_fitted) == pytest.approx((1.0, 0.2))
    assert found.mean == pytest.approx(fitted.mean())
    assert found.sd == pytest.approx(fitted.std(ddof=1))
    assert (found.percentile_5, found.quartile_1, found.median, found.quartile_3, found.percentile_95) == pytest.approx(
        tuple(np.quantile(fitted, (0.05, 0.25, 0.5, 0.75, 0.95)))
    )


def test_hemispheres_share_out_the_voxels_of_a_tissue() -> None:
    tissue = cube(Tissue.SUBCORTICAL_GREY_MATTER)
    hemisphere = np.full(tissue.shape, Hemisphere.RIGHT, np.uint8)
    hemisphere[:4] = Hemisphere.LEFT
    time = np.where(hemisphere == Hemisphere.LEFT, 1.1, 1.2).astype(np.float32)
    statistics = describe_regions(NAME, time, tissue, hemisphere, 0.001)
    assert only(statistics, hemisphere=Hemisphere.LEFT, eroded=False).median == pytest.approx(1.1)
    assert only(statistics, hemisphere=Hemisphere.RIGHT, eroded=False).median == pytest.approx(1.2)
    for eroded in (False, True):  # the plane between the hemispheres is not a border of the tissue
        whole, *sides = [one.n_voxels for one in statistics if one.eroded is eroded]
        assert whole == sum(sides)


def test_tissues_that_do_not_occur_have_no_row_and_those_too_thin_none_eroded() -> None:
    tissue = np.zeros((6, 6, 6), np.uint8)
    tissue[2:4] = Tissue.GREY_MATTER
    statistics = describe_regions(NAME, np.ones(tissue.shape, np.float32), tissue, None, 0.001)
    assert [(one.tissue, one.eroded) for one in statistics] == [(Tissue.GREY_MATTER, False)]


def test_a_tissue_without_any_estimate_says_so() -> None:
    tissue = cube()
    (found, _) = describe_regions(NAME, np.full(tissue.shape, np.nan, np.float32), tissue, None, 0.001)
    assert found.not_fitted == 1
    assert (found.n_voxels, found.median, found.mean, found.sd, found.percentile_95) == (125, None, None, None, None)
