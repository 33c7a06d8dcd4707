"""The level ``group``: tables and a page of all participants, from what each of them left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bids_t1.bids import discover, write
from bids_t1.bids.group import participants_with_logs, read_group, with_left_behind, write_tables
from bids_t1.calibration.model_file import MODEL
from bids_t1.data.entities import is_label
from bids_t1.data.errors import BidsT1Error, NoInputError
from bids_t1.data.sidecar import numbered
from bids_t1.learning import FOLDER, learn
from bids_t1.report.pages.group import write_group_page

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.settings import Settings

LOG = logging.getLogger(__name__)

NOT_ASKED = "No calibration was asked for (--calibration-preset none)."
UNFINISHED = (
    "The training that was asked for has not ended: this page is written anew when it has. A training that was stopped "
    "goes on where it was, by the same command."
)


def process_group(settings: Settings) -> Path:
    """Write the tables and the page of all participants, train a calibration where asked, and return the page.

    Tables and page are there before a training begins, and the page is written anew when it has ended.

    Raises
    ------
    BidsT1Error
        If a calibration cannot be trained; tables and page are there nevertheless, and the page says why.
    NoInputError
        If no participant was processed into out_dir.
    NothingSelectedError
        If a participant asked for is not there.
    """
    processed = participants_with_logs(settings.out_dir)
    if not processed:
        raise NoInputError(
            f"{settings.out_dir}: holds no results of participants; expected some. Run the level participant first."
        )
    # A folder whose label is none was refused where participants were processed, and named there.
    known = sorted(processed | set(filter(is_label, discover.participants(settings.bids_dir))))
    chosen = discover.require(known, settings.selection.participant_label, "participant")
    group = with_left_behind(read_group(settings.out_dir, chosen), settings.bids_dir)
    write.describe_ignored(settings.out_dir)
    write_tables(settings.out_dir, group)
    missing = [one.participant for one in group.participants if one.status != "done"]
    LOG.info("group: %s, %s", numbered(len(group.participants), "participant"), numbered(len(group.maps), "map"))
    if missing:
        LOG.warning("group: not done, or with failures: %s", ", ".join(missing))
    if group.left_behind:
        LOG.warning("group: counted, although bids_dir holds their images no more: %s", ", ".join(group.left_behind))
    if settings.calibrating.calibration_preset == "none":
        return write_group_page(group, settings.out_dir, note=_not_asked(settings.out_dir))
    write_group_page(group, settings.out_dir, note=UNFINISHED)
    try:
        found = learn(chosen, settings)
    except BidsT1Error as error:
        write_group_page(group, settings.out_dir, note=str(error))
        raise
    if isinstance(found, str):
        LOG.warning("calibration: nothing was trained. %s", found)
        return write_group_page(group, settings.out_dir, note=found)
    return write_group_page(group, settings.out_dir, calibration=found, note=" ".join(found.left_out) or None)


def _not_asked(out_dir: Path) -> str:
    earlier = (out_dir / FOLDER / MODEL).is_file()
    return NOT_ASKED + (" What was trained earlier lies in calibration, with its card model.html." if earlier else "")
