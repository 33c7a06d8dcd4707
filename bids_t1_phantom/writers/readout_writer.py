"""MP2RAGE and MP3RAGE as BIDS: readouts and UNIT1 in the forms that laboratories have, and the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.data.entities import BidsName
from bids_t1_phantom.writers.bids import write_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bids_t1_phantom.sequences.mp2rage import ReadoutScan, ReadoutSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutForm:
    """Which images of a run are kept."""

    parts: Mapping[str | None, str] = field(default_factory=dict)
    """The BIDS ``part`` label of each image of a readout, and the view of the scan that it holds."""

    last_only: bool = False
    """Only the second readout: the last of the two that UNIT1 is made of."""

    uni: bool = False
    denoised: bool = False


_POLAR: Mapping[str | None, str] = MappingProxyType({"mag": "mag", "phase": "phase"})
_COMPLEX: Mapping[str | None, str] = MappingProxyType({"real": "real", "imag": "imag"})
_MAGNITUDE: Mapping[str | None, str] = MappingProxyType({None: "mag"})

FORMS = MappingProxyType(
    {
        "polar": ReadoutForm(parts=_POLAR),
        "complex": ReadoutForm(parts=_COMPLEX),
        "uni": ReadoutForm(uni=True),
        "uni-mag": ReadoutForm(parts=_MAGNITUDE, uni=True),
        "uni-last": ReadoutForm(parts=_MAGNITUDE, last_only=True, uni=True),
        "mag": ReadoutForm(parts=_MAGNITUDE),
        "all": ReadoutForm(parts=_POLAR, uni=True, denoised=True),
    }
)
"""Choices of ``--mp2rage-form``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutOptions:
    """How the images of one sequence are written."""

    form: str = "polar"
    """Key of `FORMS`."""

    uni_scale: str = "4095"
    """How UNIT1 is stored: 4095, unit or signed."""


def store_uni(uni: NDArray[np.float64], scale: str) -> NDArray[np.generic]:
    """Store UNI: ``4095`` as Siemens does, 0..4095; ``unit`` as it is; ``signed`` as -2048..2047."""
    if scale == "unit":
        return uni.astype(np.float32)
    if scale == "signed":
        return np.clip(np.rint(4095 * uni), -2048, 2047).astype(np.int16)
    return np.rint(4095 * (uni + 0.5)).astype(np.uint16)


def write_readouts(folder: Path, scan: ReadoutScan, options: ReadoutOptions, *, participant: str) -> list[Path]:
    """Write the images of one participant with their sidecars.

    Parameters
    ----------
    folder : Path
        Root of the dataset.
    scan : ReadoutScan
        What to write.
    options : ReadoutOptions
        Which images, and how.
    participant : str
        Label without ``sub-``.

    Returns
    -------
    list of Path
        The images, below `folder`.
    """
    form = FORMS[options.form]
    base = BidsName.build({"sub": participant, "acq": scan.sequence.label}, "MP2RAGE")
    target = folder / base.folder("anat")
    written = []
    for label, view in form.parts.items():
        for index, echo, image in _images(scan, view):
            if form.last_only and index != 1:
                continue
            name = base.having({"inv": str(index + 1), "echo": None if echo is None else str(echo + 1), "part": label})
            sidecar = readout_metadata(scan.sequence, index, echo or 0)
            if label == "phase":
                sidecar["Units"] = "rad"
            written.append(write_image(target, name, image, scan.grid, sidecar))
    if form.uni:
        stored = store_uni(scan.uni(), options.uni_scale)
        name = base.having({}, suffix="UNIT1")
        written.append(write_image(target, name, stored, scan.grid, _uni_metadata(scan.sequence, "UNI_Images")))
    if form.denoised:
        stored = store_uni(scan.denoised_uni(), options.uni_scale)
        name = base.having({"rec": "denoised"}, suffix="UNIT1")
        written.append(write_image(target, name, stored, scan.grid, _uni_metadata(scan.sequence, "UNI-DEN")))
    return [path.relative_to(folder) for path in written]


def _images(scan: ReadoutScan, view: str) -> Iterator[tuple[int, int | None, NDArray[np.float32]]]:
    """Yield readout, echo and values of each image; the echo is None where the readout has only one."""
    for index, image in enumerate(scan.part(view)):
        has_echoes = scan.later_echoes is not None and index == 1
        yield index, 0 if has_echoes else None, image
    if scan.later_echoes is not None:
        for echo, image in enumerate(scan.later_echoes.part(view), start=1):
            yield 1, echo, image


def readout_metadata(sequence: ReadoutSequence, index: int, echo: int = 0) -> dict[str, object]:
    """Return the sidecar of one readout and echo, both from 0: everything that BIDS requires of MP2RAGE."""
    protocol = sequence.protocol
    return {
        **_scanner(sequence),
        "PulseSequenceType": f"{sequence.name}, spoiled gradient echo",
        "InversionTime": protocol.inversion_times[index],
        "FlipAngle": protocol.flip_angles[index],
        "RepetitionTimeExcitation": protocol.spacings[index],
        "RepetitionTimePreparation": protocol.cycle_time,
        "NumberShots": [protocol.n_before, protocol.n_after],
        "EchoTime": protocol.echo_times[echo],
    }


def _uni_metadata(sequence: ReadoutSequence, kind: str) -> dict[str, object]:
    """Return what converters leave of UNIT1: no inversion time, no excitation time, no number of shots."""
    return {
        **_scanner(sequence),
        "SeriesDescription": f"{sequence.protocol_name}_{kind}",
        # The same for both kinds on real scanners: only the name of the series tells UNI-DEN from UNI.
        "ImageType": ["DERIVED", "PRIMARY", "M", "ND", "UNI"],
        "RepetitionTimePreparation": sequence.protocol.cycle_time,
    }


def _scanner(sequence: ReadoutSequence) -> dict[str, object]:
    return {
        "Modality": "MR",
        "Manufacturer": "Siemens",
        "ManufacturersModelName": "phantom",
        "MagneticFieldStrength": sequence.protocol.magnetic_field_strength,
        "MRAcquisitionType": "3D",
        "ScanningSequence": ["GR", "IR"],
    }


def protocol_name(sequence: ReadoutSequence) -> str:
    """Return the name of the file with the protocol of a sequence."""
    return "protocol.toml" if sequence.label is None else f"protocol_acq-{sequence.label}.toml"


def write_protocol(folder: Path, sequence: ReadoutSequence) -> None:
    """Write the protocol as a user would write it: what UNIT1 alone, or a scanner's file, does not say.

    The table is named MP2RAGE for any number of readouts.
    """
    protocol = sequence.protocol
    rows = {
        "MagneticFieldStrength": protocol.magnetic_field_strength,
        "RepetitionTimePreparation": protocol.cycle_time,
        "RepetitionTimeExcitation": _one_or_all(protocol.spacings),
        "NumberShots": [protocol.n_before, protocol.n_after],
        "InversionTime": list(protocol.inversion_times),
        "FlipAngle": list(protocol.flip_angles),
        "InversionEfficiency": sequence.inversion_efficiency,
    }
    lines = [
        f"# {sequence.name} as it was simulated: times in seconds, angles in degrees.",
        "[MP2RAGE]",
        *(f"{key} = {value}" for key, value in rows.items()),
    ]
    (folder / protocol_name(sequence)).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _one_or_all(values: tuple[float, ...]) -> float | list[float]:
    return values[0] if len(set(values)) == 1 else list(values)
