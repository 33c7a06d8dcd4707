"""The compiled fit of a CUDA card: in Numba's simulator, and on a card where there is one."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bids_t1.compiling import compiles_for_cards
from bids_t1.estimation.curves.card import agree, on_processor, trusted
from bids_t1.estimation.curves.engine import EstimationOptions, _prepare, estimate
from tests.estimation.scenes import MODEL
from tests.estimation.simulate_card import MAPS, scenes
from tests.estimation.test_compiled import Plain, require_same

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.estimation.curves.voxel import Choices, Tables

SCENES = scenes()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.float64]]:
    """Maps of each scene by the simulator, (map, voxel)."""
    path = tmp_path_factory.mktemp("card") / "maps.npz"
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "tests.estimation.simulate_card", str(path)]
    subprocess.run(command, env=environment, check=True)
    with np.load(path) as maps:
        return dict(maps)


@pytest.mark.parametrize("name", SCENES)
def test_a_card_finds_what_the_processor_finds(name: str, simulated: dict[str, NDArray[np.float64]]) -> None:
    expected = SCENES[name].fit()
    for row, found in zip(MAPS, simulated[name], strict=True):
        tolerance = 0.0 if row == "status" else 2e-5 if row == "time_sd" else 5e-6
        np.testing.assert_allclose(found, getattr(expected, row), rtol=tolerance, atol=tolerance / 10, err_msg=row)


def test_a_card_finds_t1_and_its_sd_of_a_plain_solution_in_double_precision(
    simulated: dict[str, NDArray[np.float64]],
) -> None:
    images, maps = SCENES["signed"].images, dict(zip(MAPS, simulated["signed"], strict=True))
    dof = len(images) - MODEL.n_coefficients - 1
    for voxel in range(30):
        if voxel == 7:
            continue
        place, cost, information = Plain(MODEL, images[:, voxel].astype(np.float64)).best((0.02, 6.0))
        assert maps["time"][voxel] == pytest.approx(math.exp(place), rel=1e-6)
        sd = math.exp(place) * math.sqrt(cost / dof / information)
        assert maps["time_sd"][voxel] == pytest.approx(sd, rel=2e-5)


def prepared() -> tuple[tuple[Tables, Choices], NDArray[np.float32]]:
    """Return what the compiled fit needs of a scene, and its images."""
    images = SCENES["free"].images
    compiled = _prepare(MODEL, images, "magnitude", EstimationOptions(compiles_from=0)).compiled
    assert compiled is not None
    return compiled, images


def test_a_card_that_finds_something_else_is_not_believed() -> None:
    compiled, images = prepared()
    found = on_processor(*compiled, images)
    assert agree(found, found)
    assert not agree((found[0] * np.float32(1.0001), found[1]), found)
    assert not agree((found[0], found[1] + np.uint8(1)), found)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_card_that_cannot_be_used_leaves_the_fit_to_pytorch_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    compiled, images = prepared()
    with caplog.at_level(logging.WARNING):
        assert trusted(*compiled, torch.from_numpy(images)) is None
    assert "PyTorch fits more slowly" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not compiles_for_cards(), reason="needs the package numba-cuda")
def test_a_real_card_is_believed_and_finds_what_pytorch_finds(caplog: pytest.LogCaptureFixture) -> None:
    images = np.tile(SCENES["free"].images, 50)
    with caplog.at_level(logging.WARNING):
        found = estimate(MODEL, images, "magnitude", EstimationOptions(compiles_from=0, device="cuda"))
    assert not caplog.text
    require_same(found, estimate(MODEL, images, "magnitude", EstimationOptions(compiles_from=10**9, device="cuda")))
