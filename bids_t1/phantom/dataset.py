"""From a request to a finished dataset: heads, scans and files, all or nothing."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.data.errors import CannotCreateOutputError, InputOutputError, UsageError
from bids_t1.phantom.anatomy import load_atlas
from bids_t1.phantom.bids_writer import PARTS, write_root, write_scan, write_truth, write_truth_root
from bids_t1.phantom.dicom_writer import DicomOptions, write_dicom
from bids_t1.phantom.head import HeadOptions, make_head
from bids_t1.phantom.scan import DEFAULT_INVERSION_TIMES, Protocol, acquire

if TYPE_CHECKING:
    from argparse import Namespace

_TRUTH = Path("derivatives", "truth")
_DICOM_FOLDERS = {"participants": "sub-{}/dicom", "sourcedata": "sourcedata/sub-{}", "flat": "."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that determines a dataset."""

    out_dir: Path
    protocol: Protocol
    head: HeadOptions
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
        dicom = None
        if arguments.format == "dicom":
            dicom = DicomOptions(
                vendor=arguments.vendor,
                enhanced=arguments.enhanced,
                one_series=arguments.one_series,
                nested=arguments.layout != "flat",
            )
        return cls(
            out_dir=arguments.out_dir.absolute(),
            protocol=Protocol.build(
                tuple(arguments.inversion_times or DEFAULT_INVERSION_TIMES),
                repetition_times=tuple(arguments.repetition_times),
                echo_time=arguments.echo_time,
                snr=arguments.snr,
            ),
            head=HeadOptions(
                resolution=arguments.resolution,
                slices=arguments.slices,
                efficiency_mean=mean,
                efficiency_sd=sd,
            ),
            participants=arguments.participants,
            seed=arguments.seed,
            part=arguments.part,
            dicom=dicom,
            layout=arguments.layout,
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
        write_root(data, truth=f"in {_TRUTH}")
    write_truth_root(truth, raw="../.." if request.dicom is None else None)
    atlas = load_atlas()
    for participant in range(1, request.participants + 1):
        head = make_head(atlas, request.head, seed=request.seed, participant=participant)
        scan = acquire(head, request.protocol, seed=request.seed, participant=participant)
        label = f"{participant:02d}"
        sources: list[str] = []
        if request.dicom is None:
            images = write_scan(data, scan, participant=label, parts=PARTS[request.part])
            sources = [f"bids:raw:{path.as_posix()}" for path in images]
        else:
            folder = data / _DICOM_FOLDERS[request.layout].format(label)
            write_dicom(folder, scan, request.dicom, participant=label, part=request.part, seed=request.seed)
        write_truth(truth, head, request.protocol, participant=label, sources=sources)


def _refuse_if_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotCreateOutputError(
            f"{folder}: is not empty; expected a folder that does not exist, or an empty one. "
            "Choose another, or remove it."
        )
