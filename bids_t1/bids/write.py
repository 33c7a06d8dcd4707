"""From results in memory to derivatives on disk; names, units and sidecars follow the outputs table."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bids_t1 import __version__
from bids_t1.data.entities import BidsName
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.outputs import CALIBRATED, OUTPUTS, WEIGHTED, outputs_of
from bids_t1.data.tissue import TISSUES
from bids_t1.packing import save
from bids_t1.storage import BIDS_VERSION, as_json, as_tsv, write_whole, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bids_t1.data.grid import Grid
    from bids_t1.data.outputs import Output
    from bids_t1.data.result import RunResult
    from bids_t1.quality import RunQuality

TABLES = ("tissue", "agreement")
"""What desc- is of the tables of regions; BIDS has no name for them."""

README = """\
Quantitative maps made by bids_t1 {version}.

Open sub-*.html for a page per participant. Maps lie in sub-*/[ses-*/]anat; T1 in seconds, R1 in 1/s. Voxels without
an estimate are NaN; desc-*status_dseg says why. The sidecar of each map tells how its numbers came about.
sourcedata/raw, where it exists, is a raw BIDS dataset converted from DICOM.
"""


def output_name(name: BidsName, row: Output, extension: str = ".nii.gz") -> BidsName:
    """Return the file name of one output of a run."""
    return name.having(row.entities, suffix=row.suffix, extension=extension)


def describe_derivatives(out_dir: Path, sources: Mapping[str, Path]) -> None:
    """Write the files at the root of the derivatives: the same bytes from every process.

    Parameters
    ----------
    out_dir
        Root of the derivatives.
    sources
        Roots of the raw datasets they come from, by the names that BIDS URIs give them.
    """
    links = {name: os.path.relpath(root, out_dir) for name, root in sources.items()}
    container = os.environ.get("BIDS_T1_CONTAINER")
    generator: dict[str, object] = {"Name": "bids_t1", "Version": __version__}
    if container:
        kind, _, tag = container.partition(":")
        generator["Container"] = {"Type": kind, "Tag": tag}
    description = {
        "Name": "bids_t1: quantitative T1 maps",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [generator],
        "SourceDatasets": [{"URL": link} for link in links.values()],
        "DatasetLinks": links,
    }
    write_whole(out_dir / "dataset_description.json", as_json(description))
    describe_ignored(out_dir)
    write_whole(out_dir / "dseg.tsv", tissue_table())
    write_whole(out_dir / "README", README.format(version=__version__))


def describe_ignored(out_dir: Path) -> None:
    """Write which files of the derivatives BIDS has no names for."""
    ignored = [
        "*.html",
        "group_*",
        "calibration",
        "*_xfm.*",
        "*_metrics.json",
        *(f"*_desc-{desc}_T1map.*" for desc in TABLES),
        *sorted({f"*_{row.suffix}.*" for row in OUTPUTS if not row.in_bids}),
    ]
    write_whole(out_dir / ".bidsignore", "".join(f"{pattern}\n" for pattern in ignored))


def write_run(folder: Path, run: RunResult, notes: Sequence[str] = ()) -> None:
    """Write every output that a run has, with sidecars, below the folder of its participant or session.

    Parameters
    ----------
    folder
        That nobody sees yet.
    run
        Maps, record and warnings.
    notes
        Warnings that concern all runs of the session.
    """
    record = with_warnings(run.record, (*notes, *run.warnings))
    for row in outputs_of(run.sequence):
        if row.quantity in run.maps:
            target = write_map(folder, (run.name, row), run.maps[row.quantity], run.grid, record)
            if row.suffix == "dseg":
                (target / str(output_name(run.name, row, ".tsv"))).write_text(_status_table(), encoding="utf-8")


def write_quality(folder: Path, name: BidsName, qualities: Iterable[RunQuality]) -> None:
    """Write whether the scans are good, by the file names of their maps, below the folder of a session."""
    (folder / "anat").mkdir(exist_ok=True)
    described = {
        "Description": "Numbers that tell whether a scan is good, and the verdict on each; by map.",
        **{quality.name: quality.to_json() for quality in qualities},
    }
    ends = {key: name.get(key) for key in ("sub", "ses")}
    target = BidsName.build(ends | {"desc": "quality"}, "metrics", ".json")
    (folder / "anat" / str(target)).write_text(as_json(described), encoding="utf-8")


def with_warnings(record: Mapping[str, object], warnings: Sequence[str]) -> dict[str, object]:
    """Return what goes into sidecars: the record, and everything that is to be known with the numbers."""
    return {**record, **({"Warnings": list(dict.fromkeys(warnings))} if warnings else {})}


def write_map(
    folder: Path, what: tuple[BidsName, Output], values: np.ndarray, grid: Grid, record: Mapping[str, object]
) -> Path:
    """Write one map with its sidecar below the folder of its participant or session; return the folder it is in."""
    name, row = what
    target = folder / row.datatype
    target.mkdir(exist_ok=True)
    image = nib.Nifti1Image(values, grid.affine)
    image.header.set_xyzt_units("mm", "sec")
    if row.view.limits is not None:
        image.header["cal_min"], image.header["cal_max"] = row.view.limits
    code = "mni" if (name.get("space") or "").startswith("MNI152") else "scanner"
    image.set_qform(grid.affine, code=code)
    image.set_sform(grid.affine, code=code)
    save(image, target / str(output_name(name, row)))
    kept = {key: value for key, value in record.items() if _is_about(key, row)}
    described = {"Description": row.description, "Units": row.units, "SkullStripped": False, **kept}
    described |= {"mask": {"Type": "Brain" if row.quantity == "brain" else "ROI"}}.get(row.suffix, {})
    (target / str(output_name(name, row, ".json"))).write_text(as_json(described), encoding="utf-8")
    return target


def _is_about(key: str, row: Output) -> bool:
    """Tell whether a field is of a map: what is said of one that is made of others belongs to that one."""
    if key == "T1WeightedImage":
        return row.quantity == WEIGHTED
    return row.quantity in CALIBRATED or not key.startswith("Calibration")


def _status_table() -> str:
    return _table_of_labels((status.value, status.meaning, status.name) for status in VoxelStatus)


def _summary(run: RunResult) -> dict[str, object]:
    """Return the few numbers of a run that a table of many participants shows."""
    values = run.maps["time"][np.isfinite(run.maps["time"])]
    sds = run.maps["time_sd"][np.isfinite(run.maps["time_sd"])]
    quartiles = [round(float(value), 6) for value in np.percentile(values, (25, 50, 75))] if len(values) else None
    return {
        "Voxels": len(values),
        "Quartiles": quartiles,
        "MedianSD": round(float(np.median(sds)), 6) if len(sds) else None,
    }


def tissue_table() -> str:
    """Return what the codes of ``desc-tissue_dseg`` mean."""
    return _table_of_labels((tissue.value, tissue.meaning, tissue.abbreviation) for tissue in sorted(TISSUES))


def _table_of_labels(rows: Iterable[tuple[int, str, str]]) -> str:
    return as_tsv(("index", "name", "abbreviation"), rows)


def described_columns(columns: Mapping[str, str]) -> str:
    """Return the sidecar of a table, which says what its columns are."""
    return as_json({column: {"Description": description} for column, description in columns.items()})


def write_group_table(out_dir: Path, name: str, columns: Mapping[str, str], rows: str) -> None:
    """Write a table of all participants, tab-separated, with a description of its columns."""
    write_whole(out_dir / f"group_{name}.tsv", rows)
    write_whole(out_dir / f"group_{name}.json", described_columns(columns))


def write_log(path: Path, log: Mapping[str, object]) -> None:
    """Write what was done for a participant or session, for machines and for the report."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, as_json(log))


def log_of_run(run: RunResult) -> dict[str, object]:
    """Return what the report needs of a run besides its maps."""
    return {
        "name": str(run.name),
        "sequence": run.sequence,
        "record": dict(run.record),
        "maps": sorted(run.maps),
        "status_counts": dict(run.status_counts),
        "summary": _summary(run),
        "examples": [asdict(example) for example in run.examples],
        "warnings": list(run.warnings),
        "curve": None if run.curve is None else asdict(run.curve),
    }
