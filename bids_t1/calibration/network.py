"""ResNet-18 on patches, so that every voxel's output is that of its own patch.

He et al., CVPR 2016, doi 10.1109/CVPR.2016.90: a first convolution and eight blocks of two, 64 to 512 channels. Here
nothing is padded and nothing is strided: an output then depends on its patch alone, and neighbouring patches share
their work. The network of a patch and the network of a volume are the same numbers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from bids_t1.calibration.baselines import CENTRE, FACTORS
from bids_t1.calibration.lattice import CENTRES, INPUTS, SCALES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from bids_t1.calibration.baselines import Polynomial

NEIGHBOURS = 1
"""Slices on each side that a network sees beside that of the voxel.

On a phantom of two pools at 2 mm, preset small, held-out RMSE with and without them differed by less than 3 %, in both
directions, at the same time per step. Kernels of 3 x 3 x 3 with the same reach cost 6 times as much per voxel (tiles of
16 voxels' edge) or 14 (of 8), so that they see fewer heads in the same time.
"""

N_SLICES = 2 * NEIGHBOURS + 1

N_CUBIC = 4
"""Coefficients of a cubic polynomial."""

CHANNELS = (64, 128, 256, 512)
"""Of the four stages, at full width."""

N_HIDDEN = 48
"""Channels of each layer of the network of single voxels."""

RADIUS = 17
"""Voxels that an output sees on each side: one for each of 17 convolutions."""

START_LOG_VARIANCE = -5.0
"""Of the relative error before anything is learned: 8 %."""

LOG_VARIANCES = (-12.0, 2.0)


class Corrector(nn.Module):
    """Logarithm of the factor that T1 of a voxel lacks, and the logarithm of the variance of this logarithm.

    It learns what the factor lacks that a cubic regression of T1 gives.
    """

    coefficients: Tensor
    """Of the cubic regression, see `baselines.Polynomial`."""

    limits: Tensor

    def __init__(self, n_last: int) -> None:
        super().__init__()
        self.last = nn.Conv2d(n_last, 2, 1)
        self.register_buffer("coefficients", torch.zeros(N_CUBIC))
        self.register_buffer("limits", torch.ones(2))

    def features(self, patches: Tensor) -> Tensor:
        """Return what the last convolution looks at, (example, channel, x, y)."""
        raise NotImplementedError

    def _initialise(self) -> None:
        """He's initialisation; blocks begin as the identity and the output as no correction."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, _Block):
                nn.init.zeros_(module.second_norm.weight)
        nn.init.zeros_(self.last.weight)
        if self.last.bias is not None:
            self.last.bias.data = torch.tensor([0.0, START_LOG_VARIANCE])

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return logarithm of the factor, and of its variance.

        Parameters
        ----------
        patches : tensor (example, input, x + 2 RADIUS, y + 2 RADIUS)

        Returns
        -------
        tensors (example, x, y)
        """
        found = self.last(self.features(patches))
        return self.first_guess(log_time(patches)) + found[:, 0], found[:, 1].clamp(*LOG_VARIANCES)

    def start_from(self, guess: Polynomial) -> None:
        """Take a cubic regression as the first guess."""
        self.coefficients = torch.tensor(guess.coefficients, dtype=torch.float32)
        self.limits = torch.tensor(guess.limits, dtype=torch.float32)

    def first_guess(self, log_times: Tensor) -> Tensor:
        """Return the logarithm of the factor of the regression."""
        time = log_times.exp().clamp(self.limits[0], self.limits[1])
        value = torch.zeros_like(time)
        for coefficient in self.coefficients.flip(0):
            value = value * (time - CENTRE) + coefficient
        return (value / time).clamp(*FACTORS).log()


class PatchResNet(Corrector):
    """Sees a patch about each voxel."""

    def __init__(self, width: float) -> None:
        widths = [max(4, round(channels * width)) for channels in CHANNELS]
        super().__init__(widths[-1])
        n_inputs = len(INPUTS) * N_SLICES
        self.first = nn.Sequential(nn.Conv2d(n_inputs, widths[0], 3, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        before = [widths[0], *widths[:-1]]
        self.blocks = nn.Sequential(
            *(
                _Block(n_in if first else n_out, n_out)
                for n_in, n_out in zip(before, widths, strict=True)
                for first in (True, False)
            )
        )
        self._initialise()

    def features(self, patches: Tensor) -> Tensor:
        """Return what eight blocks make of the patches."""
        found: Tensor = self.blocks(self.first(patches))
        return found


class VoxelNet(Corrector):
    """Sees a voxel alone: whether surroundings are worth anything."""

    def __init__(self) -> None:
        super().__init__(N_HIDDEN)
        sizes = (len(INPUTS), N_HIDDEN, N_HIDDEN, N_HIDDEN)
        self.hidden = nn.Sequential(
            *(
                layer
                for n_in, n_out in pairwise(sizes)
                for layer in (nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())
            )
        )
        self._initialise()

    def features(self, patches: Tensor) -> Tensor:
        """Return what three layers make of the inputs of each voxel."""
        found: Tensor = self.hidden(patches[:, NEIGHBOURS::N_SLICES, RADIUS:-RADIUS, RADIUS:-RADIUS])
        return found


def make_network(kind: str, width: float) -> Corrector:
    """Make a network with weights drawn at random: of patches, or of single voxels."""
    return VoxelNet() if kind == "voxel" else PatchResNet(width)


def log_time(patches: Tensor) -> Tensor:
    """Return log T1 of the voxels that a network predicts, from its patches."""
    return patches[:, NEIGHBOURS, RADIUS:-RADIUS, RADIUS:-RADIUS] * SCALES[0] + CENTRES[0]


def network_of(weights: Mapping[str, Tensor], kind: str, width: float, device: str) -> Corrector:
    """Build the network that weights belong to, ready to predict."""
    with torch.random.fork_rng(devices=[]):  # weights are drawn, and then replaced
        network = make_network(kind, width)
    network.load_state_dict(weights)
    return place(network, device).eval()


def place(network: Corrector, device: str) -> Corrector:
    """Bring a network to a device, in the order of memory that convolutions are fastest in."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class _Block(nn.Module):
    """Two convolutions beside a shortcut, which is cut to their size."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, bias=False)
        self.first_norm = nn.BatchNorm2d(n_out)
        self.second = nn.Conv2d(n_out, n_out, 3, bias=False)
        self.second_norm = nn.BatchNorm2d(n_out)
        self.shortcut = (
            nn.Identity()
            if n_in == n_out
            else nn.Sequential(nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        )

    def forward(self, values: Tensor) -> Tensor:
        found = torch.relu(self.first_norm(self.first(values)))
        found = self.second_norm(self.second(found))
        return torch.relu(found + self.shortcut(values[:, :, 2:-2, 2:-2]))
