"""Maps of MP2RAGE and MP3RAGE beside the truth of the phantom they were measured from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from tests.small_bids import open_image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

TISSUES = {"grey matter": 1, "white matter": 2, "fluid": 3}
"""Labels of the phantom."""


def read(folder: Path, what: str, label: str = "01", datatype: str = "anat") -> Array:
    """Read a map with its axes along those of the scanner: conversion of scanner files may turn them."""
    image = open_image(folder / f"sub-{label}" / datatype / f"sub-{label}_{what}.nii.gz")
    return np.asanyarray(nib.as_closest_canonical(image).dataobj)


def t1_sidecar(out_dir: Path, label: str = "01", sequence: str = "MP2RAGE") -> dict[str, Any]:
    path = out_dir / f"sub-{label}/anat/sub-{label}_desc-{sequence}_T1map.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, eq=False)
class Measured:
    """What was estimated of T1 [s]."""

    t1: Array
    sd: Array
    lower: Array
    upper: Array
    two_modes: Mask

    @classmethod
    def read(cls, out_dir: Path, sequence: str = "MP2RAGE", label: str = "01") -> Measured:
        t1, sd, lower, upper = (
            read(out_dir, f"desc-{sequence}{what}_T1map", label) for what in ("", "sd", "lower", "upper")
        )
        return cls(t1, sd, lower, upper, read(out_dir, f"desc-{sequence}twomodes_mask", label) == 1)

    @property
    def known(self) -> Mask:
        return np.asarray(np.isfinite(self.t1))

    @property
    def width(self) -> Array:
        """Of the 95 % interval [s]."""
        return np.asarray(self.upper - self.lower)


@dataclass(frozen=True, eq=False)
class Truth:
    """What was scanned."""

    t1: Array
    tissue: Array

    @classmethod
    def read(cls, folder: Path, label: str = "01") -> Truth:
        """Read it from the folder of the truth, which lies in or beside the data."""
        return cls(read(folder, "desc-truth_T1map", label), read(folder, "desc-tissue_dseg", label))

    def voxels(self, tissue: str, measured: Measured) -> Mask:
        """Voxels of a tissue that were fitted."""
        return np.asarray((self.tissue == TISSUES[tissue]) & measured.known)

    def coverage(self, tissue: str, measured: Measured) -> float:
        """Share of the voxels whose interval holds the truth."""
        where = self.voxels(tissue, measured)
        return float(np.mean(((measured.lower <= self.t1) & (self.t1 <= measured.upper))[where]))

    def bias(self, tissue: str, measured: Measured) -> float:
        """Median relative error."""
        where = self.voxels(tissue, measured)
        return float(np.median((measured.t1 / self.t1 - 1)[where]))


def truth_of(bids_dir: Path, label: str = "01") -> Truth:
    return Truth.read(bids_dir / "derivatives" / "truth", label)


def sampling_error(n: int) -> float:
    """Standard error of a coverage of 95 % found with n voxels."""
    return float(np.sqrt(0.95 * 0.05 / n))
