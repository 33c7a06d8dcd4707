"""Time and peak memory of MP2RAGE at full size, each case in a fresh process: python -m benchmarks.mp2rage_speed."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks.memory import MB, peak

if TYPE_CHECKING:
    from bids_t1.data.forms import InputForm

# Linux lets a process begin with the peak of the one that started it: nothing heavy is imported before the child runs.

SHAPE = (240, 320, 256)
N_SIMULATED = 2**20
"""Voxels simulated; the volume repeats them."""

ESTIMATIONS: dict[str, dict[str, Any]] = {
    "B1 map": {"transmit": (0.7, 1.3)},
    "B1 nominal": {"with_map": False},
    "B1 integrated over its prior": {"with_map": False, "integrated": True},
    "UNI alone, B1 nominal": {"with_map": False, "form": "UNIT1"},
    "three readouts, B1 map": {"transmit": (0.7, 1.3), "n_readouts": 3},
}
COMMANDS: dict[str, list[str]] = {
    "B1 map": [],
    "B1 integrated over its prior": ["--no-b1"],
    "B1 nominal": ["--no-b1", "--b1-prior", "1", "0"],
}


def measure_estimation(
    *,
    transmit: tuple[float, float] = (1.0, 1.0),
    n_readouts: int = 2,
    with_map: bool = True,
    integrated: bool = False,
    form: InputForm = "complex",
) -> dict[str, float]:
    """Estimate a volume in which every voxel holds signal; the images themselves are counted in the peak."""
    from dataclasses import replace  # noqa: PLC0415 - see above
    from math import prod  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    from benchmarks.mp2rage_scenes import KNOWN, estimate, every_voxel, scene  # noqa: PLC0415
    from bids_t1.estimation.posterior.posterior import TransmitPrior  # noqa: PLC0415

    torch.set_num_threads(1)
    few = scene(N_SIMULATED, n_readouts=n_readouts, transmit=transmit)
    repeats = -(-prod(SHAPE) // N_SIMULATED)
    volume = replace(
        few,
        readouts=np.tile(few.readouts, repeats)[:, : prod(SHAPE)],
        transmit=np.tile(few.transmit.astype(np.float32), repeats)[: prod(SHAPE)],
    )
    start, computed = perf_counter(), process_time()
    with every_voxel():
        estimate(volume, with_map=with_map, prior=TransmitPrior() if integrated else KNOWN, form=form)
    return {"seconds": perf_counter() - start, "computed": process_time() - computed, "peak": peak()}


def measure_command(dataset: Path, options: list[str]) -> dict[str, float]:
    """Run the command on a dataset, from files to page."""
    from bids_t1.cli import main as run  # noqa: PLC0415

    start, computed = perf_counter(), process_time()
    with tempfile.TemporaryDirectory() as folder:
        how = ["participant", "--device", "cpu", "--maps-only", "--omp-nthreads", "2"]
        code = run([str(dataset), f"{folder}/out", *how, *options])
        if code:
            raise SystemExit(code)
        return {"seconds": perf_counter() - start, "computed": process_time() - computed, "peak": peak()}


def make_dataset(folder: Path) -> Path:
    """Fill the volume with copies of a small phantom, its map of the transmit field at half the resolution."""
    import nibabel as nib  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    from nibabel.processing import resample_from_to  # noqa: PLC0415

    small, large = folder / "small", folder / "large"
    words = [str(small), "--sequences", "MP2RAGE", "--resolution", "2"]
    subprocess.run([sys.executable, "-m", "bids_t1_phantom", *words], check=True)
    (large / "sub-01").mkdir(parents=True)
    shutil.copy(small / "dataset_description.json", large)
    images = {path: nib.Nifti1Image.from_filename(path) for path in small.glob("sub-01/*/*.nii.gz")}
    grid = next(image for path, image in images.items() if path.parent.name == "anat")
    for path, image in images.items():
        is_field = path.parent.name == "fmap"
        placed = resample_from_to(image, grid, order=1) if is_field else image
        data = np.asanyarray(placed.dataobj)
        data = np.tile(data, [-(-wanted // there) for wanted, there in zip(SHAPE, data.shape, strict=True)])
        data = data[tuple(slice(n) for n in SHAPE)]
        stride = 2 if is_field else 1
        target = large / path.relative_to(small)
        target.parent.mkdir(exist_ok=True)
        thinned = data[::stride, ::stride, ::stride].astype(np.float32)
        nib.save(nib.Nifti1Image(thinned, grid.affine @ np.diag([stride, stride, stride, 1])), target)
        sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
        shutil.copy(sidecar, target.with_name(sidecar.name))
    return large


def run_child(kind: str, case: str, dataset: Path) -> dict[str, Any]:
    """Measure one case in a process of its own."""
    words = ["--kind", kind, "--case", case, "--dataset", str(dataset)]
    child = [sys.executable, "-m", "benchmarks.mp2rage_speed", *words]
    done = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def print_table(kind: str, cases: list[str], dataset: Path, repeats: int) -> None:
    print(f"\n| {kind} | time, s: least of {repeats} | all | least processor time, s | peak, MB | load before |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        loads, found = [], []
        for _ in range(repeats):
            loads.append(os.getloadavg()[0])
            found.append(run_child(kind, case, dataset))
        times = [one["seconds"] for one in found]
        print(f"| {case} | {min(times):.1f} | {', '.join(f'{time:.1f}' for time in times)} ", end="")
        print(f"| {min(one['computed'] for one in found):.0f} | {max(one['peak'] for one in found):.0f} ", end="")
        print(f"| {', '.join(f'{load:.1f}' for load in loads)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kind", choices=("dataset", "estimation", "command"), help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--dataset", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kind == "dataset":
        make_dataset(arguments.dataset)
    elif arguments.kind == "estimation":
        print(json.dumps(measure_estimation(**ESTIMATIONS[arguments.case])))
    elif arguments.kind == "command":
        print(json.dumps(measure_command(arguments.dataset, COMMANDS[arguments.case])))
    else:
        with tempfile.TemporaryDirectory() as folder:
            shape = " x ".join(map(str, SHAPE))
            print(f"{shape} voxels, on two threads, {MB:.0e} bytes a MB; in the estimations every voxel holds signal")
            child = [sys.executable, "-m", "benchmarks.mp2rage_speed", "--kind", "dataset", "--dataset", folder]
            subprocess.run(child, check=True)
            print_table("estimation", list(ESTIMATIONS), Path(folder), arguments.repeats)
            print_table("command", list(COMMANDS), Path(folder, "large"), arguments.repeats)


if __name__ == "__main__":
    main()
