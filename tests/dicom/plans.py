"""What is planned for the scanner files of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.recognising.classify import classify
from bids_t1.dicom.writing.survey import survey

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.recognising.verdict import Verdict


def plan_of(folder: Path) -> Verdict:
    return classify([plane for content in survey(folder).contents for plane in content.slices])


def names(folder: Path) -> list[str]:
    """The names of all images, without their subject."""
    return sorted(
        "_".join([*(f"{key}-{value}" for key, value in image.entities.items() if value), image.suffix])
        for image in plan_of(folder).kept
    )


def reasons(folder: Path) -> str:
    """Why nothing is kept."""
    plan = plan_of(folder)
    assert plan.kept == ()
    return " | ".join(reason for _, reason in plan.skipped)
