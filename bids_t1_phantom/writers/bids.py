"""The phantom as a BIDS dataset, and its truth as a BIDS derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel
import numpy as np

from bids_t1.data.entities import BidsName
from bids_t1.storage import as_json
from bids_t1_phantom.head.anatomy import Tissue
from bids_t1_phantom.head.pose import CENTRE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Grid, Head
    from bids_t1_phantom.head.pose import Pose
    from bids_t1_phantom.sequences.scan import Image, Sequence

BIDS_VERSION = "1.10.0"

_README = """\
# A digital head with known T1

Made by bids_t1_phantom; no person was scanned. Inversion-recovery spin-echo images (IRT1) of a head whose
tissue maps derive from the ICBM 2009a nonlinear symmetric template (Fonov et al. 2011,
doi 10.1016/j.neuroimage.2010.07.033). The signal is a pulse-by-pulse simulation of the magnetisation in its
steady state; noise is complex, Gaussian and white, with an SD per channel of the M0 of white matter divided
by the SNR. Every voxel holds one tissue and has one T1. The truth is {truth}.
"""

_REFERENCE = "The head as it lies in {space}, on the grid of its images"

_README_READOUTS = """\
# A digital head with known T1

Made by bids_t1_phantom; no person was scanned. {sequences} images of a head whose tissue maps derive from the
ICBM 2009a nonlinear symmetric template (Fonov et al. 2011, doi 10.1016/j.neuroimage.2010.07.033). The signal is a
pulse-by-pulse simulation of the magnetisation in its steady state. Every voxel holds one tissue and has one T1 and one
transmit field B1+, which acts on the excitations of gradient-echo trains, not on spin echoes (IRT1). Noise is complex,
Gaussian and white; its SD stands in the sidecar of the true M0. The truth is {truth}.{protocols}
"""

_README_PROTOCOLS = """\
 Beside it, in {protocols}, is
what images and headers do not tell of the protocol, with the inversion efficiency of the trains."""

_README_ECHOES = """
Multi-echo images decay with T2*, one in each voxel, from an amplitude that holds the T1 weighting of the steady state
of the excitations: for MEGRE it is the map desc-truthMEGRE_M0map. Their phase grows with a smooth off-resonance.
"""

_README_POOLS = """
Tissues have a second pool of protons, bound to macromolecules, which IRT1, MP2RAGE and MP3RAGE feel and other images
do not: the true T1 is that of the slow component, 1 over the smaller rate with which both pools recover when nothing is
played. The fast component has about 50 ms. M0 is that of free water, and the inversion efficiency what the pulse does
to free water; desc-truthboundfraction is bound over all protons, under a suffix that comes close as BIDS has none.
"""

_README_SPACES = """
IRT1 and the other images have grids of their own, and the head may lie differently in them; with it move transmit
field, receive profile and phase. Maps of the truth whose names have no space are on the grid of IRT1, with the head as
it lies there; space-{space} is that of all other images. Where slices of IRT1 are thick, their images average what is
within the slice and the maps say what is in its middle. The file from-{space}_to-IRT1_mode-image_xfm.txt, for ITK,
takes points of IRT1 to where the same part of the head lies in {space}, which resamples images of {space} to the grid
of IRT1.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readme:
    """What the README says."""

    truth: str
    """Where a reader finds the truth."""

    sequences: tuple[str, ...]
    only_inversion_recovery: bool
    protocols: tuple[str, ...] = ()
    """Names of the protocol files in the folder of the truth; none where there is no MP2RAGE."""

    has_echoes: bool = False
    """Whether there are images that decay with T2*."""

    has_pools: bool = False
    """Whether tissues have a bound pool."""

    space: str | None = None
    """Name of what is not the space of inversion recovery; None where all images share one."""

    def text(self) -> str:
        """Return the README."""
        pools = _README_POOLS if self.has_pools else ""
        if self.only_inversion_recovery:
            return _README.format(truth=self.truth) + pools
        files = " and ".join(self.protocols)
        protocols = _README_PROTOCOLS.format(protocols=files) if files else ""
        text = _README_READOUTS.format(sequences=" and ".join(self.sequences), truth=self.truth, protocols=protocols)
        spaces = _README_SPACES.format(space=self.space) if self.space else ""
        return text + (_README_ECHOES if self.has_echoes else "") + pools + spaces


def write_root(folder: Path, readme: Readme) -> None:
    """Write what a raw BIDS dataset has at its root.

    Parameters
    ----------
    folder : Path
        The dataset; it is made if it does not exist.
    readme : Readme
        What its README says.
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
    (folder / "README.md").write_text(readme.text(), encoding="utf-8")


def write_images(folder: Path, images: Iterable[Image], *, participant: str) -> list[Path]:
    """Write the images of one participant with their sidecars.

    Parameters
    ----------
    folder : Path
        Root of the dataset.
    images : iterable of Image
        What to write.
    participant : str
        Label without ``sub-``.

    Returns
    -------
    list of Path
        The images, below `folder`.
    """
    written = []
    for image in images:
        name = BidsName.build({"sub": participant, **image.shot.entities}, image.suffix)
        target = folder / name.folder(image.datatype)
        written.append(write_image(target, name, image.values, image.grid, image.shot.metadata))
    return [path.relative_to(folder) for path in written]


def write_truth_root(folder: Path, readme: Readme, *, raw: str | None) -> None:
    """Write what the truth, a BIDS derivative, has at its root.

    Parameters
    ----------
    folder : Path
        The derivative; it is made if it does not exist.
    readme : Readme
        What its README says.
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
    (folder / "README.md").write_text(readme.text(), encoding="utf-8")
    ignored = [*readme.protocols, *(["*_xfm.*"] if readme.space else [])]
    if ignored:
        (folder / ".bidsignore").write_text("".join(f"{name}\n" for name in ignored), encoding="utf-8")
    rows = [f"{kind.value}\t{kind.name.lower().replace('_', ' ')}\t{kind.abbreviation}" for kind in Tissue]
    (folder / "dseg.tsv").write_text("\n".join(["index\tname\tabbreviation", *rows, ""]), encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthOptions:
    """Which maps belong to the truth, and what M0 says of the noise."""

    noise: Mapping[str, object]
    """Fields of the sidecar of M0."""

    inversion_recovery: bool = True
    """Whether there are inversion-recovery images, whose efficiency is a map."""

    transmit_field: bool = False
    """Whether there are images that depend on B1+."""

    decay: bool = False
    """Whether there are images that decay with T2*."""

    sequences: tuple[Sequence, ...] = ()
    """Of which some may have an amplitude that is not M0."""

    space: str | None = None
    """Where the head lies as in other images than inversion recovery; None for the space without a name."""


def noise_fields(noise_sd: float, snr: float, *, prefix: str = "") -> dict[str, object]:
    """Return what the sidecar of M0 says of the noise of one sequence."""
    return {
        f"{prefix}NoiseStandardDeviation": noise_sd,
        f"{prefix}SignalToNoiseRatio": snr if np.isfinite(snr) else "infinite",
    }


def write_truth(folder: Path, head: Head, options: TruthOptions, *, participant: str, sources: list[str]) -> None:
    """Write the maps that the phantom was made from: what a perfect measurement finds."""
    for label, suffix, datatype, values, metadata in _truth_maps(head, options):
        name = BidsName.build({"sub": participant, "space": options.space, "desc": label}, suffix)
        sidecar = {**metadata, "SkullStripped": False, **({"Sources": sources} if sources else {})}
        if options.space is not None:
            sidecar["SpatialReference"] = _REFERENCE.format(space=options.space)
        write_image(folder / name.folder(datatype), name, values, head.grid, sidecar)


def write_move(folder: Path, pose: Pose, space: str, *, participant: str) -> None:
    """Write how the head moved between inversion recovery and another space: a transform for ITK, and numbers."""
    target = folder / f"sub-{participant}" / "anat"
    target.mkdir(parents=True, exist_ok=True)
    stem = f"sub-{participant}_from-{space}_to-IRT1_mode-image_xfm"
    (target / f"{stem}.txt").write_text(pose.itk_text(), encoding="utf-8")
    _write_json(
        target / f"{stem}.json",
        {
            "Description": f"Takes points of IRT1 to where they lie in {space} (ITK, left-posterior-superior). Here: "
            "axis and shift right-anterior-superior, angle in degrees, shift of the centre of rotation in mm",
            "RotationVector": pose.rotation,
            "RotationAngle": pose.angle,
            "RotationCentre": CENTRE,
            "Shift": pose.shift,
        },
    )


_TruthMap = tuple[str, str, str, "NDArray[np.generic]", dict[str, object]]


def _truth_maps(head: Head, options: TruthOptions) -> list[_TruthMap]:
    """Return label, suffix, folder, values and sidecar of each map."""
    maps: list[_TruthMap] = [
        ("truth", "T1map", "anat", head.t1.astype(np.float32), {"Units": "s", "Description": "True T1; NaN in air"}),
        ("truth", "M0map", "anat", head.m0.astype(np.float32), {
            "Units": "arbitrary",
            "Description": "True signal at full magnetisation, receive profile included; 0 in air",
            **options.noise,
        }),
        ("tissue", "dseg", "anat", head.tissue, {"Description": "Tissue of each voxel; labels in dseg.tsv"}),
        ("brain", "mask", "anat", head.brain.astype(np.uint8), {
            "Type": "Brain", "Description": "Brain with its fluid",
        }),
    ]  # fmt: skip
    if options.inversion_recovery:
        maps.append(("truthefficiency", "T1map", "anat", head.inversion_efficiency.astype(np.float32), {
            "Units": "arbitrary",
            "Description": "True inversion efficiency, 1 - cos(inversion angle), no unit; NaN in air",
        }))  # fmt: skip
    if options.transmit_field:
        maps.append(("truth", "TB1map", "fmap", head.transmit_field.astype(np.float32), {
            "Units": "arbitrary", "Description": "True transmit field B1+, achieved over nominal flip angle",
        }))  # fmt: skip
    if head.pools is not None:
        maps.append(("truthboundfraction", "MTVmap", "anat", head.pools.bound_fraction.astype(np.float32), {
            "Units": "arbitrary",
            "Description": "True share of the bound pool: bound over all protons, no unit; NaN in air",
        }))  # fmt: skip
    if head.lesion is not None:
        maps.append(("truthlesion", "mask", "anat", head.lesion.astype(np.uint8), {
            "Type": "Lesion", "Description": "White matter whose T1 is longer by a fifth",
        }))  # fmt: skip
    return maps + _truth_of_echoes(head, options)


def _truth_of_echoes(head: Head, options: TruthOptions) -> list[_TruthMap]:
    maps: list[_TruthMap] = []
    if options.decay:
        maps.append(("truth", "T2starmap", "anat", head.t2_star.astype(np.float32), {
            "Units": "s", "Description": "True T2*; NaN in air",
        }))  # fmt: skip
    for sequence in options.sequences:
        amplitude = sequence.amplitude_of(head)
        if amplitude is not None:
            maps.append((f"truth{sequence.name}", "M0map", "anat", amplitude.astype(np.float32), {
                "Units": "arbitrary",
                "Description": f"True signal of {sequence.name} at echo time 0, with the T1 weighting of its steady "
                "state; 0 in air",
            }))  # fmt: skip
    return maps


def write_image(
    folder: Path, name: BidsName, values: NDArray[np.generic], grid: Grid, sidecar: Mapping[str, object]
) -> Path:
    """Write an image and its sidecar; return the image."""
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
