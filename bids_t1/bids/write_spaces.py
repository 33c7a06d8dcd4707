"""What brings runs together, on disk: masks, tissues, maps in another space, transforms and tables of regions."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bids_t1.bids.write import TABLES, described_columns, with_warnings, write_map
from bids_t1.data.entities import BidsName
from bids_t1.data.outputs import ANATOMY, outputs_of
from bids_t1.data.tissue import Agreement, Hemisphere, RegionStatistics, Tissue
from bids_t1.packing import save
from bids_t1.storage import as_json, as_tsv

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bids_t1.data.result import Anatomy, Comparison, InTemplate

COLUMNS = {
    "map": "File name of the map of T1.",
    "reference": "File name of the map of inversion recovery that it is compared with.",
    "tissue": "Abbreviation of the tissue, as in dseg.tsv; brain: all but fluid.",
    "hemisphere": "Side of the brain; both: of the whole.",
    "eroded": "Whether voxels at the border of the tissue are left out.",
    "n_voxels": "Number of voxels; of comparisons those with an estimate in both maps.",
    "volume": "Volume of these voxels [ml].",
    "not_fitted": "Share of these voxels without an estimate.",
    "median": "Median of T1 [s].",
    "mean": "Mean of T1 [s].",
    "sd": "Standard deviation of T1, or of the difference [s].",
    "quartile_1": "25 % quantile of T1 [s].",
    "quartile_3": "75 % quantile of T1 [s].",
    "percentile_5": "5 % quantile of T1 [s].",
    "percentile_95": "95 % quantile of T1 [s].",
    "bias": "Mean of map minus reference [s].",
    "lower_limit": "Lower limit of agreement, bias - 1.96 SD [s].",
    "upper_limit": "Upper limit of agreement, bias + 1.96 SD [s].",
    "rmse": "Root mean square of map minus reference [s].",
    "correlation": "Pearson's correlation of map and reference.",
    "ratio": "Median of map over reference.",
}
"""What the columns of the tables of regions mean."""

SIDES = {Hemisphere.NEITHER: "both", Hemisphere.LEFT: "left", Hemisphere.RIGHT: "right"}


def write_anatomy(folder: Path, anatomy: Anatomy) -> None:
    """Write mask, segmentation and probabilities below the folder of a participant or session."""
    record = with_warnings(anatomy.record, anatomy.warnings)
    for row in outputs_of(ANATOMY):
        if row.quantity in anatomy.maps:
            write_map(folder, (anatomy.name, row), anatomy.maps[row.quantity], anatomy.grid, record)


def write_comparison(folder: Path, comparison: Comparison, transforms: Mapping[tuple[str, str], str]) -> None:
    """Write the maps of a run in the space of another, and the transforms between both.

    Parameters
    ----------
    folder
        Of the participant or session.
    comparison
        Maps and record.
    transforms
        Text of each transform, by the spaces it leads from and to.
    """
    record = with_warnings(comparison.record, comparison.warnings)
    for row in outputs_of(comparison.sequence):
        if row.quantity in comparison.maps:
            write_map(folder, (comparison.name, row), comparison.maps[row.quantity], comparison.grid, record)
    stem = comparison.name.having({"space": None, "desc": None}, suffix="", extension="")
    for (start, end), text in transforms.items():
        path = folder / "anat" / f"{stem}from-{start}_to-{end}_mode-image_xfm.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        described = {"Description": f"Rigid transform that brings images of {start} into the space of {end}, for ITK."}
        path.with_suffix(".json").write_text(as_json(described | record), encoding="utf-8")


def warp_name(name: BidsName, sequence: str) -> BidsName:
    """Return the file name of what leads a run to the space of its name."""
    stem = name.having({"space": None, "res": None, "desc": None}, suffix="", extension="")
    return replace(stem, suffix=f"from-{sequence}_to-{name.get('space')}_mode-image_xfm", extension=".nii.gz")


def write_in_template(folder: Path, one: InTemplate) -> None:
    """Write the maps of a run in the space of a template, and the displacements that lead there, for ITK."""
    for row in (*outputs_of(one.sequence), *outputs_of(ANATOMY)):
        if row.quantity in one.maps:
            write_map(folder, (one.name, row), one.maps[row.quantity], one.grid, one.record)
    if one.warp is None:
        return
    target = warp_name(one.name, one.sequence)
    # ITK's coordinates are left-posterior-superior; vectors are NIfTI's fifth dimension.
    vectors = np.moveaxis(one.warp.values * np.array([-1.0, -1.0, 1.0]).reshape(3, 1, 1, 1), 0, -1)
    image = nib.Nifti1Image(vectors[:, :, :, None, :].astype(np.float32), one.warp.grid.affine)
    image.header.set_intent("vector")
    image.header.set_xyzt_units("mm", "sec")
    save(image, folder / "anat" / str(target))
    described = {
        "Description": f"Displacements that bring images of {one.sequence} into the space of {one.name.get('space')}, "
        "for ITK.",
        "Units": "mm",
        **{key: one.record[key] for key in ("Sources", "SpatialReference", "TransformationMethod")},
    }
    described_in = folder / "anat" / str(replace(target, extension=".json"))
    described_in.write_text(as_json(described), encoding="utf-8")


def log_of_template(one: InTemplate) -> dict[str, object]:
    """Return what the report needs of a run in a template besides its maps."""
    return {
        "name": str(one.name),
        "sequence": one.sequence,
        "moving": one.moving,
        "maps": sorted(one.maps),
        "record": dict(one.record),
    }


def write_tables(
    folder: Path, name: BidsName, regions: Sequence[RegionStatistics], agreements: Sequence[Agreement]
) -> None:
    """Write the tables of a participant or session; one without rows is not written.

    Parameters
    ----------
    folder
        Of the participant or session.
    name
        Any name of it: participant and session are taken from it.
    regions, agreements
        The rows.
    """
    of_session = BidsName.build({"sub": name.get("sub"), "ses": name.get("ses")}, "T1map", ".tsv")
    tables: tuple[Sequence[RegionStatistics | Agreement], ...] = (regions, agreements)
    for desc, rows in zip(TABLES, tables, strict=True):
        if not rows:
            continue
        path = folder / "anat" / str(of_session.having({"desc": desc}))
        columns = [field.name for field in fields(rows[0])]
        path.write_text(table(columns, [asdict(row) for row in rows]), encoding="utf-8")
        described = described_columns({column: COLUMNS[column] for column in columns})
        path.with_suffix(".json").write_text(described, encoding="utf-8")


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Write tab-separated values, in words where a value is a code."""
    return as_tsv(columns, ([_cell(column, row[column]) for column in columns] for row in rows))


def _cell(column: str, value: object) -> object:
    if column == "tissue":
        return value.abbreviation if isinstance(value, Tissue) else "brain"
    if isinstance(value, Hemisphere):
        return SIDES[value]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return value


def log_of_anatomy(anatomy: Anatomy) -> dict[str, object]:
    """Return what the report needs of an anatomy besides its maps."""
    return {
        "name": str(anatomy.name),
        "runs": list(anatomy.runs),
        "maps": sorted(anatomy.maps),
        "record": dict(anatomy.record),
        "warnings": list(anatomy.warnings),
    }


def log_of_comparison(comparison: Comparison) -> dict[str, object]:
    """Return what the report needs of a comparison besides its maps."""
    alignment = {**asdict(comparison.alignment), "matrix": comparison.alignment.matrix.tolist()}
    return {
        "name": str(comparison.name),
        "sequence": comparison.sequence,
        "moving": comparison.moving,
        "fixed": comparison.fixed,
        "maps": sorted(comparison.maps),
        "alignment": alignment,
        "record": dict(comparison.record),
        "warnings": list(comparison.warnings),
    }


def plain(row: RegionStatistics | Agreement) -> dict[str, object]:
    """Return a row of a table in JSON types."""
    return {key: int(value) if isinstance(value, IntEnum) else value for key, value in asdict(row).items()}
