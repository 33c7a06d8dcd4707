"""A regularised UNI is told from a true one, with air and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_t1.bids.denoising import refuse_denoised
from bids_t1.data.acquisition import RawFile
from bids_t1.data.entities import BidsName
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar

FILE = RawFile(Path("sub-01_UNIT1.nii.gz"), BidsName.parse("sub-01_UNIT1.nii.gz"), Sidecar("", {}))


def pair(n_dark: int, dark: float) -> np.ndarray:
    """Return complex readouts whose dark voxels are of one tissue, or air."""
    rng = np.random.default_rng(4)
    signal = np.concatenate([np.full((2, n_dark), [[dark], [-0.8 * dark]]), np.full((2, 8_000), [[300.0], [200.0]])], 1)
    noise = rng.normal(0, 1, (2, *signal.shape))
    measured: np.ndarray = signal + noise[0] + 1j * noise[1]
    return measured


def uni(images: np.ndarray, beta: float = 0.0) -> np.ndarray:
    found: np.ndarray = ((images[0].conj() * images[1]).real - beta) / ((np.abs(images) ** 2).sum(0) + 2 * beta)
    return found


def test_dark_tissue_of_one_s_is_no_trace_of_regularisation() -> None:
    images = pair(2_000, 40.0)
    refuse_denoised(FILE, uni(images), np.abs(images))


def test_air_without_noise_is_one() -> None:
    images = pair(2_000, 0.0)
    refuse_denoised(FILE, uni(images), np.abs(images))
    with pytest.raises(InvalidInputError, match="denoised"):
        refuse_denoised(FILE, uni(images, beta=1_000.0), np.abs(images))
