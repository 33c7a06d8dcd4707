"""The phantom as a BIDS dataset, and its truth as a BIDS derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel
import numpy as np

from bids_t1.data.entities import BidsName
from bids_t1.phantom.anatomy import Tissue
from bids_t1.storage import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bids_t1.phantom.head import Grid, Head
    from bids_t1.phantom.scan import Protocol, Scan

BIDS_VERSION = "1.10.0"

PARTS: dict[str, dict[str | None, str]] = {
    "mag": {None: "mag"},
    "real": {"real": "signed"},
    "complex": {"real": "real", "imag": "imag"},
    "polar": {"mag": "mag", "phase": "phase"},
}
"""For each choice of images: the BIDS ``part`` label of each file, and the view of the scan that it holds."""

_README = """\
# A digital head with known T1

Made by bids_t1_phantom; no person was scanned. Inversion-recovery spin-echo images (IRT1) of a head whose
tissue maps derive from the ICBM 2009a nonlinear symmetric template (Fonov et al. 2011,
doi 10.1016/j.neuroimage.2010.07.033). The signal is a pulse-by-pulse simulation of the magnetisation in its
steady state; noise is complex, Gaussian and white, with an SD per channel of the M0 of white matter divided
by the SNR. Every voxel holds one tissue and has one T1. The truth is {truth}.
"""


def write_root(folder: Path, *, truth: str) -> None:
    """Write what a raw BIDS dataset has at its root.

    Parameters
    ----------
    folder : Path
        The dataset; it is made if it does not exist.
    truth : str
        Where a reader finds the truth, as the README says it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(
        folder / "dataset_description.json",
        {
            "Name": "Digital head with known T1",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "raw",
            "License": "CC0-1.0",
            "Authors": ["bids_t1_phantom"],
            "GeneratedBy": [{"Name": "bids_t1_phantom"}],
        },
    )
    (folder / "README.md").write_text(_README.format(truth=truth), encoding="utf-8")


def write_scan(folder: Path, scan: Scan, *, participant: str, parts: Mapping[str | None, str]) -> list[Path]:
    """Write the images of one participant with their sidecars.

    Parameters
    ----------
    folder : Path
        Root of the dataset.
    scan : Scan
        What to write.
    participant : str
        Label without ``sub-``.
    parts : mapping
        One of the values of `PARTS`.

    Returns
    -------
    list of Path
        The images, below `folder`.
    """
    written = []
    for label, view in parts.items():
        for index, image in enumerate(scan.part(view)):
            name = BidsName.build({"sub": participant, "inv": str(index + 1), "part": label}, "IRT1")
            sidecar = _acquisition(scan.protocol, index)
            if label == "phase":
                sidecar["Units"] = "rad"
            written.append(_write_image(folder / name.folder("anat"), name, image, scan.grid, sidecar))
    return [path.relative_to(folder) for path in written]


def write_truth_root(folder: Path, *, raw: str | None) -> None:
    """Write what the truth, a BIDS derivative, has at its root.

    Parameters
    ----------
    folder : Path
        The derivative; it is made if it does not exist.
    raw : str or None
        Relative path to the raw dataset; None where the images are DICOM files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description: dict[str, object] = {
        "Name": "Truth of the digital head",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "License": "CC0-1.0",
        "Authors": ["bids_t1_phantom"],
        "GeneratedBy": [{"Name": "bids_t1_phantom"}],
    }
    if raw is not None:
        description["DatasetLinks"] = {"raw": raw}
    _write_json(folder / "dataset_description.json", description)
    (folder / "README.md").write_text(_README.format(truth="this dataset"), encoding="utf-8")
    rows = [f"{kind.value}\t{kind.name.lower().replace('_', ' ')}\t{kind.abbreviation}" for kind in Tissue]
    (folder / "dseg.tsv").write_text("\n".join(["index\tname\tabbreviation", *rows, ""]), encoding="utf-8")


def write_truth(folder: Path, head: Head, protocol: Protocol, *, participant: str, sources: list[str]) -> None:
    """Write the maps that the phantom was made from: what a perfect measurement finds."""
    maps: list[tuple[str, str, NDArray[np.generic], dict[str, object]]] = [
        ("truth", "T1map", head.t1.astype(np.float32), {"Units": "s", "Description": "True T1; NaN in air"}),
        ("truth", "M0map", head.m0.astype(np.float32), {
            "Units": "arbitrary",
            "Description": "True signal at full magnetisation, receive profile included; 0 in air",
            "NoiseStandardDeviation": protocol.noise_sd,
            "SignalToNoiseRatio": protocol.snr if np.isfinite(protocol.snr) else "infinite",
        }),
        ("truthefficiency", "T1map", head.inversion_efficiency.astype(np.float32), {
            "Units": "arbitrary",
            "Description": "True inversion efficiency, 1 - cos(inversion angle), no unit; NaN in air",
        }),
        ("tissue", "dseg", head.tissue, {"Description": "Tissue of each voxel; labels in dseg.tsv"}),
        ("brain", "mask", head.brain.astype(np.uint8), {
            "Type": "Brain", "Description": "Brain with its fluid",
        }),
    ]  # fmt: skip
    for label, suffix, values, metadata in maps:
        name = BidsName.build({"sub": participant, "desc": label}, suffix)
        sidecar = {**metadata, "SkullStripped": False, **({"Sources": sources} if sources else {})}
        _write_image(folder / name.folder("anat"), name, values, head.grid, sidecar)


def _acquisition(protocol: Protocol, index: int) -> dict[str, object]:
    return {
        "Modality": "MR",
        "Manufacturer": "bids_t1",
        "ManufacturersModelName": "phantom",
        "MagneticFieldStrength": protocol.magnetic_field_strength,
        "PulseSequenceType": "Inversion recovery spin echo",
        "MRAcquisitionType": "2D",
        "ScanningSequence": ["SE", "IR"],
        "InversionTime": protocol.inversion_times[index],
        "RepetitionTime": protocol.repetition_times[index],
        "EchoTime": protocol.echo_time,
        "FlipAngle": 90,
    }


def _write_image(
    folder: Path, name: BidsName, values: NDArray[np.generic], grid: Grid, sidecar: Mapping[str, object]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, grid.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(grid.affine, code=1)
    image.set_qform(grid.affine, code=1)
    path = folder / str(name)
    nibabel.save(image, path)
    _write_json(folder / str(name.having({}, extension=".json")), sidecar)
    return path


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(as_json(content), encoding="utf-8")
