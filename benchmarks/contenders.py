"""One contender of `benchmarks.compare`, in a process of its own: time, processor time, peak memory and errors.

python -P benchmarks/contenders.py simulate DATA.npz VOXELS TIMES
python -P benchmarks/contenders.py NAME DATA.npz VOXELS,... THREADS,... REPEATS

What is imported as `bids_t1`, `benchmarks` and `tests` is what PYTHONPATH says: the same contender measures this
version and an earlier one.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from dataclasses import dataclass, replace
from time import perf_counter, process_time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Data = Mapping[str, Array]

BANDS = ((0.3, 0.7), (0.7, 1.2), (1.2, 2.0), (2.0, 3.0))
"""Of T1 [s]."""

KAPPA = {"free": 1.93, "ideal": 2.0}
REPETITION_TIME = 12.0
NOISE = 0.001
"""Of readouts of MP2RAGE, in units of M0."""

GRID = np.linspace(0.05, 5.0, 1000)
"""T1 of the published look-up [s]."""


@dataclass(frozen=True, slots=True)
class Contender:
    """What estimates T1 of simulated voxels."""

    scene: str
    run: Callable[[Data, int, str], Array]
    """From the data of its scene, a number of threads, and a device, to T1 [s]."""

    most: float = float("inf")
    """Voxels that it is given at most; a slow one need not be given many."""

    is_parallel: bool = False
    """Whether threads are its own."""

    uses_cuda: bool = False
    is_long: bool = False
    """Whether once is enough."""


def simulate(path: str, n_voxels: int, n_times: int) -> None:
    """Write the data of all scenes: voxels of known T1, SNR 50 for inversion recovery, every one in the head."""
    from benchmarks import mp2rage_scenes  # noqa: PLC0415 - not in processes that measure
    from bids_t1_phantom.physics.simulate import inversion_recovery  # noqa: PLC0415

    random = np.random.default_rng(1)
    truth, times = random.uniform(0.3, 3.0, n_voxels), np.geomspace(0.05, 3.0, n_times)
    data: dict[str, Array] = {"truth": truth, "times": times}
    for name, kappa in KAPPA.items():
        signal = inversion_recovery(
            truth, 1.0, inversion_times=times.tolist(), repetition_times=REPETITION_TIME, inversion_efficiency=kappa
        )
        noise = random.normal(0, 0.02, (2, *signal.shape))
        data[name] = np.hypot(signal + noise[0], noise[1]).astype(np.float32)
        data[f"{name} signs"] = np.sign(signal).astype(np.int8)
    for name, transmit in (("B1+", (0.7, 1.3)), ("nominal", (1.0, 1.0))):
        scene = mp2rage_scenes.scene(n_voxels, noise_sd=NOISE, transmit=transmit, t1=(0.3, 3.0), m0=(0.5, 1.0))
        data |= {name: scene.readouts, f"{name} field": scene.transmit.astype(np.float32), f"{name} truth": scene.truth}
    np.savez(path, allow_pickle=False, **data)


def curves(kind: str, *, learn: bool = False) -> Callable[[Data, int, str], Array]:
    """Return the fit of bids_t1, with SD."""

    def run(data: Data, n_threads: int, device: str) -> Array:
        try:
            from bids_t1.estimation.curves.engine import EstimationOptions, estimate  # noqa: PLC0415
        except ModuleNotFoundError:  # of 0.1.0
            from bids_t1.estimation.engine import EstimationOptions, estimate  # type: ignore[import-not-found,no-redef,unused-ignore]  # noqa: PLC0415
        from tests.estimation.scenes import MODEL  # noqa: PLC0415

        times = tuple(data["times"].tolist())
        model = replace(
            MODEL, inversion_times=times, repetition_times=(REPETITION_TIME,) * len(times), ideal=kind == "ideal"
        )
        options = EstimationOptions(learn_ratio=learn, n_threads=n_threads, device=device)
        found: Array = estimate(model, data[kind], "magnitude", options).time
        return found

    return run


def posteriors(scene: str, *, with_map: bool, form: Any = "complex") -> Callable[[Data, int, str], Array]:
    """Return the posterior of bids_t1 from two readouts; the transmit field is known or integrated over its prior."""

    def run(data: Data, n_threads: int, device: str) -> Array:
        from benchmarks.mp2rage_scenes import KNOWN, model  # noqa: PLC0415

        try:
            from bids_t1.estimation.posterior import posterior  # noqa: PLC0415
        except ImportError:  # of 0.1.0
            from bids_t1.estimation import posterior  # type: ignore[no-redef] # noqa: PLC0415
        images = posterior.ReadoutImages(
            form=form,
            readouts=data[scene] if form == "complex" else None,
            uni=None if form == "complex" else uni_of(data[scene]),
            transmit=data[f"{scene} field"] if with_map else None,
        )
        prior = KNOWN if with_map else posterior.TransmitPrior()
        options = posterior.PosteriorOptions(noise_sd=NOISE, transmit_prior=prior, n_threads=n_threads, device=device)
        found: Array = posterior.estimate_posterior(model(2), images, options).time
        return found

    return run


def uni_of(readouts: Array) -> Array:
    first, second = readouts
    values: Array = (first.conj() * second).real / (np.abs(first) ** 2 + np.abs(second) ** 2)
    return values.astype(np.float32)


def peer_curve_fit(kind: str) -> Callable[[Data, int, str], Array]:
    """Return scipy voxel by voxel, told the signs, without a map of SD."""

    def run(data: Data, *_: object) -> Array:
        from benchmarks.speed import run_peer  # noqa: PLC0415

        return run_peer(kind, data[kind] * data[f"{kind} signs"], data["times"].tolist())[1]

    return run


def peer_qmrpy(data: Data, *_: object) -> Array:
    """Return the grid search of Barral et al. by qmrpy, voxel by voxel."""
    from qmrpy.models.t1.inversion_recovery import T1InversionRecovery  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415

    model = T1InversionRecovery(ti_ms=1000 * data["times"])
    return np.array([model.fit(voxel)["t1_ms"] for voxel in data["free"].T]) / 1000


def peer_mrpro(steps: int) -> Callable[[Data, int, str], Array]:
    """Return mrpro's dictionary of 100 values, and so many steps of Adam after it.

    As its example for the ISMRM QMRI challenge of 2024 chooses them: https://docs.mrpro.rocks.
    """

    def run(data: Data, n_threads: int, device: str) -> Array:
        for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
            sys.modules[name] = ModuleType(name)  # used by its phantoms alone, and wants a build like that of PyTorch
        import mrpro  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415

        torch.set_num_threads(n_threads)
        images = torch.from_numpy(data["ideal"]).to(device)
        times = torch.tensor(data["times"], dtype=torch.float32)
        model = mrpro.operators.MagnitudeOp() @ mrpro.operators.models.InversionRecovery(ti=times)
        matching = mrpro.operators.DictionaryMatchOp(model, index_of_scaling_parameter=0)
        matching.append(torch.ones(1), torch.linspace(0.1, 3.0, 100))
        start = matching.to(device)(images)
        if steps:
            functional = mrpro.operators.functionals.MSE(images) @ model
            start = mrpro.algorithms.optimizers.adam(
                functional.to(device), [images.amax(0), start[1]], max_iterations=steps, learning_rate=0.1
            )
        found: Array = start[1].detach().cpu().numpy()
        return found

    return run


def signals_of_grid(grid: Array) -> Array:
    """Return the two readouts at the nominal field for each T1, (readout, T1)."""
    from benchmarks.mp2rage_scenes import EFFICIENCY, protocol  # noqa: PLC0415
    from bids_t1_phantom.physics.simulate import rapid_gradient_echo_trains  # noqa: PLC0415

    signals: Array = rapid_gradient_echo_trains(grid, 1.0, protocol=protocol(2), inversion_efficiency=EFFICIENCY)
    return signals


def peer_lookup(data: Data, *_: object) -> Array:
    """Return T1 from UNI by interpolation in the branch that falls, as published by Marques et al. 2010."""
    signals = signals_of_grid(GRID)
    uni = signals.prod(axis=0) / np.square(signals).sum(axis=0)
    top, bottom = int(np.argmax(uni)), int(np.argmin(uni))
    found: Array = np.interp(uni_of(data["nominal"]), uni[top : bottom + 1][::-1], GRID[top : bottom + 1][::-1])
    return found


def peer_monte_carlo(data: Data, *_: object) -> Array:
    """Return the most probable T1 of simulated trials of noise, as published by Saunders et al. 2025."""
    from benchmarks.mp2rage_published import T1_GRID, simulate_histogram  # noqa: PLC0415

    histogram = simulate_histogram(signals_of_grid(T1_GRID), 10**6 // len(T1_GRID))
    return histogram.maximum(uni_of(data["nominal"]))


CONTENDERS = {
    "bids_t1 free": Contender("free", curves("free"), is_parallel=True, uses_cuda=True),
    "bids_t1 learned": Contender("free", curves("free", learn=True), is_parallel=True, uses_cuda=True),
    "curve_fit free": Contender("free", peer_curve_fit("free"), most=500),
    "qmrpy": Contender("free", peer_qmrpy, most=200),
    "bids_t1 ideal": Contender("ideal", curves("ideal"), is_parallel=True, uses_cuda=True),
    "curve_fit ideal": Contender("ideal", peer_curve_fit("ideal"), most=500),
    "mrpro dictionary": Contender("ideal", peer_mrpro(0), is_parallel=True, uses_cuda=True),
    "mrpro Adam": Contender("ideal", peer_mrpro(2000), most=1e4, uses_cuda=True, is_long=True),
    "bids_t1 map of B1+": Contender("B1+", posteriors("B1+", with_map=True), is_parallel=True, uses_cuda=True),
    "bids_t1 B1+ integrated": Contender("B1+", posteriors("B1+", with_map=False), is_parallel=True, uses_cuda=True),
    "bids_t1 UNI, nominal": Contender("nominal", posteriors("nominal", with_map=True, form="UNIT1"), is_parallel=True),
    "look-up of UNI": Contender("nominal", peer_lookup),
    "Monte Carlo of UNI": Contender("nominal", peer_monte_carlo),
}


def first(data: Data, size: int) -> Data:
    """Return the first voxels."""
    return {key: values if key == "times" else np.ascontiguousarray(values[..., :size]) for key, values in data.items()}


def errors(found: Array, truth: Array) -> list[float]:
    """Return the RMSE [ms] in each band."""
    bands = [(truth >= low) & (truth < high) & np.isfinite(found) for low, high in BANDS]
    return [float(1000 * np.sqrt(np.mean(np.square(found - truth)[band]))) for band in bands]


def measure(contender: Contender, data: Data, n_threads: int, device: str, repeats: int) -> dict[str, Any]:
    """Run once without a clock, and some times with one; others on the machine only add to the least time."""
    torch.set_num_threads(1)
    contender.run(first(data, 100) if contender.is_long else data, n_threads, device)
    clocks, found = [], np.zeros(0)
    for _ in range(1 if contender.is_long else repeats):
        wall, busy = perf_counter(), process_time()
        found = contender.run(data, n_threads, device)
        clocks.append((perf_counter() - wall, process_time() - busy))
    scene = contender.scene
    return {
        "voxels": len(found),
        "threads": n_threads,
        "device": device,
        "seconds": min(wall for wall, _ in clocks),
        "processor_seconds": min(busy for _, busy in clocks),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "rmse_ms": errors(found, data.get(f"{scene} truth", data["truth"])[: len(found)]),
    }


def main(name: str, path: str, *numbers: str) -> None:
    warnings.simplefilter("ignore")  # of peers whose start is plain
    if name == "simulate":
        simulate(path, *(int(number) for number in numbers))
        return
    contender = CONTENDERS[name]
    sizes, threads, repeats = ([int(part) for part in number.split(",")] for number in numbers)
    with np.load(path) as stored:
        keys = [key for key in stored if key.startswith((contender.scene, "truth", "times"))]
        whole = {key: stored[key] for key in keys}
    ways = [(count, "cpu") for count in (threads if contender.is_parallel else [1])]
    if contender.uses_cuda and torch.cuda.is_available():
        ways.append((1, "cuda"))
    for size in sorted({min(size, int(min(contender.most, 1e12))) for size in sizes}):
        for n_threads, device in ways:
            print(json.dumps(measure(contender, first(whole, size), n_threads, device, repeats[0])), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
