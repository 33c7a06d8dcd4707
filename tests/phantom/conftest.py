"""One coarse dataset of each kind, made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bids_t1_phantom import dataset
from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas, load_atlas

COARSE = ["--resolution", "6"]


@pytest.fixture(scope="session")
def atlas() -> Atlas:
    return load_atlas()


@pytest.fixture(scope="session", autouse=True)
def _one_atlas(atlas: Atlas) -> Iterator[None]:
    """Read the template once, not once for each dataset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "load_atlas", lambda: atlas)
        yield


@pytest.fixture(scope="session")
def bids_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("bids") / "phantom"
    assert main([str(out_dir), *COARSE, "--participants", "2", "--part", "polar", "--slices", "20"]) == 0
    return out_dir
