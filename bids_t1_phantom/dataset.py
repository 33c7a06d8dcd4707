"""From a request to a finished dataset: heads, scans and files, all or nothing."""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.data.errors import CannotCreateOutputError, InputOutputError, UsageError
from bids_t1_phantom.head.anatomy import load_atlas
from bids_t1_phantom.head.head import HeadOptions, field_of, make_head, sub_slices
from bids_t1_phantom.head.pose import Misalignment, Pose
from bids_t1_phantom.head.transmit import TransmitOptions
from bids_t1_phantom.physics.protocols import DEFAULT_INVERSION_TIMES, INVERSION_LEAVES, Protocol
from bids_t1_phantom.physics.selective_inversion_recovery import TRAIN
from bids_t1_phantom.sequences.inversion_recovery import InversionRecoveryScan, acquire
from bids_t1_phantom.sequences.mp2rage import (
    ReadoutOptions,
    ReadoutScan,
    acquire_readouts,
    default_sequence,
    protocol_name,
    protocol_text,
)
from bids_t1_phantom.sequences.multi_echo_gre import DEFAULT_ECHO_TIMES, EchoProtocol, EchoScan, acquire_echoes
from bids_t1_phantom.sequences.transmit_field import UNITS, FieldOptions, FieldScan, acquire_field, measure_map
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
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from bids_t1_phantom.head.anatomy import Atlas
    from bids_t1_phantom.head.head import Head
    from bids_t1_phantom.sequences.mp2rage import ReadoutSequence
    from bids_t1_phantom.sequences.scan import Image
    from bids_t1_phantom.sequences.transmit_field import TransmitField

    AnyScan = InversionRecoveryScan | ReadoutScan | EchoScan | FieldScan

_DICOM_FIELDS = frozenset({("siemens", "tfl"), ("siemens", "afi")})
"""Measurements of the transmit field that are written as scanner files."""

_TRUTH = Path("derivatives", "truth")
_DICOM_FOLDERS = {"participants": "sub-{}/dicom", "sourcedata": "sourcedata/sub-{}", "flat": "."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that determines a dataset."""

    out_dir: Path
    protocol: Protocol | None
    """Of inversion recovery; None where it is not scanned."""

    head: HeadOptions
    """As it lies in inversion recovery."""

    slab: HeadOptions | None = None
    """The same with the slices of inversion recovery, where they are not those of all images."""

    misalignment: Misalignment = dataclasses.field(default_factory=Misalignment)
    """How far the head may move before the other images."""

    readouts: tuple[ReadoutSequence, ...] = ()
    """MP2RAGE and MP3RAGE, where they are scanned."""

    readout_options: ReadoutOptions = dataclasses.field(default_factory=ReadoutOptions)
    echoes: EchoProtocol | None = None
    """Of the multi-echo gradient echo; None where it is not scanned."""

    echo_part: str = "mag"
    """Key of `scan.PARTS`."""

    field: FieldOptions = dataclasses.field(default_factory=FieldOptions)
    """How the transmit field is measured."""

    participants: int = 1
    seed: int = 0
    part: str = "mag"
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
        sequences = [name for group in arguments.sequences for name in group]
        readouts = _readouts(arguments, sequences)
        head = HeadOptions(
            resolution=arguments.resolution,
            slices=arguments.slices,
            efficiency_mean=mean,
            efficiency_sd=sd,
            bound_pool=arguments.bias == "mt",
            transmit=TransmitOptions(*arguments.b1_range),
        )
        return cls(
            out_dir=arguments.out_dir.absolute(),
            protocol=_inversion_recovery(arguments) if "IRT1" in sequences else None,
            head=head,
            slab=_slab(arguments, head),
            misalignment=Misalignment(degrees=arguments.misalignment[0], millimetres=arguments.misalignment[1]),
            readouts=readouts,
            echoes=EchoProtocol.build(tuple(arguments.echo_times or DEFAULT_ECHO_TIMES), arguments.megre_snr)
            if "MEGRE" in sequences
            else None,
            echo_part=arguments.megre_part,
            readout_options=ReadoutOptions(form=arguments.mp2rage_form, uni_scale=arguments.uni_scale),
            field=_field(arguments, scanned=bool(readouts)),
            participants=arguments.participants,
            seed=arguments.seed,
            part=arguments.part,
            dicom=_dicom_options(arguments, only_inversion_recovery=sequences == ["IRT1"]),
            layout=arguments.layout,
        )

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of what is scanned."""
        return (
            *(("IRT1",) if self.protocol is not None else ()),
            *(sequence.name for sequence in self.readouts),
            *(("MEGRE",) if self.echoes is not None else ()),
        )

    @property
    def space(self) -> str | None:
        """Name of the space of all that is not inversion recovery; None where there is one space only."""
        others = "MP2RAGE" if self.readouts else "MEGRE" if self.echoes is not None else None
        apart = self.slab is not None or self.misalignment != Misalignment()
        return others if apart and self.protocol is not None else None

    def pose(self, participant: int) -> Pose:
        """Return how one participant's head lies in MP2RAGE, MP3RAGE and MEGRE."""
        return Pose.draw(self.misalignment, seed=self.seed, participant=participant)

    @property
    def decays(self) -> bool:
        """Whether something that is scanned depends on T2*."""
        return self.echoes is not None or any(sequence.protocol.later_echo_times for sequence in self.readouts)

    def readme(self, truth: str) -> Readme:
        """Return what a README says, with the place of the truth in the reader's words."""
        return Readme(
            truth=truth,
            sequences=self.sequences,
            protocols=tuple(protocol_name(sequence) for sequence in self.readouts),
            has_echoes=self.decays,
            has_pools=self.head.bound_pool,
            space=self.space,
        )

    def truth_options(self) -> TruthOptions:
        """Return which maps the truth holds."""
        noise: dict[str, object] = {}
        if self.protocol is not None:
            noise |= noise_fields(self.protocol.noise_sd, self.protocol.snr)
        for sequence in self.readouts:
            snr = 1 / sequence.noise if sequence.noise else math.inf
            noise |= noise_fields(sequence.noise_sd, snr, prefix=sequence.name if len(self.sequences) > 1 else "")
        if self.echoes is not None:
            prefix = "MEGRE" if len(self.sequences) > 1 else ""
            noise |= noise_fields(self.echoes.noise_sd, self.echoes.snr, prefix=prefix)
        return TruthOptions(
            noise=noise,
            inversion_recovery=self.protocol is not None,
            transmit_field=bool(self.readouts) or self.echoes is not None or self.field.kind != "none",
            decay=self.decays,
            echoes=self.echoes,
        )


def _slab(arguments: Namespace, head: HeadOptions) -> HeadOptions | None:
    if arguments.ir_slices is None and arguments.ir_slice_thickness is None:
        return None
    slices = arguments.ir_slices if arguments.ir_slices is not None else head.slices
    return dataclasses.replace(head, slices=slices, slice_thickness=arguments.ir_slice_thickness)


def _inversion_recovery(arguments: Namespace) -> Protocol:
    return Protocol.build(
        tuple(arguments.inversion_times or DEFAULT_INVERSION_TIMES),
        repetition_times=_repetition_times(arguments),
        recovery_times=tuple(arguments.recovery_times),
        echo_time=arguments.echo_time,
        snr=arguments.snr,
        inversion_leaves=_inversions_leave(arguments)[0],
    )


def _repetition_times(arguments: Namespace) -> tuple[float, ...]:
    """Return the times between inversions, which follow from recovery times where these are given."""
    times, delays = arguments.inversion_times or DEFAULT_INVERSION_TIMES, arguments.recovery_times
    if len(times) != len(delays):
        return tuple(arguments.repetition_times)
    return tuple(time + TRAIN + delay for time, delay in zip(times, delays, strict=True))


def _inversions_leave(arguments: Namespace) -> tuple[float, float]:
    """Return the share of bound protons' magnetisation that the inversions of IRT1 and of the trains leave."""
    first, *others = shares = arguments.inversion_leaves or [INVERSION_LEAVES]
    if len(others) > 1 or not all(0 <= share <= 1 for share in shares):
        raise UsageError(
            f"--inversion-leaves is {' '.join(f'{share:g}' for share in shares)}; expected one share, or that of IRT1 "
            "and that of MP2RAGE and MP3RAGE, from 0 to 1."
        )
    return first, others[0] if others else first


def _readouts(arguments: Namespace, sequences: list[str]) -> tuple[ReadoutSequence, ...]:
    names = [name for name in ("MP2RAGE", "MP3RAGE") if name in sequences]
    if arguments.mp2rage_echoes and (arguments.format == "dicom" or "MP2RAGE" not in names):
        raise UsageError("--mp2rage-echoes; expected --format bids with MP2RAGE among the sequences.")
    return tuple(
        default_sequence(
            name,
            inversion_efficiency=arguments.mp2rage_efficiency,
            noise=arguments.mp2rage_noise,
            slice_partial_fourier=arguments.slice_partial_fourier,
            echo_times=tuple(arguments.mp2rage_echoes or ()),
            label=name.lower() if len(names) > 1 else None,
            inversion_leaves=_inversions_leave(arguments)[1],
        )
        for name in names
    )


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
        raise UsageError("enhanced files of MP2RAGE or MEGRE; expected IRT1 alone, or no --enhanced.")
    return DicomOptions(
        vendor=arguments.vendor,
        enhanced=arguments.enhanced,
        one_series=arguments.one_series,
        part=arguments.part,
        echo_part=arguments.megre_part,
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
    for sequence in request.readouts:
        (truth / protocol_name(sequence)).write_text(protocol_text(sequence), encoding="utf-8")
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


def _heads(atlas: Atlas, request: Request, participant: int) -> _Heads:
    make = partial(make_head, atlas, seed=request.seed, participant=participant)
    moved = dataclasses.replace(request.head, pose=_pose_of_others(request, participant))
    if request.protocol is None:
        others = make(moved)
        return _Heads(unnamed=others, others=others)
    options = request.slab or request.head
    unnamed = make(options)
    layers = sub_slices(unnamed.grid)
    return _Heads(
        unnamed=unnamed,
        others=make(moved) if request.space is not None else unnamed,
        layers=tuple(make(options, grid=layer) for layer in layers) if len(layers) > 1 else (),
    )


def _pose_of_others(request: Request, participant: int) -> Pose:
    """Return how the head lies in all images but inversion recovery, which a lone B1+ map goes with."""
    return request.pose(participant) if request.readouts or request.echoes is not None else Pose()


def _write_bids(request: Request, data: Path, heads: _Heads, participant: int) -> list[str]:
    """Write the images of one participant; return their URIs."""
    images = [image for scan in _scans(request, heads, participant) for image in _kept(request, scan)]
    if request.field.kind in UNITS:
        images.append(measure_map(heads.others, request.field, _field_of(request, participant)))
    paths = write_images(data, images, participant=f"{participant:02d}")
    return [f"bids:raw:{path.as_posix()}" for path in paths]


def _kept(request: Request, scan: AnyScan) -> Iterator[Image]:
    """Return the files of a scan, of the parts that are asked for."""
    match scan:
        case ReadoutScan():
            return scan.kept(request.readout_options)
        case FieldScan():
            return scan.kept()
        case EchoScan():
            return scan.kept(request.echo_part)
    return scan.kept(request.part)


def _write_dicom(request: Request, options: DicomOptions, folder: Path, heads: _Heads, participant: int) -> None:
    """Write the scanner files of one participant."""
    scans = _scans(request, heads, participant)
    write_dicom(folder, scans, options, Identity(participant=f"{participant:02d}", seed=request.seed))


def _scans(request: Request, heads: _Heads, participant: int) -> list[AnyScan]:
    """Scan one head with every sequence."""
    scans: list[AnyScan] = []
    if request.protocol is not None:
        scan = partial(acquire, seed=request.seed, participant=participant, layers=heads.layers)
        scans.append(scan(heads.unnamed, request.protocol))
    scans += [
        acquire_readouts(heads.others, sequence, seed=request.seed, participant=participant)
        for sequence in request.readouts
    ]
    if request.echoes is not None:
        scans.append(acquire_echoes(heads.others, request.echoes, seed=request.seed, participant=participant))
    if request.field.protocol is not None:
        field = _field_of(request, participant)
        scans.append(acquire_field(heads.others, request.field, field, seed=request.seed, participant=participant))
    return scans


def _field_of(request: Request, participant: int) -> TransmitField:
    """Return the true field as a function of the place."""
    pose = _pose_of_others(request, participant)

    def field(points: NDArray[np.float64]) -> NDArray[np.float64]:
        options = request.head.transmit
        return field_of(pose.at_rest(points), options, seed=request.seed, participant=participant)

    return field


def _refuse_if_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotCreateOutputError(
            f"{folder}: is not empty; expected a folder that does not exist, or an empty one. "
            "Choose another, or remove it."
        )
