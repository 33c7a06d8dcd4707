"""A rigid matrix as a text file of ITK, which ANTs, SimpleITK and nitransforms read.

ITK's coordinates are left-posterior-superior. Its transform takes a point of the image that is made (fixed) to the
point of the image that is sampled (moving): https://docs.itk.org, ImageRegistrationMethod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.errors import InvalidInputError

if TYPE_CHECKING:
    from bids_t1.data.shapes import Affine

HEADER = "#Insight Transform File V1.0"
KINDS = ("AffineTransform_double_3_3", "MatrixOffsetTransformBase_double_3_3")

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_itk(matrix: Affine) -> str:
    """Write a matrix between scanner coordinates [mm], right-anterior-superior, as the text of an ITK transform file.

    Parameters
    ----------
    matrix : array (4, 4)
        Points of the image on whose grid the result lies to those of the image that is resampled.
    """
    theirs = _LPS @ matrix @ _LPS
    numbers = " ".join(repr(float(number)) for number in (*theirs[:3, :3].ravel(), *theirs[:3, 3]))
    return f"{HEADER}\n#Transform 0\nTransform: {KINDS[0]}\nParameters: {numbers}\nFixedParameters: 0 0 0\n"


def from_itk(text: str, name: str) -> Affine:
    """Read the matrix back from the text of a file of a given name.

    Raises
    ------
    InvalidInputError
        If it holds anything but one affine transform of three dimensions.
    """
    lines = [line.strip() for line in text.splitlines()]
    fields = [line.partition(":") for line in lines if line and not line.startswith("#")]
    found = {key.strip(): value.strip() for key, _, value in fields}
    kind = found.get("Transform", "none")
    if HEADER not in lines or len(fields) != len(found) or kind not in KINDS:
        raise InvalidInputError(
            f"{name}: it holds {kind} in {len(fields)} fields; expected {HEADER!r} and one {' or '.join(KINDS)}. "
            "Write it with ANTs, SimpleITK or this program."
        )
    numbers, centre = _numbers(found, "Parameters", 12, name), _numbers(found, "FixedParameters", 3, name)
    theirs = np.eye(4)
    theirs[:3, :3] = numbers[:9].reshape(3, 3)
    theirs[:3, 3] = numbers[9:] + centre - theirs[:3, :3] @ centre
    matrix: Affine = _LPS @ theirs @ _LPS
    return matrix


def _numbers(fields: dict[str, str], key: str, count: int, name: str) -> np.ndarray:
    try:
        numbers = np.array(fields.get(key, "").split(), dtype=float)
    except ValueError:
        numbers = np.empty(0)
    if numbers.size != count or not np.isfinite(numbers).all():
        raise InvalidInputError(
            f"{name}: {key} is {fields.get(key, 'missing')!r}; expected {count} finite numbers. Write the file again."
        )
    return numbers
