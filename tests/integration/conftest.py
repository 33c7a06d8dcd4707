"""A small phantom of each kind, made and processed once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from bids_t1_phantom import dataset
from bids_t1_phantom.head.anatomy import load_atlas
from tests.command import Finished, participant, phantom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _one_atlas() -> Iterator[None]:
    """Read the template of the phantom once, not once for each dataset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "load_atlas", cache(load_atlas))
        yield


@pytest.fixture(scope="session")
def bids_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom(tmp_path_factory.mktemp("bids_phantom") / "data", "--participants", "2")


@pytest.fixture(scope="session")
def dicom_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder per participant; the truth lies beside it."""
    return phantom(tmp_path_factory.mktemp("dicom_phantom") / "data", "--format", "dicom")


@pytest.fixture(scope="session")
def bids_done(bids_phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out_dir = tmp_path_factory.mktemp("bids_done") / "out"
    return Finished(bids_phantom, out_dir, participant(bids_phantom, out_dir))


@pytest.fixture(scope="session")
def dicom_done(dicom_phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out_dir = tmp_path_factory.mktemp("dicom_done") / "out"
    return Finished(dicom_phantom, out_dir, participant(dicom_phantom, out_dir))
