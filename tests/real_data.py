"""Where the public data sets lie, which the project uses and does not contain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def place_of(*parts: str) -> Path:
    """Return where a folder of the public data sets is looked for."""
    root = Path(os.environ.get("BIDS_T1_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    return root.joinpath(*parts)


def real_data(*parts: str) -> Path:
    """Return a folder of the public data sets, or skip the test where they are not there."""
    folder = place_of(*parts)
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set BIDS_T1_TEST_DATA to the folder of the public data")
    return folder
