"""Real scanner files: values after conversion give the known T1, and split frames keep their pixels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from scipy.optimize import minimize_scalar

from bids_t1.dicom.convert import Destination, convert
from bids_t1.dicom.reading.files import open_plain
from bids_t1.dicom.reading.slices import read_file
from bids_t1.dicom.reading.volumes import assemble
from bids_t1.dicom.writing.extract import lay_out
from tests.real_data import real_data

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, np.dtype[np.float64]]

REPETITION_TIME = 1.0
EXPECTED = {
    "philips_1p5t": (1856, 1413, 973, 706, 500, 354),
    "ge_1p5t": (1701, 1303, 946, 693, 500, 352),
}
"""T1 of the NiCl2 spheres 1 to 6 [ms], fitted independently to 5 x 5 means of the DICOM pixels."""


def misfit(t1: float, times: Array, signal: Array) -> float:
    """Least sum of squares with free M0 and efficiency, over all polarities, for a known TR."""
    recovery = 1 - np.exp(-times / t1)
    lost = np.exp(-REPETITION_TIME / t1) - np.exp(-times / t1)
    design = np.stack([recovery, lost], axis=1)
    signed = [np.where(np.arange(len(times)) < zero, -signal, signal) for zero in range(len(times) + 1)]
    solutions = [np.linalg.lstsq(design, values, rcond=None)[0] for values in signed]
    pairs = zip(signed, solutions, strict=True)
    return min(float(np.sum((values - design @ solution) ** 2)) for values, solution in pairs)


def fit(times: Array, signal: Array) -> float:
    grid = np.geomspace(0.05, 3.0, 200)
    best = int(np.argmin([misfit(t1, times, signal) for t1 in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    return float(minimize_scalar(misfit, bounds=bounds, args=(times, signal), method="bounded").x)


@pytest.mark.parametrize("scanner", sorted(EXPECTED))
def test_converted_phantom_gives_the_known_t1(scanner: str, tmp_path: Path) -> None:
    folder = real_data("nist_ir", scanner, "plate5")
    record = convert(folder, Destination(tmp_path / "raw", "plate5"), tmp_path / "work")
    assert len(record.written) == 12
    assert record.warnings == ()
    reference = json.loads((folder.parents[1] / "reference.json").read_text())
    centres = reference[f"{scanner}/plate5"]["roi_centres_xy_px"]
    images = [tmp_path / "raw" / name for name in record.written if name.endswith(".nii.gz")]
    times = [json.loads(path.with_suffix("").with_suffix(".json").read_text())["InversionTime"] for path in images]
    assert times == [0.05, 0.1, 0.2, 0.4, 0.6, 0.8]
    # dcm2niix turns rows over
    planes = [np.asarray(nib.nifti1.Nifti1Image.from_filename(path).get_fdata())[:, ::-1, 0] for path in images]
    for (x, y), expected in zip(centres, EXPECTED[scanner], strict=False):
        signal = np.array([np.abs(plane[x - 2 : x + 3, y - 2 : y + 3]).mean() for plane in planes])
        assert 1000 * fit(np.array(times), signal) == pytest.approx(expected, rel=0.003)


def test_frames_of_a_real_enhanced_file_are_cut_out_whole(tmp_path: Path) -> None:
    """Philips: 212 frames of two echoes, magnitude and phase, in one gzipped file."""
    path = real_data("dicom_vendors", "philips_enhanced_fieldmap") / "2001_WIP_fcMRI_Field_Mapping_e2_phMag.dcm.gz"
    volumes, failures = assemble(read_file(path).slices)
    assert failures == []
    kinds = sorted((volume.timing.echo_time or 0.0, volume.first.component) for volume in volumes)
    assert [component for _, component in kinds] == ["mag", "phase", "mag", "phase"]
    assert [len(volume.slices) for volume in volumes] == [53] * 4
    with open_plain(path) as file:
        whole = dcmread(file).pixel_array
    for index, volume in enumerate(volumes):
        folder = tmp_path / str(index)
        folder.mkdir()
        lay_out(volume, folder, frozenset())
        (cut,) = folder.iterdir()
        frames = sorted(plane.frame or 0 for plane in volume.slices)
        assert np.array_equal(dcmread(cut).pixel_array, whole[frames])
