from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import SimpleITK

from bids_t1.data.errors import InvalidInputError
from bids_t1.registration.itk import from_itk, to_itk
from tests.registration.heads import random_motion

if TYPE_CHECKING:
    from pathlib import Path

ITK: Any = SimpleITK
"""Its functions have no types."""


def test_simpleitk_takes_points_where_the_matrix_does(tmp_path: Path) -> None:
    matrix, point = random_motion(1), np.array([12.0, -30.0, 45.0])
    path = tmp_path / "from-IRT1_to-MP2RAGE_mode-image_xfm.txt"
    path.write_text(to_itk(matrix))
    there = ITK.ReadTransform(str(path)).TransformPoint((point * [-1, -1, 1]).tolist())
    np.testing.assert_allclose(np.array(there) * [-1, -1, 1], matrix[:3, :3] @ point + matrix[:3, 3], atol=1e-9)


def test_simpleitk_resamples_as_the_matrix_says(tmp_path: Path) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (1, -2, 3)
    path = tmp_path / "shift_xfm.txt"
    path.write_text(to_itk(shift))
    image = ITK.Image([9, 9, 9], ITK.sitkFloat32)
    # NIfTI's affine is the identity: ITK's directions are -1, -1, 1.
    image.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
    image[5, 3, 6] = 1.0
    found = ITK.GetArrayFromImage(ITK.Resample(image, ITK.ReadTransform(str(path)))).T
    assert np.argwhere(found).tolist() == [[4, 5, 3]]


def test_a_file_of_simpleitk_with_a_centre_is_read(tmp_path: Path) -> None:
    matrix, centre = random_motion(2), np.array([3.0, -7.0, 21.0])
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix @ np.diag([-1.0, -1.0, 1.0, 1.0])
    transform = ITK.AffineTransform(3)
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation((lps[:3, 3] - centre + lps[:3, :3] @ centre).tolist())
    path = tmp_path / "centred_xfm.txt"
    ITK.WriteTransform(transform, str(path))
    np.testing.assert_allclose(from_itk(path.read_text(), path.name), matrix, atol=1e-12)


def test_reading_back_loses_nothing_but_rounding() -> None:
    matrix = random_motion(3)
    np.testing.assert_allclose(from_itk(to_itk(matrix), "xfm.txt"), matrix, rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "none"),
        (to_itk(np.eye(4)).replace("Affine", "Euler3D"), "Euler3D"),
        (to_itk(np.eye(4)) + to_itk(np.eye(4)), "6 fields"),
        (to_itk(np.eye(4)).replace("1.0 0.0", "1.0 nan"), "12 finite numbers"),
        (to_itk(np.eye(4)).replace("FixedParameters: 0", "FixedParameters: zero"), "3 finite numbers"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"bad_xfm\.txt.*{said}"):
        from_itk(text, "bad_xfm.txt")
