"""From a request to a finished dataset: heads, scans and files, all or nothing."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.data.errors import CannotCreateOutputError, InputOutputError, UsageError
from bids_t1_phantom.head.anatomy import load_atlas
from bids_t1_phantom.head.head import HeadOptions, field_of, make_head, mapped_field_of, parts_of, sub_slices
from bids_t1_phantom.head.pose import Misalignment, Pose
from bids_t1_phantom.head.transmit import TransmitOptions
from bids_t1_phantom.sequences.mp2rage import refuse_echoes
from bids_t1_phantom.sequences.table import SEQUENCES
from bids_t1_phantom.sequences.transmit_field import UNITS, FieldOptions, acquire_field, measure_map
from bids_t1_phantom.writers.bids import (
    Readme,
    TruthOptions,
    noise_fields,
    write_images,
    write_move,
    write_root,
    write_truth,
    write_truth_root,
)
from bids_t1_phantom.writers.dicom import write_dicom
from bids_t1_phantom.writers.habits import DicomOptions
from bids_t1_phantom.writers.headers import Identity

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from bids_t1_phantom.head.anatomy import Atlas
    from bids_t1_phantom.head.head import Head
    from bids_t1_phantom.sequences.scan import Scan, Sequence
    from bids_t1_phantom.sequences.transmit_field import TransmitField


_DICOM_FIELDS = frozenset({("siemens", "tfl"), ("siemens", "afi")})
"""Measurements of the transmit field that are written as scanner files."""

_TRUTH = Path("derivatives", "truth")
_DICOM_FOLDERS = {"participants": "sub-{}/dicom", "sourcedata": "sourcedata/sub-{}", "flat": "."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that determines a dataset."""

    out_dir: Path
    sequences: tuple[Sequence, ...]
    """In the order in which they are scanned."""

    head: HeadOptions
    """As it lies in inversion recovery."""

    slab: HeadOptions | None = None
    """The same with the slices of inversion recovery, where they are not those of all images."""

    misalignment: Misalignment = dataclasses.field(default_factory=Misalignment)
    """How far the head may move before the other images."""

    field: FieldOptions = dataclasses.field(default_factory=FieldOptions)
    """How the transmit field is measured."""

    partial_volume: bool = False
    """Whether voxels of IRT1 and of MP2RAGE average what is at several places in them."""

    participants: int = 1
    seed: int = 0
    dicom: DicomOptions | None = None
    """How DICOM files are written; None for BIDS."""

    layout: str = "participants"
    """Where DICOM files lie: participants, sourcedata or flat."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if not 1 <= self.participants <= 99:  # noqa: PLR2004
            raise UsageError(f"{self.participants} participants; expected 1 to 99.")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed}; expected a whole number from 0.")
        if self.dicom is not None and self.layout == "flat" and self.participants > 1:
            raise UsageError(
                "a flat folder cannot tell participants apart; expected one participant or another layout."
            )

    @property
    def truth_dir(self) -> Path:
        """Where the truth goes: into a BIDS dataset, but beside a folder of scanner files."""
        if self.dicom is None or self.layout == "sourcedata":
            return self.out_dir / _TRUTH
        return self.out_dir.with_name(f"{self.out_dir.name}_truth")

    @classmethod
    def from_arguments(cls, arguments: Namespace) -> Request:
        """Turn the command line into a request; raise UsageError for what cannot be."""
        mean, sd = arguments.efficiency
        refuse_echoes(arguments)
        asked = [name for group in arguments.sequences for name in group] or [next(iter(SEQUENCES))]
        sequences = tuple(make(arguments) for name, make in SEQUENCES.items() if name in asked)
        head = HeadOptions(
            resolution=arguments.resolution,
            slices=arguments.slices,
            efficiency_mean=mean,
            efficiency_sd=sd,
            bound_pool=arguments.bias != "none",
            varied=arguments.bias == "mt-varied",
            transmit=TransmitOptions(*arguments.b1_range),
        )
        return cls(
            out_dir=arguments.out_dir.absolute(),
            sequences=sequences,
            head=head,
            slab=_slab(arguments, head),
            misalignment=Misalignment(degrees=arguments.misalignment[0], millimetres=arguments.misalignment[1]),
            field=_field(arguments, scanned=any(sequence.needs_field for sequence in sequences)),
            partial_volume=arguments.partial_volume,
            participants=arguments.participants,
            seed=arguments.seed,
            dicom=_dicom_options(
                arguments, only_inversion_recovery=all(sequence.space is None for sequence in sequences)
            ),
            layout=arguments.layout,
        )

    @property
    def inversion_recovery(self) -> bool:
        """Whether there are images in the space that has no name."""
        return any(sequence.space is None for sequence in self.sequences)

    @property
    def space(self) -> str | None:
        """Name of the space of all that is not inversion recovery; None where there is one space only."""
        apart = self.slab is not None or self.misalignment != Misalignment()
        return self.space_of_others if apart and self.inversion_recovery else None

    @property
    def space_of_others(self) -> str | None:
        """The same, wherever the head lies; None where nothing else is scanned."""
        return next((sequence.space for sequence in self.sequences if sequence.space is not None), None)

    def pose(self, participant: int) -> Pose:
        """Return how one participant's head lies in MP2RAGE, MP3RAGE and MEGRE."""
        return Pose.draw(self.misalignment, seed=self.seed, participant=participant)

    def readme(self, truth: str) -> Readme:
        """Return what a README says, with the place of the truth in the reader's words."""
        files = (sequence.protocol_file for sequence in self.sequences)
        return Readme(
            truth=truth,
            sequences=tuple(sequence.name for sequence in self.sequences),
            only_inversion_recovery=self.space_of_others is None,
            protocols=tuple(file[0] for file in files if file is not None),
            has_echoes=any(sequence.decays for sequence in self.sequences),
            has_pools=self.head.bound_pool,
            space=self.space,
        )

    def truth_options(self) -> TruthOptions:
        """Return which maps the truth holds."""
        noise: dict[str, object] = {}
        for sequence in self.sequences:
            prefix = sequence.name if len(self.sequences) > 1 and sequence.space is not None else ""
            noise |= noise_fields(sequence.noise_sd, sequence.snr, prefix=prefix)
        return TruthOptions(
            noise=noise,
            inversion_recovery=self.inversion_recovery,
            transmit_field=self.space_of_others is not None or self.field.kind != "none",
            decay=any(sequence.decays for sequence in self.sequences),
            sequences=self.sequences,
        )


def _slab(arguments: Namespace, head: HeadOptions) -> HeadOptions | None:
    if arguments.ir_slices is None and arguments.ir_slice_thickness is None:
        return None
    slices = arguments.ir_slices if arguments.ir_slices is not None else head.slices
    return dataclasses.replace(head, slices=slices, slice_thickness=arguments.ir_slice_thickness)


def _field(arguments: Namespace, *, scanned: bool) -> FieldOptions:
    """Choose the B1+ map: unless told otherwise there is one where a field that matters is not flat."""
    low, high = arguments.b1_range
    usual = "ratio" if scanned and low != high and arguments.format == "bids" else "none"
    kind = usual if arguments.b1_map is None else str(arguments.b1_map)
    if arguments.format == "dicom" and not (kind == "none" or (arguments.vendor, kind) in _DICOM_FIELDS):
        raise UsageError(
            f"B1+ ({kind}) among DICOM files of {arguments.vendor}; expected --format bids, --b1-map none, or tfl or "
            "afi of siemens. The true field is in the folder of the truth."
        )
    return FieldOptions(
        kind=kind, resolution=arguments.b1_resolution, shift=arguments.b1_shift, noise=arguments.b1_noise
    )


def _dicom_options(arguments: Namespace, *, only_inversion_recovery: bool) -> DicomOptions | None:
    if arguments.format != "dicom":
        return None
    if arguments.enhanced and not only_inversion_recovery:
        raise UsageError("enhanced files of MP2RAGE, MEGRE or VFA; expected IRT1 alone, or no --enhanced.")
    return DicomOptions(
        vendor=arguments.vendor,
        enhanced=arguments.enhanced,
        one_series=arguments.one_series,
        part=arguments.part,
        echo_part=arguments.megre_part,
        flip_part=arguments.vfa_part,
        echo_series=arguments.echo_series,
        nested=arguments.layout != "flat",
    )


def make_dataset(request: Request) -> None:
    """Write the dataset and its truth; if anything fails, nothing is left.

    Raises
    ------
    CannotCreateOutputError
        If a folder to write holds files, or cannot be made.
    InputOutputError
        If writing fails.
    """
    inside = request.out_dir in request.truth_dir.parents
    targets = [request.out_dir] if inside else [request.out_dir, request.truth_dir]
    for target in targets:
        _refuse_if_used(target)
    parent = request.out_dir.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{request.out_dir.name}-", dir=parent))
    except OSError as error:
        raise CannotCreateOutputError(f"{parent}: cannot be written ({error}); choose another folder.") from error
    try:
        data = work / "data"
        truth = data / _TRUTH if inside else work / "truth"
        _write(request, data, truth)
        for made, target in zip((data, truth), targets, strict=False):
            made.replace(target)
    except OSError as error:
        raise InputOutputError(f"{work}: writing failed ({error}); check the space left on the disk.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write(request: Request, data: Path, truth: Path) -> None:
    if request.dicom is None or request.layout == "sourcedata":
        write_root(data, request.readme(f"in {_TRUTH}"))
    write_truth_root(truth, request.readme("this dataset"), raw="../.." if request.dicom is None else None)
    for sequence in request.sequences:
        if sequence.protocol_file is not None:
            name, text = sequence.protocol_file
            (truth / name).write_text(text, encoding="utf-8")
    atlas = load_atlas()
    for participant in range(1, request.participants + 1):
        heads = _heads(atlas, request, participant)
        label = f"{participant:02d}"
        sources: list[str] = []
        if request.dicom is None:
            sources = _write_bids(request, data, heads, participant)
        else:
            folder = data / _DICOM_FOLDERS[request.layout].format(label)
            _write_dicom(request, request.dicom, folder, heads, participant)
        options = request.truth_options()
        write_truth(truth, heads.unnamed, options, participant=label, sources=sources)
        if request.space is not None:
            options = dataclasses.replace(options, space=request.space)
            write_truth(truth, heads.others, options, participant=label, sources=sources)
            write_move(truth, request.pose(participant), request.space, participant=label)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heads:
    """The head of one participant, as it lies in each sequence."""

    unnamed: Head
    """In inversion recovery; where it is not scanned, in all images."""

    others: Head
    """In all other images."""

    layers: tuple[Head, ...] = ()
    """What thick slices of inversion recovery average."""

    parts: tuple[Head, ...] = ()
    """What voxels of MP2RAGE average."""


def _heads(atlas: Atlas, request: Request, participant: int) -> _Heads:
    make = partial(make_head, atlas, seed=request.seed, participant=participant)
    moved = dataclasses.replace(request.head, pose=_pose_of_others(request, participant))
    if not request.inversion_recovery:
        others = make(moved)
        return _Heads(unnamed=others, others=others, parts=_parts(request, make, moved, others))
    options = request.slab or request.head
    unnamed = make(options)
    others = make(moved) if request.space is not None else unnamed
    slices = sub_slices(unnamed.grid)
    layers = tuple(make(options, grid=layer) for layer in slices) if len(slices) > 1 else ()
    parts = _parts(request, make, moved, others)
    if not layers:
        layers = parts if others is unnamed else _parts(request, make, options, unnamed)
    return _Heads(unnamed=unnamed, others=others, layers=layers, parts=parts)


def _parts(request: Request, make: Callable[..., Head], options: HeadOptions, head: Head) -> tuple[Head, ...]:
    """Return what the voxels of a head average; nothing where each is what is in its middle."""
    grids = parts_of(head.grid) if request.partial_volume else ()
    return tuple(make(options, grid=grid) for grid in grids)


def _pose_of_others(request: Request, participant: int) -> Pose:
    """Return how the head lies in all images but inversion recovery, which a lone B1+ map goes with."""
    return request.pose(participant) if request.space_of_others is not None else Pose()


def _write_bids(request: Request, data: Path, heads: _Heads, participant: int) -> list[str]:
    """Write the images of one participant; return their URIs."""
    images = [image for scan in _scans(request, heads, participant) for image in scan.kept()]
    if request.field.kind in UNITS:
        images.append(measure_map(heads.others, request.field, _mapped_field_of(request, participant)))
    paths = write_images(data, images, participant=f"{participant:02d}")
    return [f"bids:raw:{path.as_posix()}" for path in paths]


def _write_dicom(request: Request, options: DicomOptions, folder: Path, heads: _Heads, participant: int) -> None:
    """Write the scanner files of one participant."""
    scans = _scans(request, heads, participant)
    write_dicom(folder, scans, options, Identity(participant=f"{participant:02d}", seed=request.seed))


def _scans(request: Request, heads: _Heads, participant: int) -> list[Scan]:
    """Scan one head with every sequence."""
    scans: list[Scan] = [
        sequence.scan(
            heads.unnamed if sequence.space is None else heads.others,
            seed=request.seed,
            participant=participant,
            layers=heads.layers if sequence.space is None else heads.parts,
        )
        for sequence in request.sequences
    ]
    if request.field.protocol is not None:
        field = _field_of(request, participant)
        scans.append(acquire_field(heads.others, request.field, field, seed=request.seed, participant=participant))
    return scans


def _field_of(request: Request, participant: int) -> TransmitField:
    """Return the true field as a function of the place."""
    pose = _pose_of_others(request, participant)

    def field(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return field_of(pose.at_rest(points), request.head.transmit, seed=request.seed, participant=participant)

    return field


def _mapped_field_of(request: Request, participant: int) -> TransmitField:
    """Return the field that a map says as a function of the place."""
    pose = _pose_of_others(request, participant)

    def field(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return mapped_field_of(pose.at_rest(points), request.head, seed=request.seed, participant=participant)

    return field


def _refuse_if_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotCreateOutputError(
            f"{folder}: is not empty; expected a folder that does not exist, or an empty one. "
            "Choose another, or remove it."
        )
