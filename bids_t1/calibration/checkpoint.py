"""Where a training stands, kept after each epoch: safetensors and JSON, and a folder that is whole or not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from bids_t1.data.errors import InvalidInputError
from bids_t1.storage import as_json, publishing
from bids_t1.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor, nn

WEIGHTS = "weights.safetensors"
STATE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """How far a training has come."""

    epoch: int
    best_epoch: int
    best_loss: float | None
    """None where nothing is held out."""

    best: Mapping[str, Tensor]
    """Weights after `best_epoch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the state of one training is kept."""

    folder: Path
    name: str
    key: str
    """Digest of all that the training depends on; another one's state is not taken up."""

    def save(self, network: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> None:
        """Keep the state.

        Raises
        ------
        CannotCreateOutputError, InputOutputError
            If it cannot be written.
        """
        moments = optimizer.state_dict()["state"]
        tensors = {f"now.{name}": value for name, value in network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in state.best.items()}
        tensors |= {
            f"optimizer.{index}.{name}": value for index, each in moments.items() for name, value in each.items()
        }
        counters = {"key": self.key, "epoch": state.epoch, "best_epoch": state.best_epoch, "best_loss": state.best_loss}
        with publishing(self.folder, Path(self.name)) as fresh:
            save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, fresh / WEIGHTS)
            (fresh / STATE).write_text(as_json(counters), encoding="utf-8")

    def load(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> State | None:
        """Put network and optimizer into the state that was kept; None where there is none of this training."""
        try:
            counters = read_json(self.folder / self.name / STATE)
            if counters["key"] != self.key:
                return None
            tensors = load_file(self.folder / self.name / WEIGHTS)
        except (InvalidInputError, OSError, ValueError, KeyError, SafetensorError):
            return None  # a training that cannot be taken up begins anew
        network.load_state_dict(_part(tensors, "now."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimizer.").items():
            index, quantity = name.split(".")
            moments.setdefault(int(index), {})[quantity] = value
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        return State(
            epoch=counters["epoch"],
            best_epoch=counters["best_epoch"],
            best_loss=counters["best_loss"],
            best=_part(tensors, "best."),
        )


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
