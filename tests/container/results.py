"""What a run left, compared with what another left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def assert_same_maps(found: Path, expected: Path, participant: str = "01") -> None:
    """Check that every map of a participant is the same in two output folders, up to rounding."""
    names = sorted(path.relative_to(expected) for path in (expected / f"sub-{participant}").rglob("*.nii.gz"))
    assert names
    assert names == sorted(path.relative_to(found) for path in (found / f"sub-{participant}").rglob("*.nii.gz"))
    for name in names:
        one, other = (nib.Nifti1Image.from_filename(folder / name).get_fdata() for folder in (found, expected))
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=str(name))  # probabilities near 0
