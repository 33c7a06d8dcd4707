"""The compiled fit on a CUDA card: the functions of `voxel` as they are, one thread of the card for each voxel.

Needs the package numba-cuda: what Numba itself brings for CUDA does not compile `max` and `min`. Its simulator, which
runs the same without a card, is an interpreter and needs nothing. Imported only where there is one of the two.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bids_t1.estimation.curves.block import block_space
from bids_t1.estimation.curves.voxel import MAPS, POWERS, Choices, Room, Tables, Work, fit_voxel
from bids_t1.estimation.curves.voxels import fit_voxels, room_for_open

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Maps = tuple[NDArray[np.float32], NDArray[np.uint8]]

cuda: Any = importlib.import_module("numba.cuda")

LOG = logging.getLogger(__name__)

THREADS = 128
"""Voxels of a block of the card."""

TRIED = 512
"""Voxels of each image that processor and card both fit before the card is believed."""

TOLERANCE = 1e-5
"""Relative difference of T1 and SD between the two: sums may be ordered otherwise."""

MIN_SAME = 0.99
"""Share of the voxels in which they must be so close; choices between equals may fall otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class CardFit:
    """What the card needs of an image, its tables there already."""

    kernel: Any
    tables: Tables
    choices: Choices

    @classmethod
    def of(cls, tables: Tables, choices: Choices) -> CardFit:
        """Bring the tables of an image to the card."""
        _, n_atoms, n_samples = tables.axis.shape
        kernel = _kernel(n_samples, n_atoms, tables.products.shape[2])
        return cls(kernel, Tables(*(cuda.to_device(table) for table in tables)), choices)

    def fit(self, images: torch.Tensor, values: torch.Tensor, status: torch.Tensor) -> None:
        """Fill the maps of some voxels; all of it lies on the card.

        Parameters
        ----------
        images
            (measurement, voxel), in single precision.
        values, status
            (map, voxel), in the order of `voxel.MAPS`, and (voxel), which are filled.
        """
        blocks = -(-images.shape[1] // THREADS)
        arrays = (_on_card(array) for array in (images, values, status))
        self.kernel[blocks, THREADS](self.tables, self.choices, *arrays)


@cache
def _kernel(n_samples: int, n_atoms: int, n_products: int) -> Any:
    """Return the fit of all voxels; room for the numbers of one is of a size that is known when it is compiled."""

    def fit(
        tables: Tables,
        choices: Choices,
        images: NDArray[np.float32],
        maps: NDArray[np.float32],
        status: NDArray[np.uint8],
    ) -> None:
        voxel = cuda.grid(1)
        if voxel < len(status):
            work = Work(
                cuda.local.array((n_samples, 1), np.float32),
                cuda.local.array(n_samples, np.float64),
                Room(
                    cuda.local.array((n_atoms, 1), np.float32),
                    cuda.local.array(1, np.float32),
                    cuda.local.array(1, np.float32),
                    cuda.local.array(1, np.float32),
                    cuda.local.array(1, np.int32),
                    cuda.local.array(1, np.float32),
                    cuda.local.array(1, np.float64),
                    cuda.local.array(1, np.int32),
                ),
                cuda.local.array((2, 1, 3), np.float64),
                cuda.local.array((3, POWERS), np.float64),
                cuda.local.array(n_products, np.float64),
            )
            for i in range(n_samples):
                work.samples[i, 0], work.signal[i] = 0.0, 0.0
            fit_voxel(tables, choices, images, voxel, voxel, maps, status, work)

    return cuda.jit(fit)


def _on_card(array: torch.Tensor) -> Any:
    """Return an array of Numba that shares the memory of a tensor; in the simulator that of the processor."""
    return cuda.as_cuda_array(array) if array.is_cuda else array.numpy()


def trusted(tables: Tables, choices: Choices, sample: torch.Tensor) -> CardFit | None:
    """Return the fit on the card where it compiles and finds in a sample of the voxels what the processor finds.

    Parameters
    ----------
    tables, choices
        Of the image.
    sample
        (measurement, voxel), on the card.
    """
    values = torch.empty((len(MAPS), sample.shape[1]), device=sample.device)
    status = torch.zeros(sample.shape[1], dtype=torch.uint8, device=sample.device)
    try:
        card = CardFit.of(tables, choices)
        card.fit(sample, values, status)
        found = values.cpu().numpy(), status.cpu().numpy()
    except Exception as error:  # whatever a toolkit lacks, PyTorch computes the same
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        LOG.warning("The compiled fit cannot be used on this CUDA device (%s); PyTorch fits more slowly.", reason)
        return None
    if not agree(found, on_processor(tables, choices, sample.cpu().numpy())):
        LOG.warning("The compiled fit differs between this CUDA device and the processor; PyTorch fits more slowly.")
        return None
    return card


def on_processor(tables: Tables, choices: Choices, images: NDArray[np.float32]) -> Maps:
    """Return maps and statuses of the compiled fit on one processor."""
    n_voxels = images.shape[1]
    values, status = np.empty((len(MAPS), n_voxels), np.float32), np.empty(n_voxels, np.uint8)
    space = block_space(tables), room_for_open(tables, 0)
    fit_voxels(tables, choices, images, 0, 0, n_voxels, values, status, *space)
    return values, status


def agree(one: Maps, other: Maps) -> bool:
    """Tell whether two fits of the same voxels found the same."""
    close = np.isclose(one[0][:2], other[0][:2], rtol=TOLERANCE, atol=0.0, equal_nan=True).all(axis=0)
    return bool(np.mean(close & (one[1] == other[1])) >= MIN_SAME)
