"""Brain and tissues against the truth, time and memory: python -m benchmarks.tissue [--head FILE --brain FILE]."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from scipy import ndimage

from bids_t1.data.grid import Grid
from bids_t1.data.tissue import TISSUES
from bids_t1.tissue.segment import Given, segment
from bids_t1.tissue.templates import load_template
from bids_t1_phantom.cli import main as phantom
from tests import command

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.tissue.templates import Template

SCENES = (
    ("IRT1", 0, 2.0, None),
    ("IRT1", 1, 2.0, None),
    ("IRT1", 2, 2.0, None),
    ("IRT1", 0, 1.0, None),
    ("IRT1", 1, 2.0, 8),
    ("IRT1", 3, 2.0, 1),
    ("MP2RAGE", 0, 2.0, None),
    ("MP2RAGE", 1, 2.0, None),
    ("MP2RAGE", 0, 2.0, 8),
)
"""Sequence, seed, voxels [mm] and slices."""

QUANTITIES = {"time": "{}_T1map", "amplitude": "{}_M0map", "uni": "{}_UNIT1", "robust_uni": "{}denoised_UNIT1"}


def read(path: Path) -> tuple[NDArray[Any], Grid]:
    image: Any = nibabel.nifti1.Nifti1Image.from_filename(path)
    return np.asarray(image.dataobj), Grid(image.shape, image.affine)


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float(2 * (found & true).sum() / max(1, found.sum() + true.sum()))


def measure(scene: tuple[str, int, float, int | None], template: Template) -> None:
    sequence, seed, resolution, slices = scene
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder, "raw"), Path(folder, "out")
        options = ["--sequences", sequence, "--seed", str(seed), "--resolution", str(resolution), "--snr", "30"]
        if phantom([str(raw), *options, *([] if slices is None else ["--slices", str(slices)])]):
            raise SystemExit(1)
        protocol = [part for path in raw.rglob("*protocol*.toml") for part in ("--protocol", str(path))]
        answer = command.participant(raw, out, *protocol)
        if answer.code:
            raise SystemExit(answer.said)
        found = {
            key: [*out.glob(f"sub-*/anat/*desc-{name.format(sequence)}.nii.gz")] for key, name in QUANTITIES.items()
        }
        read_maps = {key: read(paths[0]) for key, paths in found.items() if paths}
        truth = raw / "derivatives/truth/sub-01/anat"
        tissue, brain, t1 = (
            read(truth / f"sub-01_desc-{name}.nii.gz")[0] for name in ("tissue_dseg", "brain_mask", "truth_T1map")
        )
    maps = {key: values for key, (values, _) in read_maps.items()}
    began, used = time.perf_counter(), time.process_time()
    made = segment(maps, read_maps["time"][1], template=template, given=Given(), n_threads=2)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    dice = " | ".join(f"{overlap(made.tissue == kind, tissue == kind):.3f}" for kind in TISSUES)
    medians = " | ".join(
        f"{100 * (np.nanmedian(maps['time'][made.tissue == kind]) / np.median(t1[tissue == kind]) - 1):+.2f}"
        for kind in TISSUES
    )
    print(
        f"| {sequence} | {seed} | {resolution:g} | {slices or 'all'} | {overlap(made.brain, brain > 0):.3f} | {dice} ",
        end="",
    )
    print(f"| {medians} | {seconds:.0f} | {processor:.0f} | {memory:.1f} |", flush=True)


def measure_real(head: Path, brain: Path, template: Template) -> None:
    values, grid = read(head)
    bright = np.quantile(values[values > 0], 0.99)
    picture = {"robust_uni": (np.clip(values / bright, 0, 1) - 0.5).astype(np.float32)}
    made = segment(picture, grid, template=template, given=Given(), n_threads=2)
    true = ndimage.binary_fill_holes(read(brain)[0] > 0)
    volumes = [round(float(each.sum() * np.prod(grid.voxel_sizes)) / 1000) for each in (made.brain, true)]
    print(f"\n{head.name}: Dice of the brain {overlap(made.brain, true):.4f}; {volumes[0]} and {volumes[1]} ml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--head", type=Path, help="a real T1-weighted head")
    parser.add_argument("--brain", type=Path, help="the same without skull")
    arguments = parser.parse_args()
    template = load_template()
    print(f"{template.record['Name']}, {template.record['Source']}\n")
    names = " | ".join(kind.abbreviation for kind in TISSUES)
    print(f"| sequence | seed | mm | slices | brain | {names} | median of T1, %: {names} | s | s of processor | GiB |")
    print("|" + "---|" * 16)
    for scene in SCENES:
        measure(scene, template)
    if arguments.head and arguments.brain:
        measure_real(arguments.head, arguments.brain, template)


if __name__ == "__main__":
    main()
