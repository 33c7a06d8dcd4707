from __future__ import annotations

import numpy as np
import pytest

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.tissue import Tissue
from bids_t1.tissue.picture import head_image, weighted_image
from tests.tissue.heads import known_head


def test_white_matter_is_brighter_than_grey_and_grey_than_fluid_and_air_is_dark() -> None:
    known = known_head(resolution=4.0, slices=10)
    picture = head_image(known.maps, known.grid).values
    order = (Tissue.WHITE_MATTER, Tissue.SUBCORTICAL_GREY_MATTER, Tissue.GREY_MATTER, Tissue.FLUID)
    medians = [np.median(picture[known.tissue == tissue]) for tissue in order]
    assert medians == sorted(medians, reverse=True)
    corner = picture[:3, :3]
    assert np.quantile(corner, 0.95) < 0.3 * medians[0]
    assert np.isfinite(picture).all()
    assert picture.dtype == np.float32


def test_a_receive_profile_changes_the_picture_little() -> None:
    known = known_head(resolution=4.0, slices=10)
    x = np.linspace(0.5, 1.5, known.grid.shape[0], dtype=np.float32)[:, None, None]
    plain = head_image(known.maps, known.grid).values
    shaded = head_image({**known.maps, "amplitude": known.maps["amplitude"] * x}, known.grid).values
    white = known.tissue == Tissue.WHITE_MATTER
    assert np.median(np.abs(shaded[white] - plain[white]) / plain[white]) < 0.05


def test_uni_alone_is_a_picture() -> None:
    known = known_head(resolution=6.0, slices=4)
    uni = np.where(known.brain, np.float32(0.3), np.float32(np.nan))
    picture = head_image({"uni": uni}, known.grid).values
    np.testing.assert_allclose(picture[known.brain], 0.8)
    assert not picture[~known.brain].any()


def test_t1_alone_is_refused() -> None:
    known = known_head(resolution=6.0, slices=4)
    with pytest.raises(InvalidInputError, match="maps time; expected T1 and M0, or UNI"):
        head_image({"time": known.maps["time"]}, known.grid)


@pytest.mark.parametrize("form", ["robust UNI", "T1 and M0", "UNI"])
def test_a_t1_weighted_image_is_positive_whole_dark_in_air_and_brightest_in_white_matter(form: str) -> None:
    known = known_head(resolution=4.0, slices=10)
    air = ~np.isfinite(known.maps["time"]) | (known.maps["amplitude"] < 100)
    uni = np.clip(0.5 - np.nan_to_num(known.maps["time"], nan=2.5) / 5, -0.5, 0.5).astype(np.float32)
    status = np.where(air, VoxelStatus.NO_SIGNAL, VoxelStatus.FITTED)
    maps = {
        "robust UNI": {**known.maps, "uni": uni, "robust_uni": np.where(air, np.float32(-0.5), uni)},
        "T1 and M0": {**known.maps, "uni": uni},
        "UNI": {"time": known.maps["time"], "uni": uni, "status": status},
    }[form]
    image, how = weighted_image(maps, known.grid)
    assert how.startswith({"T1 and M0": "synthetic: exp(-T1 / 1.2 s)"}.get(form, form))
    assert image.dtype == np.int16
    assert image.min() >= 0
    assert image.max() <= 4095
    white, grey, fluid = (
        np.median(image[known.tissue == tissue]) for tissue in (Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.FLUID)
    )
    assert white > 1.1 * grey > 1.1 * fluid
    assert np.quantile(image[air & (known.tissue == 0)], 0.95) < 0.3 * white
