"""Where the public data sets lie, which the project uses and does not contain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real_data(*parts: str) -> Path:
    """Return a folder of the public data sets, or skip the test where they are not there."""
    root = Path(os.environ.get("BIDS_T1_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    folder = root.joinpath(*parts)
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set BIDS_T1_TEST_DATA to the folder of the public data")
    return folder
