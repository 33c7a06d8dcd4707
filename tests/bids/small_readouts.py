"""Small MP2RAGE runs, file by file: two or three readouts of a head-like block in noise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.discover import group_runs
from bids_t1.data.acquisition import RawFile
from bids_t1.data.entities import BidsName
from bids_t1.data.sidecar import Sidecar
from tests.small_bids import sidecar, write_image, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from bids_t1.data.acquisition import Acquisition

SHAPE = (20, 20, 8)
TIMES = (0.7, 2.5, 4.0)
"""Inversion times [s]."""

ANGLES = (4, 5, 5)
"""Flip angles [degree]."""

CYCLE_TIME = 6.0
HALF_TURN_UNITS = 4096
"""Siemens stores pi as this number."""


def readouts(n: int = 2, *, noise_sd: float = 5.0, seed: int = 1) -> NDArray[np.complex128]:
    """Complex images (readout, x, y, z): signal of some hundreds in the middle, noise around."""
    rng = np.random.default_rng(seed)
    signal = np.zeros((3, *SHAPE))
    inside = (slice(None), slice(4, 16), slice(4, 16), slice(1, 7))
    strength = rng.uniform(0.3, 1.0, SHAPE)[inside[1:]]
    signal[inside] = np.stack([rng.uniform(-500, 400, strength.shape), 600 * strength, 500 * strength])
    phase = np.exp(1j * np.linspace(-2, 2, SHAPE[0]))[:, None, None]
    noise = noise_sd * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return np.asarray(signal * phase + noise)[:n]


def uni_of(images: NDArray[np.complex128], beta: float = 0.0) -> NDArray[np.float64]:
    """Combine two readouts; with ``beta``, the regularised image that must not be used."""
    first, second = images[:2]
    product = np.real(np.conj(first) * second) - beta
    return np.asarray(product / (np.abs(first) ** 2 + np.abs(second) ** 2 + 2 * beta))


def stored_uni(uni: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Store S as Siemens does."""
    return np.rint(4095 * (uni + 0.5)).astype(np.uint16)


def write_readouts(
    dataset: Path, images: NDArray[Any], parts: Sequence[str | None] = ("mag", "phase"), *, entities: str = ""
) -> list[Path]:
    """Write each part of each readout; ``entities`` go between participant and inv, such as ``_ses-1_acq-x``."""
    written = []
    for number, (time, angle, image) in enumerate(zip(TIMES, ANGLES, images, strict=False), 1):
        for part in parts:
            ending = "MP2RAGE" if part is None else f"part-{part}_MP2RAGE"
            path = folder(dataset, entities) / f"sub-01{entities}_inv-{number}_{ending}.nii.gz"
            write_image(path, view(image, part).astype(np.float32))
            fields: dict[str, object] = {"InversionTime": time, "FlipAngle": angle, "MagneticFieldStrength": 3}
            fields |= {"RepetitionTimePreparation": CYCLE_TIME, "RepetitionTimeExcitation": 0.007}
            write_json(sidecar(path), fields | ({"Units": "rad"} if part == "phase" else {}))
            written.append(path)
    return written


def write_uni(dataset: Path, data: NDArray[Any], *, entities: str = "", **fields: object) -> Path:
    path = folder(dataset, entities) / f"sub-01{entities}_UNIT1.nii.gz"
    write_image(path, data)
    write_json(sidecar(path), {"MagneticFieldStrength": 3, **fields})
    return path


def only_run(dataset: Path) -> Acquisition:
    """Return the one run of a dataset without sidecars to inherit from; quicker than an index."""
    files: dict[str, list[RawFile]] = {}
    for path in sorted(dataset.rglob("sub-01*.nii.gz")):
        name = BidsName.parse(path.name)
        fields = json.loads(sidecar(path).read_text()) if sidecar(path).exists() else {}
        files.setdefault(name.suffix, []).append(RawFile(path, name, Sidecar(sidecar(path).name, fields)))
    (run,) = (run for run in group_runs(files) if run.sequence == "MP2RAGE")
    return run


def folder(dataset: Path, entities: str) -> Path:
    sessions = [entity for entity in entities.split("_") if entity.startswith("ses-")]
    return dataset.joinpath("sub-01", *sessions, "anat")


def view(image: NDArray[Any], part: str | None) -> NDArray[Any]:
    match part:
        case "phase":
            return np.asarray(np.angle(image))
        case "real":
            return np.asarray(image.real)
        case "imag":
            return np.asarray(image.imag)
    return np.asarray(np.abs(image))
