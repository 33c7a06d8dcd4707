"""Published phantoms and a brain through the command: python -m benchmarks.real_data FOLDER_OF_THE_PUBLIC_DATA."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_t1.data.estimate import VoxelStatus
from tests import command
from tests.integration.test_real_data import BRAIN_REPETITION_TIME, BRAIN_TIMES, IN_BRAIN, NICL2, read
from tests.small_bids import change_json, sidecar, write_root, write_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]


def run(bids_dir: Path, out_dir: Path, *options: str) -> None:
    answer = command.participant(bids_dir, out_dir, *options)
    if answer.code:
        raise SystemExit(answer.said)


def spheres(folder: Path, plate: str, work: Path, *options: str) -> list[tuple[float, float, float, int]]:
    """Return mean T1, its SD between pixels and median SD map [ms], and pixels with a value, of 5 x 5 pixels each."""
    run(folder, work, "--participant-label", plate, *options)
    centres = json.loads((folder.parent / "reference.json").read_text())[f"{folder.name}/{plate}"]["roi_centres_xy_px"]
    t1, sd = (1000 * read(work, f"IRT1{what}_T1map", plate)[..., 0] for what in ("", "sd"))
    found = []
    for x, y in np.rint(centres[:14]).astype(int):
        row = t1.shape[1] - 1 - y  # NIfTI counts rows from below
        where = np.s_[x - 2 : x + 3, row - 2 : row + 3]
        has_value = np.isfinite(t1[where])
        values = t1[where][has_value] if has_value.any() else np.array([np.nan])
        errors = sd[where][has_value] if has_value.any() else np.array([np.nan])
        found.append((values.mean(), values.std(), np.median(errors), int(has_value.sum())))
    return found


def print_phantom(data: Path, scanner: str, plate: str, work: Path) -> None:
    published = json.loads((data / "nist_ir/reference.json").read_text())[f"{scanner}/{plate}"]["published_t1_ms"]
    folder = data / "nist_ir" / scanner
    free = spheres(folder, plate, work / f"{scanner}-{plate}")
    learned = spheres(folder, plate, work / f"{scanner}-{plate}-learned", "--ir-efficiency", "learned")
    independent = NICL2[scanner] if plate == "plate5" else ()
    print(f"\n## {scanner} {plate}: 5 x 5 pixels, ms\n")
    print("| sphere | published | independent fit | bids_t1 | difference from published | SD between pixels ", end="")
    print("| SD map | pixels | difference from the fit | learned |\n|---|---|---|---|---|---|---|---|---|---|")
    for index, (mean, between, error, n_pixels) in enumerate(free):
        fit = independent[index] if index < len(independent) else None
        beside = "" if fit is None else f"{100 * (mean / fit - 1):+.1f} %"
        print(f"| {index + 1} | {published[index]:g} | {fit or ''} | {mean:.1f} ", end="")
        print(f"| {100 * (mean / published[index] - 1):+.1f} % | {between:.1f} | {error:.1f} | {n_pixels} ", end="")
        print(f"| {beside} | {learned[index][0]:.1f} |")


def print_brain(data: Path, work: Path) -> None:
    images = np.moveaxis(np.load(data / "invivo_ir/t1dataset.npy"), -1, 0)[..., None]
    inside = np.abs(images[-1]) > IN_BRAIN
    for efficiency in ("free", "learned"):
        folders: dict[str | None, Path] = {}
        for part in (None, "real"):
            dataset = write_root(work / f"brain-{efficiency}-{part}" / "data")
            for image in write_run(dataset, times=BRAIN_TIMES, images=images, parts=(part,)):
                change_json(sidecar(image), RepetitionTime=BRAIN_REPETITION_TIME)
            folders[part] = dataset.with_name("out")
            run(dataset, folders[part], "--ir-efficiency", efficiency, "--ir-fast-component", "none")
        maps = {part: read(folder, "IRT1_T1map")[inside] for part, folder in folders.items()}
        status = read(folders[None], "IRT1status_dseg")[inside]
        sd = read(folders[None], "IRT1sd_T1map")[inside]
        kappa = read(folders["real"], "IRT1_efficiencymap")[inside]
        both = np.isfinite(maps[None]) & np.isfinite(maps["real"])
        differ = both & (np.abs(maps[None] / maps["real"] - 1) >= 0.01)
        flagged = status == VoxelStatus.POLARITY_UNDECIDED
        covered = np.abs(maps[None] - maps["real"]) < 3 * sd
        print(f"\n## brain, {efficiency}\n\n| what | value |\n|---|---|")
        print(f"| voxels inside | {np.count_nonzero(inside):,} |")
        for part, values in maps.items():
            print(f"| with an estimate, {part or 'magnitudes'} | {100 * np.mean(np.isfinite(values)):.2f} % |")
            counts, edges = np.histogram(1000 * values[np.isfinite(values)], bins=np.arange(600, 1800, 20))
            print(f"| peak of white matter, {part or 'magnitudes'} | {edges[np.argmax(counts)] + 10:.0f} ms |")
        print(f"| T1 within 1 % | {100 * np.mean(np.abs(maps[None] / maps['real'] - 1) < 0.01):.2f} % |")
        print(f"| differ | {np.count_nonzero(differ)} |")
        print(f"| flagged undecided | {100 * np.mean(flagged):.2f} % |")
        print(f"| of those that differ, flagged | {100 * np.mean(flagged[differ]):.1f} % |")
        print(f"| of those flagged, differ | {100 * np.mean(differ[flagged]):.1f} % |")
        print(f"| flagged and differing, within 3 SD | {100 * np.mean(covered[differ & flagged]):.1f} % |")
        print(f"| median SD where not flagged | {1000 * np.nanmedian(sd[~flagged]):.1f} ms |")
        print(f"| kappa, 5th 50th 95th percentile | {np.nanpercentile(kappa, (5, 50, 95)).round(3)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that holds nist_ir and invivo_ir")
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as folder:
        for plate in ("plate5", "plate4"):
            for scanner in sorted(NICL2):
                print_phantom(data, scanner, plate, Path(folder))
        print_brain(data, Path(folder))


if __name__ == "__main__":
    main()
