"""Multi-echo gradient echo: decay, amplitude, phase and noise, as BIDS and as scanner files."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from bids_t1.data.errors import UsageError
from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas, Tissue
from bids_t1_phantom.head.head import Head, HeadOptions, make_head
from bids_t1_phantom.physics.gradient_echo import spoiled_pulses
from bids_t1_phantom.sequences.multi_echo_gre import (
    DEFAULT_ECHO_TIMES,
    EchoProtocol,
    EchoScan,
    acquire_echoes,
    true_amplitude,
)
from tests import validator

TINY = ["--resolution", "10", "--slices", "2"]
DCM2NIIX = Path(sys.executable).with_name("dcm2niix")


def _make(folder: Path, *arguments: str) -> Path:
    assert main([str(folder), *TINY, *arguments]) == 0
    return folder


def _values(path: Path) -> NDArray[np.float64]:
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    return np.asarray(image.get_fdata())


def _digests(folder: Path) -> dict[Path, str]:
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def head(atlas: Atlas) -> Head:
    return make_head(atlas, HeadOptions(resolution=6.0, slices=6), seed=0)


def _scan(head: Head, snr: float) -> EchoScan:
    return acquire_echoes(head, EchoProtocol(snr=snr), seed=0)


@pytest.mark.parametrize("repetition_time", [0.01, 0.04, 1.0])
@pytest.mark.parametrize("angle", [2.0, 15.0, 80.0])
def test_one_pulse_reaches_the_ernst_steady_state(repetition_time: float, angle: float) -> None:
    t1, field = np.array([0.1, 0.84, 4.0]), np.array([0.5, 1.0, 1.5])
    (signal,) = spoiled_pulses(t1, 3.0, flip_angles=[angle], delays=[repetition_time], transmit_field=field)
    turn, decay = np.deg2rad(angle) * field, np.exp(-repetition_time / t1)
    np.testing.assert_allclose(signal, 3 * np.sin(turn) * (1 - decay) / (1 - np.cos(turn) * decay), rtol=1e-7)


def test_a_log_linear_fit_of_noiseless_files_finds_the_truth(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "--sequences", "MEGRE", "--megre-snr", "inf")
    anat, truth = folder / "sub-01" / "anat", folder / "derivatives" / "truth" / "sub-01" / "anat"
    images = np.stack([_values(anat / f"sub-01_echo-{index}_MEGRE.nii.gz") for index in range(1, 7)])
    t2_star = _values(truth / "sub-01_desc-truth_T2starmap.nii.gz")
    amplitude = _values(truth / "sub-01_desc-truthMEGRE_M0map.nii.gz")
    matter = np.isfinite(t2_star)
    slope, intercept = np.polyfit(DEFAULT_ECHO_TIMES, np.log(images[:, matter]), 1)
    np.testing.assert_allclose(-1 / slope, t2_star[matter], rtol=1e-3)
    np.testing.assert_allclose(np.exp(intercept), amplitude[matter], rtol=1e-3)
    assert np.all(images[:, ~matter] == 0)
    assert np.all(amplitude[~matter] == 0)


def test_the_phase_of_polar_images_grows_with_the_off_resonance(head: Head) -> None:
    scan = _scan(head, np.inf)
    steps = np.angle(scan.images[1:] * scan.images[:-1].conj())[:, head.m0 > 0]
    spacing = np.diff(DEFAULT_ECHO_TIMES)[:, None]
    np.testing.assert_allclose(
        steps / spacing / (2 * np.pi), head.off_resonance[head.m0 > 0][None] + 0 * steps, atol=0.1
    )
    assert 2 < np.std(head.off_resonance[head.brain]) < 40


def test_tissues_have_their_decay_times_and_spread_about_them(head: Head) -> None:
    medians = {kind: np.median(head.t2_star[head.tissue == kind]) for kind in (Tissue.WHITE_MATTER, Tissue.GREY_MATTER)}
    assert medians[Tissue.WHITE_MATTER] == pytest.approx(0.048, rel=0.1)
    assert medians[Tissue.GREY_MATTER] == pytest.approx(0.060, rel=0.1)
    white = head.t2_star[head.tissue == Tissue.WHITE_MATTER]
    assert 0.01 < np.std(white) / np.mean(white) < 0.06
    assert np.all(np.isnan(head.t2_star[head.m0 == 0]))


def test_noise_is_the_amplitude_of_white_matter_over_the_snr(head: Head) -> None:
    difference = _scan(head, 20.0).images - _scan(head, np.inf).images
    white = true_amplitude(head, EchoProtocol())[head.tissue == Tissue.WHITE_MATTER]
    for channel in (difference.real, difference.imag):
        assert np.std(channel) == pytest.approx(np.median(white) / 20, rel=0.1)


@pytest.mark.parametrize("part", ["mag", "polar", "complex"])
def test_every_choice_of_images_validates_and_has_its_files(tmp_path: Path, part: str) -> None:
    folder = _make(tmp_path / "out", "--sequences", "MEGRE", "--megre-part", part, "--echo-times", "0.005", "0.02")
    labels = {"mag": [""], "polar": ["_part-mag", "_part-phase"], "complex": ["_part-real", "_part-imag"]}[part]
    names = {path.name for path in (folder / "sub-01" / "anat").glob("*.nii.gz")}
    assert names == {f"sub-01_echo-{index}{label}_MEGRE.nii.gz" for index in (1, 2) for label in labels}
    assert validator.errors(folder) == []
    assert validator.errors(folder / "derivatives" / "truth") == []


def test_sidecars_hold_the_protocol_in_seconds_and_degrees(tmp_path: Path) -> None:
    anat = _make(tmp_path / "out", "--sequences", "MEGRE", "--megre-part", "polar") / "sub-01" / "anat"
    for index, time in enumerate(DEFAULT_ECHO_TIMES, start=1):
        sidecar = json.loads((anat / f"sub-01_echo-{index}_part-phase_MEGRE.json").read_text())
        expected = {"EchoTime": time, "RepetitionTime": 0.04, "FlipAngle": 15, "MagneticFieldStrength": 3}
        assert {key: sidecar[key] for key in expected} == expected
        assert sidecar["Units"] == "rad"


def test_multi_echo_images_do_not_depend_on_what_else_is_scanned(tmp_path: Path) -> None:
    first, again, both = (
        _make(tmp_path / name, "--inversion-times", "0.1", "1.0", "--sequences", words)
        for name, words in (("a", "MEGRE"), ("b", "MEGRE"), ("c", "IRT1,MEGRE"))
    )
    assert _digests(first) == _digests(again)
    together = _digests(both)
    images = {path: digest for path, digest in _digests(first).items() if path.name.endswith("MEGRE.nii.gz")}
    assert images == {path: together[path] for path in images}
    assert any("IRT1" in path.name for path in together)


@pytest.mark.parametrize("times", [(), (0.01, 0.005), (0.01, 0.01), (4.0, 8.0), (-0.01, 0.02)])
def test_impossible_echo_times_are_usage_errors(times: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="echo times"):
        EchoProtocol.build(times, 50.0)


def test_late_echoes_get_a_longer_repetition_time() -> None:
    assert EchoProtocol.build((0.01, 0.06), 50.0).repetition_time > 0.06
    with pytest.raises(UsageError, match=r"0\.06 s"):
        EchoProtocol(echo_times=(0.01, 0.06), repetition_time=0.05)


N_SERIES = [
    ("siemens", [], 2),
    ("siemens", ["--one-series"], 1),
    ("siemens", ["--echo-series", "each"], 4),
    ("philips", [], 1),
    ("philips", ["--echo-series", "each"], 2),
    ("ge", [], 1),
    ("ge", ["--echo-series", "each"], 2),
]


@pytest.mark.parametrize(("vendor", "arguments", "n_series"), N_SERIES)
def test_scanner_files_number_the_echoes_within_their_series(
    tmp_path: Path, vendor: str, arguments: list[str], n_series: int
) -> None:
    folder = _make(
        tmp_path / "out", "--format", "dicom", "--layout", "flat", "--sequences", "MEGRE", "--megre-part", "polar",
        "--echo-times", "0.005", "0.02", "--vendor", vendor, *arguments,
    )  # fmt: skip
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert len(images) == 8
    assert len({image.SeriesInstanceUID for image in images}) == n_series
    assert len({image.SOPInstanceUID for image in images}) == 8
    assert {(image.EchoNumbers, image.EchoTime) for image in images} == {(1, 5), (2, 20)}
    assert {(image.RepetitionTime, image.FlipAngle) for image in images} == {(40, 15)}
    assert all("InversionTime" not in image for image in images)


@pytest.mark.parametrize("vendor", ["siemens", "philips", "ge"])
def test_a_converter_finds_the_decay_in_scanner_files(tmp_path: Path, vendor: str) -> None:
    folder = _make(
        tmp_path / "out", "--format", "dicom", "--layout", "flat", "--sequences", "MEGRE", "--vendor", vendor,
        "--megre-snr", "inf",
    )  # fmt: skip
    target = tmp_path / "nifti"
    target.mkdir()
    command = [str(DCM2NIIX), "-f", "%e", "-z", "y", "-o", str(target), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    times, images = [], []
    for path in sorted(target.glob("*.json")):
        times.append(json.loads(path.read_text())["EchoTime"])
        images.append(_values(path.with_suffix(".nii.gz")))
    assert times == pytest.approx(DEFAULT_ECHO_TIMES)
    bright = images[-1] > 0.3 * images[-1].max()
    slope, _ = np.polyfit(times, np.log(np.stack(images)[:, bright]), 1)
    truth = _values(tmp_path / "out_truth" / "sub-01" / "anat" / "sub-01_desc-truth_T2starmap.nii.gz")
    # dcm2niix flips axes, so sorted values are compared; twelve bits leave 0.1 % of the signal.
    bounds = np.nanpercentile(truth, [0, 100])
    assert np.all((-1 / slope > 0.9 * bounds[0]) & (-1 / slope < 1.1 * bounds[1]))
    assert np.median(-1 / slope) == pytest.approx(0.055, rel=0.2)
