"""The raw dataset that converted images go to: written whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1 import __version__
from bids_t1.data.errors import CannotCreateOutputError
from bids_t1.storage import BIDS_VERSION, as_json, write_whole

if TYPE_CHECKING:
    from pathlib import Path

_README = """\
Images of T1, T2* and the transmit field converted from DICOM by bids_t1 with dcm2niix.
Times and angles come from the DICOM headers; those that ProtocolFields lists from the user's protocol file.
Names, dates and identifiers of the participants are left out.
"""


def describe(raw_dir: Path) -> None:
    """Write the files at the root of the raw dataset; the same bytes from every process.

    Raises
    ------
    CannotCreateOutputError
        If the folder cannot be written.
    """
    description = {
        "Name": "Images for T1 and T2* measurement converted from DICOM",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [
            {"Name": "bids_t1", "Version": __version__, "Description": "DICOM to BIDS conversion"},
            {"Name": "dcm2niix", "CodeURL": "https://github.com/rordenlab/dcm2niix"},
        ],
    }
    try:
        raw_dir.mkdir(parents=True, exist_ok=True)
        write_whole(raw_dir / "dataset_description.json", as_json(description))
        write_whole(raw_dir / "README", _README)
    except OSError as error:
        raise CannotCreateOutputError(
            f"{raw_dir}: cannot be written ({error.strerror}); expected a folder for the converted images. "
            "Check the output folder and the space on its disk."
        ) from error
