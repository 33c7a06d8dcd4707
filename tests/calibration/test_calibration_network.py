"""The network of a volume is that of its patches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bids_t1.calibration.baselines import Polynomial
from bids_t1.calibration.lattice import CENTRES, INPUTS, SCALES
from bids_t1.calibration.network import N_SLICES, RADIUS, PatchResNet

if TYPE_CHECKING:
    from torch import Tensor

N_INPUTS = len(INPUTS) * N_SLICES


def trained(seed: int = 0) -> PatchResNet:
    """A network with weights as after a training, none of them special."""
    torch.manual_seed(seed)
    network = PatchResNet(1 / 16)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "norm" in name or name.startswith("last"):
                value.copy_(torch.randn_like(value) * 0.3)
    network.start_from(Polynomial(coefficients=(1.4, 1.2, 0.1, 0.0), limits=(0.5, 3.0)))
    return network.eval()


def patches(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_a_voxel_of_a_tile_has_the_output_of_its_own_patch() -> None:
    network, volume = trained(), patches(1, N_INPUTS, 2 * RADIUS + 5, 2 * RADIUS + 7)
    with torch.inference_mode():
        of_tile = network(volume)
        for x, y in ((0, 0), (2, 3), (4, 6)):
            own = volume[:, :, x : x + 2 * RADIUS + 1, y : y + 2 * RADIUS + 1]
            for tile, patch in zip(of_tile, network(own), strict=True):
                assert patch.shape == (1, 1, 1)
                assert tile[0, x, y].item() == pytest.approx(patch.item(), abs=1e-5)


def test_a_voxel_sees_its_patch_and_nothing_else() -> None:
    network, volume = trained(), patches(1, N_INPUTS, 2 * RADIUS + 1, 2 * RADIUS + 1)
    volume.requires_grad_()
    network(volume)[0].sum().backward()
    assert volume.grad is not None
    seen = volume.grad.abs().sum(dim=(0, 1)) > 0
    assert seen[0].any()
    assert seen[-1].any()
    assert seen[:, 0].any()


def test_an_untrained_network_is_the_regression_it_starts_from() -> None:
    torch.manual_seed(0)
    network = PatchResNet(1 / 16)
    guess = Polynomial(coefficients=(1.4, 1.2, 0.1, -0.05), limits=(0.5, 3.0))
    network.start_from(guess)
    volume = patches(1, N_INPUTS, 2 * RADIUS + 3, 2 * RADIUS + 3)
    with torch.inference_mode():
        found = network.eval()(volume)[0].numpy()
    central = volume[:, N_SLICES // 2, RADIUS:-RADIUS, RADIUS:-RADIUS].numpy()
    time = np.exp(central * SCALES[0] + CENTRES[0])
    np.testing.assert_allclose(found, np.log(guess.factor(time)), atol=1e-5)


def test_a_resnet_18_has_seventeen_convolutions_before_its_dense_layer() -> None:
    kernels = [module for module in PatchResNet(1.0).modules() if isinstance(module, torch.nn.Conv2d)]
    assert sum(module.kernel_size == (3, 3) for module in kernels) == 17
    n_parameters = sum(math.prod(value.shape) for value in PatchResNet(1.0).parameters())
    assert n_parameters == pytest.approx(11.2e6, rel=0.02)
