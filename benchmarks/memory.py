"""Peak memory over the size of the input, each case in a fresh process: python -m benchmarks.memory."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

# Linux lets a process begin with the peak of the one that started it: nothing heavy is imported before the child runs.

CASES = ("estimate-free", "estimate-learned", "command")
MB = 1e6


def peak() -> float:
    """Return the most memory this process, or a child of it, has held so far [MB]."""
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return used * 1024 / MB


def measure_estimate(n_voxels: int, *, learned: bool) -> dict[str, float]:
    """Fit a large array of simulated voxels; the array itself is counted in the peak."""
    import numpy as np  # noqa: PLC0415 - see above
    import torch  # noqa: PLC0415

    from bids_t1.estimation.curves.engine import EstimationOptions, estimate  # noqa: PLC0415
    from tests.estimation.scenes import MODEL, scene  # noqa: PLC0415

    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    few = scene(2, rng.uniform(0.3, 3.0, 16_000), 1.93).magnitudes
    baseline = peak()
    images = np.empty((len(few), n_voxels), np.float32)
    for start in range(0, n_voxels, few.shape[1]):
        images[:, start : start + few.shape[1]] = few[:, : n_voxels - start]
    estimate(MODEL, images, "magnitude", EstimationOptions(learn_ratio=learned, n_threads=2))
    return {"input": images.nbytes / MB, "baseline": baseline, "peak": peak()}


def measure_command(dataset: Path) -> dict[str, float]:
    """Run the command on a dataset, from files to page."""
    import nibabel as nib  # noqa: PLC0415

    import bids_t1.participant  # noqa: F401, PLC0415
    from bids_t1.cli import main as run  # noqa: PLC0415

    images = [nib.Nifti1Image.from_filename(path) for path in sorted(dataset.glob("sub-*/anat/*IRT1.nii.gz"))]
    size = sum(4 * image.shape[0] * image.shape[1] * image.shape[2] for image in images) / MB
    baseline = peak()
    with tempfile.TemporaryDirectory() as folder:
        code = run([str(dataset), f"{folder}/out", "participant", "--device", "cpu", "--maps-only"])
    if code:
        raise SystemExit(code)
    return {"input": size, "baseline": baseline, "peak": peak()}


def run_child(case: str, arguments: argparse.Namespace, dataset: Path) -> dict[str, float]:
    """Measure one case in a process of its own."""
    words = ["--case", case, "--voxels", str(arguments.voxels), "--dataset", str(dataset)]
    child = [sys.executable, "-m", "benchmarks.memory", *words]
    done = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=4_000_000, help="voxels of the array, each with 10 values")
    parser.add_argument("--resolution", default="1.25", help="voxel edge of the phantom head for the command [mm]")
    parser.add_argument("--dataset", type=Path, help="BIDS dataset for the command instead of a phantom")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case == "command":
        print(json.dumps(measure_command(arguments.dataset)))
        return
    if arguments.case:
        print(json.dumps(measure_estimate(arguments.voxels, learned=arguments.case == "estimate-learned")))
        return
    print("| case | input, MB | after import, MB | peak, MB | (peak - import) / input | allowed: 2 inputs + 1 GB, MB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        dataset = arguments.dataset
        if dataset is None:
            dataset = Path(folder, "phantom")
            words = [str(dataset), "--resolution", arguments.resolution]
            subprocess.run([sys.executable, "-m", "bids_t1_phantom", *words], check=True, stdout=subprocess.DEVNULL)
        for case in CASES:
            found = run_child(case, arguments, dataset)
            used = (found["peak"] - found["baseline"]) / found["input"]
            row = f"| {case} | {found['input']:.0f} | {found['baseline']:.0f} | {found['peak']:.0f} | {used:.2f} "
            print(f"{row}| {2 * found['input'] + 1000:.0f} |", flush=True)


if __name__ == "__main__":
    main()
