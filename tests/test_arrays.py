"""Arrays in Python give what the command gives of files, and what cannot be is refused in words."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bids_t1
from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.physics.trains import MP2RAGE
from tests.command import participant
from tests.small_bids import REPETITION_TIME, TIMES, open_image, write_readouts, write_root, write_run

TI = (0.05, 0.2, 0.5, 1.0, 2.0, 3.0)
RNG = np.random.default_rng(3)


def recovery(t1: float, n: int = 400, sd: float = 5.0) -> np.ndarray:
    signal = 1000 * (1 - 1.95 * np.exp(-np.array(TI) / t1) + 0.95 * math.exp(-6 / t1))
    return signal[:, None] + sd * RNG.normal(size=(len(TI), n))


def test_signed_inversion_recovery_gives_t1_in_any_order_of_times_and_from_tensors() -> None:
    images = recovery(1.2)
    maps = bids_t1.fit_inversion_recovery(images, TI, 6.0)
    order = [3, 0, 5, 1, 4, 2]
    other = bids_t1.fit_inversion_recovery(torch.from_numpy(images[order]), np.array(TI)[order], [6.0] * 6)
    assert np.median(maps.t1) == pytest.approx(1.2, rel=0.01)
    np.testing.assert_allclose(maps["t1"], other.t1, rtol=1e-4)
    assert {"t1", "t1_sd", "m0", "kappa", "residual", "status"} <= set(maps)
    assert maps.t1.shape == (400,)


def test_magnitudes_keep_their_voxel_axes() -> None:
    maps = bids_t1.fit_inversion_recovery(np.abs(recovery(0.9)).reshape(len(TI), 20, 20), TI, 6.0)
    assert maps.t1.shape == (20, 20)
    assert np.nanmedian(maps.t1) == pytest.approx(0.9, rel=0.02)


def test_magnitudes_give_the_same_in_any_order_of_times() -> None:
    images, order = np.abs(recovery(1.2)), [3, 0, 5, 1, 4, 2]
    rising = bids_t1.fit_inversion_recovery(images, TI, 6.0)
    for times in (order, [5, 4, 3, 2, 1, 0]):
        other = bids_t1.fit_inversion_recovery(images[times], np.array(TI)[times], 6.0)
        for name in rising:
            np.testing.assert_array_equal(rising[name], other[name])
    assert np.nanmedian(rising.t1) == pytest.approx(1.2, rel=0.01)


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_the_axis_of_times_may_be_any_one(axis: int) -> None:
    images = np.abs(recovery(0.9)).reshape(len(TI), 20, 20)
    first = bids_t1.fit_inversion_recovery(images, TI, 6.0)
    other = bids_t1.fit_inversion_recovery(np.moveaxis(images, 0, axis), TI, 6.0, axis=axis)
    for name in first:
        np.testing.assert_array_equal(first[name], other[name])
    with pytest.raises(InvalidInputError, match="axis is 3; expected one of the 3 axes"):
        bids_t1.fit_inversion_recovery(images, TI, 6.0, axis=3)


def test_echoes_give_t2star() -> None:
    times = np.array([0.005, 0.01, 0.02, 0.03])
    images = 800 * np.exp(-times / 0.04)[:, None] + 2 * RNG.normal(size=(4, 300))
    assert np.nanmedian(bids_t1.fit_t2star(np.abs(images), times).t2star) == pytest.approx(0.04, rel=0.02)


def test_flip_angles_give_t1_and_need_b1() -> None:
    degrees, b1 = np.array([4, 10, 20]), np.full(500, 0.9)
    angle = np.radians(degrees)[:, None] * b1
    e = math.exp(-0.02 / 1.4)
    images = 1e4 * np.sin(angle) * (1 - e) / (1 - np.cos(angle) * e) + 3 * RNG.normal(size=(3, 500))
    maps = bids_t1.fit_vfa(images, degrees, 0.02, b1=b1, noise_sd=3.0)
    assert np.nanmedian(maps.t1) == pytest.approx(1.4, rel=0.01)
    assert np.nanmedian(bids_t1.fit_vfa(images, degrees, 0.02, b1=np.ones(500), noise_sd=3.0).t1) != pytest.approx(
        1.4, rel=0.05
    )


PROTOCOL: dict[str, Any] = {
    "inversion_times": (0.7, 2.5),
    "flip_angles": (4, 5),
    "excitation_time": 0.0069,
    "excitations": (88, 88),
    "cycle_time": 5.0,
}


def test_mp2rage_of_complex_readouts_gives_t1_with_its_interval() -> None:
    from bids_t1.sequences.mp2rage import Mp2rage  # noqa: PLC0415 - what the readouts are made of

    model = Mp2rage(
        cycle_time=5.0,
        inversion_times=(0.7, 2.5),
        excitation_times=(0.0069,) * 2,
        flip_angles=(math.radians(4), math.radians(5)),
        excitations=((88.0, 88.0),) * 2,
    )
    signal = model.signals(torch.tensor(1.3, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)).numpy()
    noise = RNG.normal(size=(2, 2, 600))
    images = 1000 * signal[:, None] + 0.5 * (noise[0] + 1j * noise[1])
    maps = bids_t1.fit_mp2rage(images, b1=np.ones(600), noise_sd=0.5, efficiency_sd=0.0, **PROTOCOL)
    assert np.median(maps.t1) == pytest.approx(1.3, rel=0.01)
    assert np.mean((maps.lower <= 1.3) & (maps.upper >= 1.3)) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bids_t1.fit_inversion_recovery(recovery(1.0), [50, 200, 500, 1000, 2000, 3000], 6.0), "milliseconds"),
        (lambda: bids_t1.fit_inversion_recovery(recovery(1.0), TI[:4], 6.0), "4 values for 6 images"),
        (lambda: bids_t1.fit_inversion_recovery(recovery(1.0)[0], TI, 6.0), "expected"),
        (lambda: bids_t1.fit_inversion_recovery(recovery(1.0), TI, -math.inf), "above 0"),
        (lambda: bids_t1.fit_inversion_recovery(recovery(1.0), (*TI[:5], math.inf), 6.0), "inversion_times is inf"),
        (lambda: bids_t1.fit_inversion_recovery(recovery(1.0), TI, 6.0, efficiency="none"), "free, learned, ideal"),  # type: ignore[arg-type]
        (lambda: bids_t1.fit_mp2rage(np.ones((2, 5)), **{**PROTOCOL, "flip_angles": (0.07, 0.09)}), "radians"),
        (lambda: bids_t1.fit_vfa(np.ones((2, 5)), [0.1, 0.3], 0.02), "radians"),
        (lambda: bids_t1.fit_vfa(np.ones((2, 5)), [5, 20], 15.0), "milliseconds"),
        (lambda: bids_t1.fit_mp2rage(**PROTOCOL), "neither readouts nor uni"),
        (lambda: bids_t1.fit_mp2rage(-np.ones((2, 5)), **PROTOCOL), "negative"),
        (lambda: bids_t1.fit_t2star(np.ones((2, 5)), [4, 8]), "milliseconds"),
    ],
)
def test_what_cannot_be_is_refused_in_words(call: object, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        call()  # type: ignore[operator]


def test_an_unknown_map_is_told_beside_those_that_there_are() -> None:
    with pytest.raises(AttributeError, match="no map 't2'; there are t1, t1_sd"):
        _ = bids_t1.fit_inversion_recovery(recovery(1.0, 50), TI, 6.0).t2


def test_the_package_imports_without_torch() -> None:
    code = "import sys, bids_t1; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_examples_of_the_documents_run() -> None:
    text = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)  # noqa: S102 - our own documents


def test_arrays_give_what_the_command_makes_of_the_same_files(tmp_path: Path) -> None:
    dataset, out = write_root(tmp_path / "bids"), tmp_path / "out"
    recovery_files, readout_files = write_run(dataset), write_readouts(dataset)
    assert participant(dataset, out, "--ir-fast-component", "none", "--mt-prior", "none").code == 0
    images = np.array([open_image(path).get_fdata(dtype=np.float32) for path in recovery_files])
    fitted = bids_t1.fit_inversion_recovery(images, TIMES, REPETITION_TIME)
    parts = np.array([open_image(path).get_fdata() for path in readout_files])
    posterior = bids_t1.fit_mp2rage(
        parts[::2] * np.exp(1j * parts[1::2]),
        inversion_times=MP2RAGE.inversion_times,
        flip_angles=MP2RAGE.flip_angles,
        excitation_time=MP2RAGE.excitation_times[0],
        excitations=(MP2RAGE.n_before, MP2RAGE.n_after),
        cycle_time=MP2RAGE.cycle_time,
    )
    for suffix, maps, tolerance in (("IRT1", fitted, 1e-5), ("MP2RAGE", posterior, 1e-4)):
        path = out / "sub-01" / "anat" / f"sub-01_desc-{suffix}_T1map.nii.gz"
        written = open_image(path).get_fdata()
        np.testing.assert_array_equal(np.isfinite(written), np.isfinite(maps.t1))
        np.testing.assert_allclose(written, maps.t1, rtol=tolerance)


def trains(*, noise_sd: float = 0.5) -> np.ndarray:
    """Return complex readouts of three tissues, (readout, x, y)."""
    from bids_t1.sequences.mp2rage import Mp2rage  # noqa: PLC0415 - what the readouts are made of

    model = Mp2rage(
        cycle_time=5.0,
        inversion_times=(0.7, 2.5),
        excitation_times=(0.0069,) * 2,
        flip_angles=(math.radians(4), math.radians(5)),
        excitations=((88.0, 88.0),) * 2,
    )
    times = torch.from_numpy(np.repeat([0.8, 1.3, 2.0], 20)[:, None].repeat(60, 1))
    noise = np.random.default_rng(5).normal(size=(2, 2, *times.shape))
    signals = 1000 * model.signals(times, torch.ones_like(times)).numpy()
    readouts: np.ndarray = signals + noise_sd * (noise[0] + 1j * noise[1])
    return readouts


def medians(maps: Any) -> np.ndarray:
    found: np.ndarray = np.nanmedian(maps.t1.reshape(3, -1), axis=1)
    return found


@pytest.mark.parametrize("phase", [10.0, 60.0])
def test_a_phase_between_readouts_is_taken_off_and_told(phase: float) -> None:
    readouts = trains()
    readouts[1] *= np.exp(1j * math.radians(phase))
    with pytest.warns(UserWarning, match=f"phase of readout 2 differs from that of readout 1 by {phase:.0f} degrees"):
        maps = bids_t1.fit_mp2rage(readouts, b1=np.ones(readouts.shape[1:]), **PROTOCOL)
    np.testing.assert_allclose(medians(maps), [0.8, 1.3, 2.0], rtol=0.005)


@pytest.mark.parametrize("form", ["complex", "magnitudes"])
def test_a_gain_that_uni_contradicts_is_told_and_does_not_change_t1(form: str) -> None:
    readouts = trains()
    uni = (readouts[0].conj() * readouts[1]).real / np.square(np.abs(readouts)).sum(0)
    readouts[0] *= 1.5
    given = readouts if form == "complex" else np.abs(readouts)
    with pytest.warns(UserWarning, match=r"readout 1 is as if it were 1\.\d+ times as bright"):
        maps = bids_t1.fit_mp2rage(given, uni=uni, b1=np.ones(uni.shape), **PROTOCOL)
    np.testing.assert_allclose(medians(maps), [0.8, 1.3, 2.0], rtol=0.01)


def test_readouts_that_their_protocol_cannot_give_are_told() -> None:
    readouts = trains()[::-1].copy()
    with pytest.warns(UserWarning, match="readouts 1 and 2 were exchanged"):
        bids_t1.fit_mp2rage(readouts, b1=np.ones(readouts.shape[1:]), **PROTOCOL)


@pytest.mark.parametrize("form", ["complex", "magnitudes", "UNI"])
def test_maps_of_another_shape_are_refused(form: str) -> None:
    readouts = {"complex": trains(), "magnitudes": np.abs(trains()), "UNI": None}[form]
    with pytest.raises(InvalidInputError, match=r"uni|b1 has the shape \(5, 5\); expected that of the images' voxels"):
        bids_t1.fit_mp2rage(readouts, uni=np.zeros((6, 5)), b1=np.zeros((5, 5)), **PROTOCOL)
    with pytest.raises(InvalidInputError, match="b1 has the shape"):
        bids_t1.fit_vfa(np.ones((2, 8)), [4, 20], 0.02, b1=np.ones(9))
