"""The methods section of what brings runs together: brain, tissues, registration, agreement, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bids_t1.report.voices.calibrated import CALIBRATED, FORCED
from bids_t1.report.words import literature, wording
from bids_t1.report.words.record import plain

if TYPE_CHECKING:
    from bids_t1.data.result import Anatomy, Comparison, ParticipantResult
    from bids_t1.report.words.literature import References

ALGORITHM = "CalibrationAlgorithm"
"""Key of the record: how T1 was calibrated."""


def paragraphs_of(result: ParticipantResult, references: References) -> list[str]:
    """Return the paragraphs, those that say the same once; none where runs stand for themselves."""
    paragraphs = [
        *(_tissues(anatomy, references) for anatomy in result.anatomies),
        _statistics(result),
        *(_registration(comparison, references) for comparison in result.comparisons),
        _agreement(result, references),
        _calibration(result, references),
    ]
    return [paragraph for paragraph in dict.fromkeys(paragraphs) if paragraph]


def _tissues(anatomy: Anatomy, references: References) -> str:
    record = {key: wording.without_folders(plain(value)) for key, value in anatomy.record.items()}
    sentences = [
        f"{name}: {record[key].rstrip('.')}."
        for key, name in (
            ("BrainMask", "Brain mask"),
            ("TissueMethod", "Tissues"),
            ("SubcorticalAtlas", "Atlas of subcortical grey matter"),
        )
        if key in record
    ]
    return " ".join([*sentences, *_template(anatomy.record, references)])


def _template(record: Mapping[str, object], references: References) -> list[str]:
    """Name the template, and cite what it and its files come from."""
    template = record.get("Template")
    if not template:
        return []
    parts = (
        [template[key] for key in ("Name", "Source") if key in template]
        if isinstance(template, Mapping)
        else [template]
    )
    everything = f"{template} {record.get('TemplateFiles', '')}"
    works = [literature.FONOV] if any(name in everything for name in ("MNI152", "ICBM")) else []
    works += [literature.CIRIC] if any(name in everything for name in ("tpl-", "TemplateFlow")) else []
    cited = f" {references.cite(*works)}" if works else ""
    return [f"Template: {', '.join(map(plain, parts)).rstrip('.')}{cited}."]


def _statistics(result: ParticipantResult) -> str:
    if not result.regions:
        return ""
    return (
        "T1 of each tissue is given by its median, quartiles, mean and standard deviation over the voxels with an "
        "estimate, in the whole tissue and in the voxels whose six neighbours are of the same tissue."
    )


def _registration(comparison: Comparison, references: References) -> str:
    alignment = comparison.alignment
    if not alignment.trusted:
        return f"The registration of {comparison.sequence} to inversion recovery failed; nothing was compared."
    of_free = "" if len(alignment.estimated) == 6 else f" Of its parameters {_some(alignment.estimated)}."  # noqa: PLR2004 -- rigid
    return (
        f"{comparison.sequence} was registered to inversion recovery by a rigid transformation that maximises mutual "
        f"information {references.cite(literature.MATTES)} within the brain, started from scanner coordinates, with "
        f"SimpleITK {references.cite(literature.LOWEKAMP)} (rotation {alignment.rotation:.1f}°, shift "
        f"{alignment.translation:.1f} mm).{of_free}"
    )


def _some(estimated: tuple[str, ...]) -> str:
    if not estimated:
        return "none could be determined, and all were kept as in the headers"
    return f"{wording.listed(estimated)} were estimated, and the others kept as in the headers"


def _agreement(result: ParticipantResult, references: References) -> str:
    if not result.agreements:
        return ""
    return (
        "Agreement with inversion recovery is given voxel by voxel as bias and limits of agreement (bias ± 1.96 "
        f"standard deviations of the difference {references.cite(literature.BLAND)}), root mean square of the "
        "difference, Pearson's correlation and median ratio."
    )


def _calibration(result: ParticipantResult, references: References) -> str:
    runs = [run for run in result.runs if CALIBRATED in run.maps]
    if not runs:
        return ""
    sequences = wording.listed(list(dict.fromkeys(run.sequence for run in runs)))
    forced = " It was trained on another protocol." if any(run.record.get(FORCED) for run in runs) else ""
    algorithms = dict.fromkeys(str(run.record[ALGORITHM]) for run in runs if ALGORITHM in run.record)
    how = f" ({wording.listed(list(algorithms))})" if algorithms else ""
    return (
        f"T1 of {sequences} was calibrated to T1 of inversion recovery by a model that was trained on paired scans"
        f"{how}, after {references.cite(literature.SAUNDERS)}.{forced}"
    )
