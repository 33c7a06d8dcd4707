"""Intervals of MP2RAGE where the inversion efficiency is another than told: python -m benchmarks.mp2rage_efficiency."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np

from bids_t1_phantom.head.anatomy import Tissue
from tests import command

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLD = ("0.96", "0.025")
"""Prior of the efficiency that the command is told; its SD is the default."""

INPUTS = {
    "two readouts": ("MP2RAGE", "polar"),
    "three readouts": ("MP3RAGE", "polar"),
    "UNI and magnitudes": ("MP2RAGE", "uni-mag"),
    "UNI alone": ("MP2RAGE", "uni"),
}

FIELDS = {
    "map": (),
    "map, SD 0.02 told": ("--inversion-efficiency-prior", "0.96", "0.02"),
    "no map, prior 0.3": ("--no-b1",),
    "no map, prior 0.15": ("--no-b1", "--b1-prior", "1", "0.15"),
}

TISSUES = {
    "white": Tissue.WHITE_MATTER,
    "grey": Tissue.GREY_MATTER,
    "deep grey": Tissue.DEEP_GREY_MATTER,
    "fluid": Tissue.FLUID,
}


def spread(n_heads: int) -> np.ndarray:
    """Return efficiencies of heads at the quantiles of a normal distribution, of mean 0.96 and SD 0.02."""
    scores = np.array([NormalDist().inv_cdf((index + 0.5) / n_heads) for index in range(n_heads)])
    efficiencies: np.ndarray = 0.96 + 0.02 * scores / scores.std()
    return efficiencies


def read(folder: Path, pattern: str) -> np.ndarray:
    (path,) = folder.rglob(pattern)
    image: Any = nibabel.nifti1.Nifti1Image.from_filename(path)
    return np.asarray(image.dataobj)


def scan(raw: Path, source: str, efficiency: float, seed: int) -> None:
    sequence, form = INPUTS[source]
    command.phantom(
        raw, "--sequences", sequence, "--mp2rage-form", form, "--mp2rage-efficiency", f"{efficiency:.5f}",
        "--seed", str(seed), "--slices", "8",
    )  # fmt: skip


def held(raw: Path, out: Path, *options: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tissue, whether the interval holds the truth, and T1 over the truth of every voxel with an estimate."""
    protocol = [part for path in raw.rglob("*protocol*.toml") for part in ("--protocol", str(path))]
    answer = command.participant(raw, out, "--inversion-efficiency-prior", *TOLD, *protocol, *options)
    if answer.code:
        raise SystemExit(answer.said)
    truth, maps = raw / "derivatives/truth", out / "sub-01"
    true, tissue = read(truth, "*desc-truth_T1map.nii.gz"), read(truth, "*desc-tissue_dseg.nii.gz")
    lower, upper = (read(maps, f"*desc-*{side}_T1map.nii.gz") for side in ("lower", "upper"))
    found = read(maps, "*desc-MP[23]RAGE_T1map.nii.gz")
    known = np.isfinite(found)
    return tissue[known], ((lower <= true) & (true <= upper))[known], (found / true)[known]


def row(source: str, efficiencies: Sequence[float] | np.ndarray) -> dict[str, list[str]]:
    """Return cells of each way to know the transmit field: share held by tissue, and median of T1 over the truth.

    The last cell is the largest standard error of a share, if voxels are independent.
    """
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in FIELDS}
    for seed, efficiency in enumerate(efficiencies):
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder, "raw")
            scan(raw, source, efficiency, seed)
            for index, (name, options) in enumerate(FIELDS.items()):
                parts[name].append(held(raw, Path(folder, f"out{index}"), *options))
    cells = {}
    for name, several in parts.items():
        tissue, holds, ratio = (np.concatenate(values) for values in zip(*several, strict=True))
        of = [tissue == label for label in TISSUES.values()]
        cells[name] = [f"{100 * holds[one].mean():.1f} ({100 * (np.median(ratio[one]) - 1):+.1f})" for one in of]
        cells[name].append(f"{100 * max(holds[one].std() / np.sqrt(one.sum()) for one in of):.2f}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=8, help="heads of each line")
    n_heads = parser.parse_args().heads
    played: dict[str, Sequence[float] | np.ndarray] = {
        "N(0.96, 0.02)": spread(n_heads),
        "0.93": [0.93] * n_heads,
        "0.99": [0.99] * n_heads,
    }
    print("Share of the 95 % intervals that hold T1, % (median error of T1, %)\n")
    print(f"| input | efficiency | B1+ | {' | '.join(TISSUES)} | error |\n|---|---|---|---|{'---|' * len(TISSUES)}")
    for source in INPUTS:
        for efficiency, values in played.items():
            for field, shares in row(source, values).items():
                print(f"| {source} | {efficiency} | {field} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
