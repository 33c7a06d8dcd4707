"""The multi-echo gradient echo as BIDS: an image and a sidecar for each echo and part."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from bids_t1.data.entities import BidsName
from bids_t1_phantom.writers.bids import write_parts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bids_t1_phantom.sequences.multi_echo_gre import EchoProtocol, EchoScan

ECHO_PARTS: Mapping[str, Mapping[str | None, str]] = MappingProxyType(
    {
        "mag": {None: "mag"},
        "polar": {"mag": "mag", "phase": "phase"},
        "complex": {"real": "real", "imag": "imag"},
    }
)
"""For each choice of images: the BIDS ``part`` label of each file, and the view of the scan that it holds."""


def write_echoes(folder: Path, scan: EchoScan, *, participant: str, parts: Mapping[str | None, str]) -> list[Path]:
    """Write the images of one participant with their sidecars.

    Parameters
    ----------
    folder : Path
        Root of the dataset.
    scan : EchoScan
        What to write.
    participant : str
        Label without ``sub-``.
    parts : mapping
        One of the values of `ECHO_PARTS`.

    Returns
    -------
    list of Path
        The images, below `folder`.
    """
    described = [
        (BidsName.build({"sub": participant, "echo": str(index + 1)}, "MEGRE"), _acquisition(scan.protocol, index))
        for index in range(len(scan.protocol.echo_times))
    ]
    return write_parts(folder, scan, parts, described)


def _acquisition(protocol: EchoProtocol, index: int) -> dict[str, object]:
    return {
        "Modality": "MR",
        "Manufacturer": "bids_t1",
        "ManufacturersModelName": "phantom",
        "MagneticFieldStrength": protocol.magnetic_field_strength,
        "PulseSequenceType": "Multi-echo spoiled gradient echo",
        "MRAcquisitionType": "3D",
        "ScanningSequence": "GR",
        "EchoTime": protocol.echo_times[index],
        "RepetitionTime": protocol.repetition_time,
        "FlipAngle": protocol.flip_angle,
    }
