"""Small BIDS datasets of one block of voxels with known T1, made file by file so that each trap can be set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bids_t1_phantom.physics.simulate import inversion_recovery, rapid_gradient_echo_trains
from bids_t1_phantom.physics.trains import MP2RAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

TIMES = (0.05, 0.3, 0.8, 2.0, 4.0)
"""Inversion times [s]."""

REPETITION_TIME = 8.0
SHAPE = (8, 8, 2)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
T1 = np.linspace(0.4, 2.0, 128).reshape(SHAPE)
"""Truth [s]."""

NOISE_SD = 5.0
"""Noise of one channel; M0 is 1000."""


READOUT_T1 = np.zeros((16, 16, 4))
"""Truth of MP2RAGE [s]: a block in the middle of air."""

READOUT_T1[4:12, 4:12] = np.linspace(0.5, 2.0, 256).reshape(8, 8, 4)
READOUT_NOISE_SD = 0.5

READOUT_TIMING: Mapping[str, object] = {
    "RepetitionTimePreparation": MP2RAGE.cycle_time,
    "RepetitionTimeExcitation": MP2RAGE.excitation_times[0],
    "NumberShots": [MP2RAGE.n_before, MP2RAGE.n_after],
    "MagneticFieldStrength": 3,
}
"""Of both readouts, without inversion times and flip angles."""


def complex_images(times: Sequence[float] = TIMES, *, seed: int = 1) -> NDArray[np.complex128]:
    """Images whose noise-free part is real, array (measurement, x, y, z)."""
    rng = np.random.default_rng(seed)
    signal = inversion_recovery(
        T1, 1000.0, inversion_times=times, repetition_times=REPETITION_TIME, inversion_efficiency=1.95
    )
    noise = rng.standard_normal((2, *signal.shape)) * NOISE_SD
    return np.asarray(signal + noise[0] + 1j * noise[1])


def complex_readouts(inversion_efficiency: ArrayLike = 0.96, *, seed: int = 1) -> NDArray[np.complex128]:
    """Readouts of MP2RAGE in a nominal transmit field, array (readout, x, y, z)."""
    rng = np.random.default_rng(seed)
    matter = READOUT_T1 > 0
    signal = np.zeros((2, *READOUT_T1.shape))
    efficiency = np.broadcast_to(inversion_efficiency, READOUT_T1.shape)[matter]
    signal[:, matter] = rapid_gradient_echo_trains(
        READOUT_T1[matter], 1000.0, protocol=MP2RAGE, inversion_efficiency=efficiency
    )
    noise = rng.standard_normal((2, *signal.shape)) * READOUT_NOISE_SD
    return np.asarray(signal * np.exp(0.7j) + noise[0] + 1j * noise[1])


def write_root(dataset: Path) -> Path:
    """Make the dataset, without images."""
    dataset.mkdir(parents=True, exist_ok=True)
    write_json(dataset / "dataset_description.json", {"Name": "small", "BIDSVersion": "1.10.0"})
    return dataset


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def change_json(path: Path, **changes: object) -> None:
    """Set fields of a sidecar; None takes them away."""
    content = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    write_json(path, {key: value for key, value in content.items() if value is not None})


def write_image(path: Path, data: NDArray[Any], affine: NDArray[np.float64] = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)


def write_run(  # noqa: PLR0913 - every trap has its argument
    dataset: Path,
    participant: str = "01",
    *,
    session: str | None = None,
    entities: str = "",
    times: Sequence[float] = TIMES,
    parts: Sequence[str | None] = (None,),
    images: NDArray[Any] | None = None,
    index: str = "{}",
) -> list[Path]:
    """Write one inversion-recovery run and return its images.

    ``entities`` go between session and inv, such as ``_acq-gold``; ``index`` formats the number of an inversion.
    """
    images = complex_images(times) if images is None else images
    label = f"sub-{participant}" + ("" if session is None else f"_ses-{session}")
    folder = dataset / label.replace("_", "/") / "anat"
    written = []
    for number, (time, image) in enumerate(zip(times, images, strict=True), 1):
        for part in parts:
            ending = "IRT1" if part is None else f"part-{part}_IRT1"
            path = folder / f"{label}{entities}_inv-{index.format(number)}_{ending}.nii.gz"
            write_image(path, _view(image, part).astype(np.float32))
            fields: dict[str, object] = {"InversionTime": time, "RepetitionTime": REPETITION_TIME}
            fields |= {"EchoTime": 0.01, "MagneticFieldStrength": 3}
            write_json(sidecar(path), fields | ({"Units": "rad"} if part == "phase" else {}))
            written.append(path)
    return written


def write_readouts(
    dataset: Path,
    participant: str = "01",
    *,
    entities: str = "",
    parts: Sequence[str | None] = ("mag", "phase"),
    images: NDArray[Any] | None = None,
) -> list[Path]:
    """Write one MP2RAGE run and return its images: the parts of the first readout, then those of the second."""
    images = complex_readouts() if images is None else images
    folder = dataset / f"sub-{participant}" / "anat"
    written = []
    timing = zip(MP2RAGE.inversion_times, MP2RAGE.flip_angles, images, strict=True)
    for number, (time, angle, image) in enumerate(timing, 1):
        for part in parts:
            ending = "MP2RAGE" if part is None else f"part-{part}_MP2RAGE"
            path = folder / f"sub-{participant}{entities}_inv-{number}_{ending}.nii.gz"
            write_image(path, _view(image, part).astype(np.float32))
            fields = {**READOUT_TIMING, "InversionTime": time, "FlipAngle": angle}
            write_json(sidecar(path), fields | ({"Units": "rad"} if part == "phase" else {}))
            written.append(path)
    return written


def _view(image: NDArray[Any], part: str | None) -> NDArray[Any]:
    match part:
        case "phase":
            return np.asarray(np.angle(image))
        case "real":
            return np.asarray(np.real(image))
        case "imag":
            return np.asarray(np.imag(image))
    return np.asarray(np.abs(image))


def open_image(path: Path) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_filename(path)


def sidecar(image: Path) -> Path:
    return image.with_name(image.name.replace(".nii.gz", ".json"))
