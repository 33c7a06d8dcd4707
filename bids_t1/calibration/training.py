"""One network learns from some participants, watched on a part of them that it does not learn from."""

from __future__ import annotations

import hashlib
import math
import os
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1 import __version__
from bids_t1.calibration.baselines import fit_polynomial, gather
from bids_t1.calibration.checkpoint import Place, State
from bids_t1.calibration.lattice import CENTRES, SCALES, SCORED, WEIGHTS
from bids_t1.calibration.network import N_SLICES, NEIGHBOURS, RADIUS, log_time, make_network, network_of, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from bids_t1.calibration.baselines import Polynomial
    from bids_t1.calibration.lattice import LatticeScan, Sample
    from bids_t1.data.calibration import CalibrationOptions, TrainingPlan

LEAST_PARTICIPANTS = 3
"""Training participants from which one of them is held out for early stopping."""

VALIDATION_SHARE = 0.2
"""Of the slices, where slices are held out instead."""

GUARD = 2 * NEIGHBOURS
"""Slices left out between those to learn from and those held out, so that no input is in both."""

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""

WEIGHT_DECAY = 1e-4

NOISE = 0.5
"""Noise added to T1 in training, in units of its SD. Measurements bring one SD already: with another one the network
would learn to smooth more than it should."""

FOCUS = 0.5
"""Power of the variance by which the loss is multiplied in training."""

LARGEST_GRADIENT = 1.0

N_THREADS = 1
"""Of torch, on any machine: sums are split between threads, so that the last bits depend on how many there are. More
processors learn more folds at a time."""

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
CUBLAS_WORKSPACE = ":4096:8"
"""What repeatable products of matrices need on a GPU: https://docs.nvidia.com/cuda/cublas/#results-reproducibility."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member:
    """A trained network."""

    weights: Mapping[str, Tensor]
    epochs: int
    """After which these weights were had."""

    validation: str
    """What they were chosen by."""

    share: float
    """Of what the network adds to the regression that is kept, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Padded:
    """One scan as the network wants it: surrounded by unmeasured voxels, slices first."""

    inputs: Tensor
    """(input, slice + 2 NEIGHBOURS, x + 2 RADIUS, y + 2 RADIUS)."""

    def patch(self, place: tuple[int, int, int], size: tuple[int, int]) -> Tensor:
        """Return what the voxels of a rectangle see, (input and slice, x + 2 RADIUS, y + 2 RADIUS)."""
        z, x, y = place
        window = self.inputs[:, z : z + N_SLICES, x : x + size[0] + 2 * RADIUS, y : y + size[1] + 2 * RADIUS]
        return window.flatten(0, 1)


def pad(scan: LatticeScan, least: int = 1) -> Padded:
    """Surround a scan by unmeasured voxels, so that at least a square of `least` voxels can be predicted."""
    beyond = [max(0, least - length) for length in scan.time.shape[1:]]
    around = [(0, 0), (NEIGHBOURS, NEIGHBOURS), *((RADIUS, RADIUS + more) for more in beyond)]
    return Padded(inputs=torch.from_numpy(np.pad(scan.inputs, around)))


@contextmanager
def reproducibly(n_threads: int) -> Iterator[None]:
    """Let torch compute with a fixed number of threads and repeatable algorithms."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    workspace = os.environ.get(CUBLAS)
    torch.set_num_threads(n_threads)
    os.environ.setdefault(CUBLAS, CUBLAS_WORKSPACE)
    torch.use_deterministic_algorithms(mode=True)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        if workspace is None:
            os.environ.pop(CUBLAS, None)
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(mode=before[1])


Batch = tuple["Tensor", "Tensor"]
Seed = tuple[int, ...]


def hold_out(samples: Sequence[Sample], seed: int) -> tuple[list[Sample], list[Sample], str]:
    """Divide what may be learned from into what is learned from and what early stopping watches.

    Returns
    -------
    training, validation, how
        One participant is held out, or, of fewer than three, some neighbouring slices of each scan.
    """
    participants = sorted({sample.participant for sample in samples})
    if len(participants) >= LEAST_PARTICIPANTS:
        chosen = participants[seed % len(participants)]
        training = [sample for sample in samples if sample.participant != chosen]
        return training, [sample for sample in samples if sample.participant == chosen], "one training participant"
    return _hold_out_slices(samples)


def _hold_out_slices(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample], str]:
    pairs = [_divide(sample) for sample in samples]
    validation = [part for _, part in pairs if part.tissue.any()]
    if not validation:
        return list(samples), [], "nothing: too few participants and slices"
    how = f"a fifth of the slices, {GUARD} slices away from those learned from, as there are too few participants"
    return [part for part, _ in pairs], validation, how


def _divide(sample: Sample) -> tuple[Sample, Sample]:
    """Take the upper slices out."""
    covered = np.flatnonzero(sample.tissue.any(axis=(1, 2)))
    n_held_out = math.floor(VALIDATION_SHARE * len(covered))
    nothing = np.zeros_like(sample.tissue)
    if n_held_out < 1 or len(covered) <= n_held_out + GUARD:
        return sample, replace(sample, tissue=nothing)
    lower, upper = nothing.copy(), nothing.copy()
    lower[covered[: -n_held_out - GUARD]] = sample.tissue[covered[: -n_held_out - GUARD]]
    upper[covered[-n_held_out:]] = sample.tissue[covered[-n_held_out:]]
    return replace(sample, tissue=lower), replace(sample, tissue=upper)


class _Examples:
    """Draws examples, from each tissue alike."""

    def __init__(self, samples: Sequence[Sample], tile: int) -> None:
        self._tile = tile
        self._scans = [pad(sample.scan, tile) for sample in samples]
        self._targets = [_targets(sample, tile) for sample in samples]
        self._voxels = [
            (index, np.argwhere(sample.of(tissue)))
            for tissue in SCORED
            for index, sample in enumerate(samples)
            if sample.of(tissue).any()
        ]

    def draw(self, n: int, rng: np.random.Generator, noise: float) -> tuple[Tensor, Tensor]:
        """Return patches (example, input, ., .) and targets (example, target, x, y), turned and mirrored."""
        examples = [self._one(rng) for _ in range(n)]
        patches = torch.stack([patch for patch, _ in examples]).contiguous(memory_format=torch.channels_last)
        if noise:
            _add_noise(patches, rng, noise)
        return patches, torch.stack([target for _, target in examples])

    def _one(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        index, voxels = self._voxels[rng.integers(len(self._voxels))]
        z, x, y = voxels[rng.integers(len(voxels))]
        targets, tile = self._targets[index], self._tile
        left, front = (
            int(np.clip(centre - rng.integers(tile), 0, extent - tile))
            for centre, extent in zip((x, y), targets.shape[2:], strict=True)
        )
        patch = self._scans[index].patch((int(z), left, front), (tile, tile))
        target = targets[:, z, left : left + tile, front : front + tile]
        # Relaxation knows no left and right: slices may be turned, mirrored, and looked at from below.
        turns, mirrored, from_below = (int(number) for number in rng.integers((4, 2, 2)))
        if from_below:
            patch = patch.reshape(-1, N_SLICES, *patch.shape[1:]).flip(1).flatten(0, 1)
        if mirrored:
            patch, target = patch.flip(-1), target.flip(-1)
        return torch.rot90(patch, turns, (-2, -1)), torch.rot90(target, turns, (-2, -1))


def _targets(sample: Sample, least: int) -> Tensor:
    """Return log T1 of inversion recovery, its variance and the weight, (target, slice, x, y); 0 where unknown."""
    weight = np.zeros(sample.tissue.shape)
    for tissue, value in WEIGHTS.items():
        weight[sample.of(tissue)] = value
    known = weight > 0
    values = [
        np.log(np.where(known, sample.reference, 1)),
        np.where(known, sample.reference_relative_sd, 0) ** 2,
        weight,
    ]
    beyond = [(0, max(0, least - n)) for n in sample.tissue.shape[1:]]
    return torch.from_numpy(np.pad(np.stack(values).astype(np.float32), [(0, 0), (0, 0), *beyond]))


def _add_noise(patches: Tensor, rng: np.random.Generator, amount: float) -> None:
    n = N_SLICES
    log_times, log_sd, measured = patches[:, :n], patches[:, n : 2 * n], patches[:, -n:]
    relative_sd = (log_sd * SCALES[1] + CENTRES[1]).exp() * measured
    draws = torch.from_numpy(rng.standard_normal(tuple(log_times.shape), dtype=np.float32))
    log_times += amount / SCALES[0] * relative_sd * draws


def negative_log_likelihood(found: tuple[Tensor, Tensor], missing: Tensor, targets: Tensor, focus: float) -> Tensor:
    """Return the Gaussian loss of a batch, per weight.

    The variance is that of inversion recovery, which is known, and that of the network, which it predicts. In training
    each voxel's loss is multiplied by a power of its variance, `focus`: pure likelihood learns least where errors are
    large (Seitzer et al., ICLR 2022, arXiv 2203.09168).
    """
    log_factor, log_variance = found
    variance = targets[:, 1] + log_variance.exp()
    loss = 0.5 * ((missing - log_factor) ** 2 / variance + variance.log())
    weight = targets[:, 2]
    return (weight * variance.detach() ** focus * loss).sum() / weight.sum().clamp(min=1)


class _Run:
    """The training of one network: everything that changes from step to step."""

    def __init__(
        self, training: Sequence[Sample], guess: Polynomial, plan: TrainingPlan, device: str, seed: Seed
    ) -> None:
        self.plan, self.device, self.seed = plan, device, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
            self.network = make_network(plan.kind, plan.width)
        self.network.start_from(guess)
        place(self.network, self.device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.plan.learning_rate, weight_decay=WEIGHT_DECAY
        )
        self.examples = _Examples(training, self.plan.tile)

    def epoch(self, epoch: int, epochs: int) -> float:
        """Learn for one epoch; return the mean loss."""
        rng = np.random.default_rng([*self.seed, 1, epoch])
        self.network.train()
        losses = []
        for step in range(self.plan.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self.plan.learning_rate * _rate((epoch + step / self.plan.steps) / epochs)
            patches, targets = self.examples.draw(self.plan.batch, rng, NOISE)
            loss = self.loss(patches, targets, FOCUS)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
            self.optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def loss(self, patches: Tensor, targets: Tensor, focus: float) -> Tensor:
        """Return the loss of a batch."""
        patches, targets = patches.to(self.device), targets.to(self.device)
        missing = targets[:, 0] - log_time(patches)
        return negative_log_likelihood(self.network(patches), missing, targets, focus)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights as they are now."""
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in self.network.state_dict().items()
        }


def _rate(share: float) -> float:
    """Return the learning rate at a share of the training, relative to the largest: up, then down along a cosine."""
    if share < WARM_UP:
        return (share + 0.01) / (WARM_UP + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to train, and where it is kept."""

    name: str
    plan: TrainingPlan
    index: int
    """Of the member; with the seed it determines every draw."""

    epochs: int | None = None
    """Learn from all that is given, for so many epochs; None holds some of it out and stops early."""

    share: float = 1.0
    """Of what the network adds that is kept; where something is held out it is measured there instead."""

    checkpoints: Path | None = None
    after: float = 0.0
    """What is to be done in the same process when this network is trained, in the units of `TrainingPlan.cost`."""

    def cost_of(self, n_epochs: int) -> float:
        """Return what so many epochs cost."""
        return self.plan.cost * n_epochs / self.plan.epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What there is to tell of an epoch that is done."""

    member: str
    index: int
    """Of the `Task`."""

    epoch: int
    epochs: int
    cost: float
    seconds: float
    """What it took."""

    left: float
    """What is to be done in the same process after it, at most, in the units of `TrainingPlan.cost`."""

    training_loss: float
    validation_loss: float | None


def train(
    samples: Sequence[Sample],
    task: Task,
    options: CalibrationOptions,
    tell: Callable[[Epoch], object] | None = None,
) -> Member:
    """Train one network, from its last checkpoint on if there is one of the same training.

    Parameters
    ----------
    samples
        Scans of the training participants.
    task
        Name, size and place of the network.
    options
        Seed and device.
    tell
        Called after each epoch.
    """
    training, validation, how = _divided(samples, task, options)
    plan = task.plan
    epochs = task.epochs or plan.epochs
    guess = fit_polynomial(gather(samples), (0, 1, 2, 3))
    run = _Run(training, guess, plan, options.device, (options.seed, task.index))
    watched = _watch(validation, plan, run.seed)
    kept_at = None if task.checkpoints is None else _kept_at(task.checkpoints, samples, task, options)
    state = _begun(run, watched, kept_at)
    while state.epoch < epochs and state.epoch - state.best_epoch <= plan.patience:
        began = time.monotonic()
        training_loss = run.epoch(state.epoch, epochs)
        validation_loss = _validate(run, watched)
        state = _after(state, run, validation_loss)
        if kept_at is not None:
            kept_at.save(run.network, run.optimizer, state)
        if tell is not None:
            tell(
                Epoch(
                    member=task.name,
                    index=task.index,
                    epoch=state.epoch,
                    epochs=epochs,
                    cost=task.cost_of(1),
                    seconds=time.monotonic() - began,
                    left=task.cost_of(epochs - state.epoch) + task.after,
                    training_loss=training_loss,
                    validation_loss=validation_loss,
                )
            )
    share = _share(run, state.best, watched) if watched else task.share
    return Member(weights=shrunk(state.best, share), epochs=state.best_epoch, validation=how, share=share)


def _divided(
    samples: Sequence[Sample], task: Task, options: CalibrationOptions
) -> tuple[list[Sample], list[Sample], str]:
    """Hold some out unless the number of epochs is known."""
    if task.epochs is None:
        return hold_out(samples, options.seed + task.index)
    return list(samples), [], "nothing: all participants are learned from"


def _begun(run: _Run, watched: Sequence[Batch], kept_at: Place | None) -> State:
    """Return where a training that was stopped goes on, or the regression that one starts from as first candidate."""
    kept = None if kept_at is None else kept_at.load(run.network, run.optimizer)
    return kept or State(epoch=0, best_epoch=0, best_loss=_validate(run, watched), best=run.weights())


def _share(run: _Run, weights: Mapping[str, Tensor], batches: Sequence[Batch]) -> float:
    """Return the share of what the network adds that predicts best what was held out.

    Of few participants a network learns what is theirs too, such as the T1 that their tissues happen to have.
    """
    network = network_of(weights, run.plan.kind, run.plan.width, run.device)
    products, squares = 0.0, 0.0
    with torch.inference_mode():
        for patches, targets in batches:
            patches, targets = patches.to(run.device), targets.to(run.device)  # noqa: PLW2901 -- the same, elsewhere
            log_times = log_time(patches)
            log_factor, log_variance = network(patches)
            guess = network.first_guess(log_times)
            weight = targets[:, 2] / (targets[:, 1] + log_variance.exp())
            added = log_factor - guess
            products += float((weight * added * (targets[:, 0] - log_times - guess)).sum())
            squares += float((weight * added**2).sum())
    return min(1.0, max(0.0, products / squares)) if squares else 0.0


def shrunk(weights: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return weights of which a share of the correction is left; the predicted variance stays."""
    kept = torch.tensor([share, 1.0])
    return {
        **weights,
        "last.weight": weights["last.weight"] * kept[:, None, None, None],
        "last.bias": weights["last.bias"] * kept,
    }


def _after(state: State, run: _Run, loss: float | None) -> State:
    """Count an epoch; its weights are the best if nothing says otherwise."""
    epoch = state.epoch + 1
    if loss is not None and state.best_loss is not None and not loss < state.best_loss:
        return replace(state, epoch=epoch)
    return State(epoch=epoch, best_epoch=epoch, best_loss=loss, best=run.weights())


def _watch(validation: Sequence[Sample], plan: TrainingPlan, seed: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """Draw the batches that early stopping looks at, once."""
    if not validation:
        return []
    rng = np.random.default_rng([*seed, 2])
    examples = _Examples(validation, plan.tile)
    n_batches = max(1, plan.validation_examples // plan.batch)
    return [examples.draw(plan.batch, rng, 0.0) for _ in range(n_batches)]


def _validate(run: _Run, batches: Sequence[Batch]) -> float | None:
    """Return the mean loss in what is watched; None where nothing is."""
    if not batches:
        return None
    run.network.eval()
    with torch.inference_mode():
        return float(np.mean([float(run.loss(*batch, focus=0.0)) for batch in batches]))


def _kept_at(folder: Path, samples: Sequence[Sample], task: Task, options: CalibrationOptions) -> Place:
    """Return where the states of a training are kept, under a digest of all that it depends on."""
    choices = (asdict(task.plan), options.seed, options.device, task.index, task.epochs)
    digest = hashlib.sha256(repr((__version__, torch.__version__, choices)).encode())
    for sample in samples:
        scan = sample.scan
        digest.update(sample.participant.encode())
        for values in (
            scan.time, scan.relative_sd, scan.transmit, sample.reference, sample.reference_relative_sd, sample.tissue
        ):  # fmt: skip
            digest.update(repr(values.shape).encode())
            digest.update(np.ascontiguousarray(values).data)
    return Place(folder=folder, name=task.name, key=digest.hexdigest())
