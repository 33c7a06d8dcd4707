"""The posterior of T1 is right: as precise as the data allow, honest about it, and the same in every form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.estimation import chunks
from bids_t1.estimation.posterior import posterior, posterior_group
from bids_t1.estimation.posterior.posterior import (
    PosteriorOptions,
    ReadoutImages,
    TransmitPrior,
    estimate_posterior,
)
from bids_t1.sequences.mp2rage import Mp2rage
from tests.estimation.readout_scenes import Scene, estimate_scene, make_scene, shortest
from tests.sequences.test_mp2rage import seven_tesla

if TYPE_CHECKING:
    from bids_t1.data.estimate import PosteriorEstimate
    from bids_t1.data.forms import InputForm

BANDS = ((0.3, 0.7), (0.7, 1.2), (1.2, 2.0), (2.0, 3.0))
NOMINAL = torch.tensor(1.0, dtype=torch.float64)


@pytest.fixture
def every_voxel_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no voxel out for its low signal: that would be a selection among the truths."""
    monkeypatch.setattr(posterior_group, "FALSE_SIGNAL", 1 - 1e-12)
    monkeypatch.setattr(posterior_group, "MIN_SIGNAL_TO_NOISE", 0.0)


@pytest.mark.parametrize(
    ("n_readouts", "transmit", "limits"),
    [
        (2, (1.0, 1.0), (29, 35, 58, 106)),
        (3, (1.0, 1.0), (26, 34, 64, 130)),
        (2, (0.7, 1.3), (30, 36, 60, 110)),
    ],
    ids=["two readouts", "three readouts", "known transmit field"],
)
def test_errors_are_at_the_limit_of_the_information(
    n_readouts: int, transmit: tuple[float, float], limits: tuple[float, ...]
) -> None:
    scene = make_scene(n_readouts=n_readouts, transmit=transmit, n_voxels=150_000)
    estimate = estimate_scene(scene)
    for (low, high), limit in zip(BANDS, limits, strict=True):
        error = (estimate.time - scene.time)[scene.within(low, high)]
        assert 1000 * math.sqrt(np.mean(error**2)) < limit


@pytest.mark.usefixtures("every_voxel_counts")
@pytest.mark.parametrize("n_readouts", [2, 3])
@pytest.mark.parametrize("noise_sd", [0.0005, 0.001, 0.005])
def test_intervals_cover_truths_drawn_from_the_prior(noise_sd: float, n_readouts: int) -> None:
    scene = make_scene(noise_sd=noise_sd, n_readouts=n_readouts, transmit=(0.7, 1.3))
    estimate = estimate_scene(scene)
    covered = (estimate.lower <= scene.time) & (scene.time <= estimate.upper)
    assert 0.94 < covered.mean() < 0.96


def reference(scene: Scene, voxel: int) -> tuple[float, ...]:
    """Compute the numbers of one posterior on a fine grid, in double precision."""
    times = torch.linspace(0.02, 6.0, 60_001, dtype=torch.float64)
    field = torch.tensor(scene.transmit[voxel].astype(np.float32), dtype=torch.float64)
    signals = scene.model.signals(times, field)
    data = torch.from_numpy(scene.readouts[:, voxel].astype(np.complex128))[:, None]
    energy = signals.square().sum(0)
    explained = (signals * data).sum(0).abs().square() / energy
    log_density = explained / (2 * scene.noise_sd**2) - torch.log(energy)
    density = torch.exp(log_density - log_density.max())
    density[[0, -1]] /= 2
    density /= density.sum()
    mean = float((density * times).sum())
    sd = math.sqrt(float((density * (times - mean).square()).sum()))
    return float(times[log_density.argmax()]), mean, sd, *shortest(times.numpy(), log_density.numpy())


@pytest.mark.usefixtures("every_voxel_counts")
@pytest.mark.parametrize("noise_sd", [0.0001, 0.001, 0.005])
@pytest.mark.parametrize("n_readouts", [2, 3])
def test_summaries_are_those_of_a_fine_grid(n_readouts: int, noise_sd: float) -> None:
    scene = make_scene(n_readouts=n_readouts, noise_sd=noise_sd, time=(0.3, 5.0), transmit=(0.7, 1.3), n_voxels=150)
    estimate = estimate_scene(scene)
    expected = np.array([reference(scene, voxel) for voxel in range(150)])
    found = np.stack([estimate.time, estimate.mean, estimate.time_sd, estimate.lower, estimate.upper], axis=1)
    apart = np.abs(found - expected) / expected[:, 2:3]  # in SDs of each posterior
    assert np.median(apart, axis=0).max() < 0.02
    assert np.quantile(apart, 0.95, axis=0).max() < 0.1


@pytest.mark.parametrize("transmit", [0.7, 0.85, 1.0, 1.15, 1.3])
def test_a_map_of_the_transmit_field_leaves_no_bias(transmit: float) -> None:
    for time in (0.5, 0.9, 1.45, 2.2):
        scene = make_scene(
            noise_sd=0.0005, time=(time, time + 1e-9), transmit=(transmit, transmit + 1e-9), n_voxels=20_000
        )
        bias = np.median(estimate_scene(scene).time) / time - 1
        assert abs(bias) < 0.005


def test_estimates_do_not_step_with_the_transmit_field() -> None:
    scene = make_scene(noise_sd=1e-9, time=(1.2, 1.2), transmit=(0.9, 0.9), n_voxels=2001)
    fields = np.linspace(0.85, 0.95, 2001).astype(np.float32)
    images = ReadoutImages(form="complex", readouts=scene.readouts, transmit=fields)
    options = PosteriorOptions(noise_sd=0.001)
    time = estimate_posterior(scene.model, images, options).time.astype(np.float64)
    steps = np.diff(time)
    assert np.abs(steps - steps.mean()).max() < 2e-4


def test_estimates_are_continuous_in_t1() -> None:
    times = np.linspace(0.8, 1.6, 4001)
    readouts = seven_tesla(2).signals(torch.from_numpy(times), NOMINAL).numpy().astype(np.complex64)
    images = ReadoutImages(form="complex", readouts=readouts)
    found = estimate_posterior(
        seven_tesla(2), images, PosteriorOptions(noise_sd=1e-5, transmit_prior=TransmitPrior(sd=0))
    )
    np.testing.assert_allclose(found.time, times, atol=5e-4)
    np.testing.assert_allclose(found.point, times, atol=5e-4)


@pytest.mark.parametrize("transmit", [0.7, 0.85, 1.0, 1.15, 1.3])
def test_without_a_map_the_interval_widens_and_covers(transmit: float) -> None:
    scene = make_scene(time=(0.3, 3.0), transmit=(transmit, transmit + 1e-9), n_voxels=10_000)
    known = estimate_scene(scene)
    unknown = estimate_scene(scene, with_map=False, prior=TransmitPrior())
    covered = (unknown.lower <= scene.time) & (scene.time <= unknown.upper)
    assert covered.mean() > 0.9
    assert np.median((unknown.upper - unknown.lower) / (known.upper - known.lower)) > 1.5
    assert unknown.transmit is None


def test_without_a_map_intervals_cover_fields_within_thirty_percent() -> None:
    scene = make_scene(time=(0.3, 3.0), transmit=(0.7, 1.3), n_voxels=20_000)
    estimate = estimate_scene(scene, with_map=False, prior=TransmitPrior())
    assert ((estimate.lower <= scene.time) & (scene.time <= estimate.upper)).mean() > 0.95


def test_voxels_outside_of_the_map_use_the_prior_and_say_so() -> None:
    scene = make_scene(time=(0.8, 1.6), n_voxels=2000)
    field = np.ones(2000, np.float32)
    field[::2] = np.nan
    field[1] = 5.0
    images = ReadoutImages(form="complex", readouts=scene.readouts, transmit=field)
    estimate = estimate_posterior(scene.model, images, PosteriorOptions(noise_sd=scene.noise_sd))
    alone = estimate_scene(scene, with_map=False, prior=TransmitPrior())
    assert estimate.transmit is not None
    np.testing.assert_array_equal(np.isnan(estimate.transmit), (np.arange(2000) % 2 == 0) | (np.arange(2000) == 1))
    np.testing.assert_allclose(estimate.time[::2], alone.time[::2], atol=1e-4)


def forms(scene: Scene) -> dict[str, ReadoutImages]:
    field = scene.transmit.astype(np.float32)
    magnitudes = np.abs(scene.readouts)
    return {
        "UNIT1 and magnitudes": ReadoutImages(
            form="UNIT1 and magnitudes", readouts=magnitudes, uni=scene.uni, transmit=field
        ),
        "UNIT1 and last magnitude": ReadoutImages(
            form="UNIT1 and last magnitude", readouts=magnitudes[1:2], uni=scene.uni, transmit=field
        ),
        "UNIT1": ReadoutImages(form="UNIT1", uni=scene.uni.reshape(100, -1, 1), transmit=field.reshape(100, -1, 1)),
    }


@pytest.mark.parametrize("form", ["UNIT1 and magnitudes", "UNIT1 and last magnitude", "UNIT1"])
def test_every_form_with_uni_gives_the_same_t1_within_the_noise(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posterior, "looks_like_noise", lambda uni: np.zeros(uni.shape, bool))  # voxels in no order
    scene = make_scene(time=(0.3, 3.0), transmit=(0.8, 1.2), n_voxels=20_000)
    complete = estimate_scene(scene)
    estimate = estimate_scene(scene, images=forms(scene)[form])
    apart = (estimate.time.ravel() - complete.time) / complete.time_sd
    assert np.nanquantile(np.abs(apart), 0.99) < 1
    assert abs(np.nanmedian(apart)) < 0.1
    covered = (estimate.lower.ravel() <= scene.time) & (scene.time <= estimate.upper.ravel())
    assert 0.94 < covered.mean() < 0.97


def of_magnitudes(scene: Scene) -> PosteriorEstimate:
    return estimate_scene(scene, images=ReadoutImages(form="magnitudes", readouts=np.abs(scene.readouts)))


def test_magnitudes_alone_get_their_signs_from_an_even_m0() -> None:
    scene = make_scene(noise_sd=0.0005, time=(0.3, 4.0), m0=(0.95, 1.05), n_voxels=20_000)
    complete, estimate = estimate_scene(scene), of_magnitudes(scene)
    elsewhere = np.abs(estimate.time - complete.time) > 4 * complete.time_sd
    assert elsewhere.mean() < 0.03
    assert (estimate.two_modes[elsewhere] == 1).mean() > 0.9


@pytest.mark.usefixtures("every_voxel_counts")
def test_magnitudes_alone_are_flagged_where_both_signs_explain_them() -> None:
    scene = make_scene(noise_sd=0.0005, m0=(0.3, 3.0), n_voxels=20_000)
    complete, estimate = estimate_scene(scene), of_magnitudes(scene)
    elsewhere = np.abs(estimate.time - complete.time) > 4 * complete.time_sd
    assert elsewhere.mean() > 0.1
    assert (estimate.two_modes[elsewhere] == 1).mean() > 0.95
    covered = (estimate.lower <= scene.time) & (scene.time <= estimate.upper)
    assert covered.mean() > 0.92


def two_valued() -> Mp2rage:
    """Return a protocol whose S turns at -1/2, from where on the first readout is the larger one."""
    return Mp2rage(
        cycle_time=3.0,
        inversion_times=(0.4, 1.4),
        excitation_times=(0.006, 0.006),
        flip_angles=(math.radians(5), math.radians(5)),
        excitations=((50.0, 50.0), (50.0, 50.0)),
    )


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("form", ["UNIT1", "UNIT1 and last magnitude", "complex"])
def test_a_protocol_with_two_t1_for_one_s_is_flagged_not_cut(form: InputForm, which: int) -> None:
    model, noise_sd = two_valued(), 0.0003
    times = torch.linspace(0.3, 6.0, 6000, dtype=torch.float64)
    uni = model.uni(times, NOMINAL).numpy()
    twins = times.numpy()[np.flatnonzero(np.diff(np.sign(uni + 0.42)))]
    assert len(twins) == 2
    signals = model.signals(torch.tensor([twins[which]], dtype=torch.float64), NOMINAL).numpy()
    noise = np.random.default_rng(5).standard_normal((2, 2, 20**3)) * noise_sd
    readouts = (signals + noise[0] + 1j * noise[1]).astype(np.complex64).reshape(2, 20, 20, 20)
    measured = ((readouts[0].conj() * readouts[1]).real / np.square(np.abs(readouts)).sum(0)).astype(np.float32)
    images = {
        "UNIT1": ReadoutImages(form="UNIT1", uni=measured),
        "UNIT1 and last magnitude": ReadoutImages(form=form, uni=measured, readouts=np.abs(readouts[1:])),
        "complex": ReadoutImages(form="complex", readouts=readouts),
    }[form]
    options = PosteriorOptions(noise_sd=noise_sd, transmit_prior=TransmitPrior(sd=0))
    estimate = estimate_posterior(model, images, options)
    covered = (estimate.lower <= twins[which]) & (twins[which] <= estimate.upper)
    if form == "complex":  # the magnitudes tell the two apart
        assert estimate.two_modes.mean() < 0.01
        assert np.median(estimate.time) == pytest.approx(twins[which], rel=0.02)
        assert covered.mean() > 0.93
    else:
        assert (estimate.status == VoxelStatus.TWO_MODES).mean() > 0.9


def test_noise_is_found_in_the_background_and_in_the_residuals() -> None:
    scene = make_scene(time=(0.5, 3.0), n_voxels=20_000)
    rng = np.random.default_rng(11)
    air = 0.001 * (rng.standard_normal((2, 20_000)) + 1j * rng.standard_normal((2, 20_000)))
    for readouts, origin in (
        (np.concatenate([scene.readouts, air.astype(np.complex64)], axis=1), "background"),
        (scene.readouts, "phase differences"),
    ):
        options = PosteriorOptions(transmit_prior=TransmitPrior(sd=0))
        estimate = estimate_posterior(scene.model, ReadoutImages(form="complex", readouts=readouts), options)
        assert estimate.noise.value == pytest.approx(0.001, rel=0.03)
        assert origin in estimate.noise.origin


def test_the_noise_of_uni_alone_is_found_among_neighbours() -> None:
    scene = make_scene(time=(0.9, 0.9), n_voxels=30**3)
    images = ReadoutImages(form="UNIT1", uni=scene.uni.reshape(30, 30, 30))
    estimate = estimate_posterior(scene.model, images, PosteriorOptions(transmit_prior=TransmitPrior(sd=0)))
    assert estimate.noise.value == pytest.approx(0.001, rel=0.05)
    covered = (estimate.lower <= 0.9) & (estimate.upper >= 0.9)
    assert 0.93 < covered.mean() < 0.97


def test_the_noise_of_uni_alone_is_told_by_tissue() -> None:
    """M0 of white matter is smaller, as is its T1: with one M0 for all, its intervals held 92 % and others 97 %."""
    tissues = {0.85: 1.0, 1.2: 1.1, 1.6: 1.2}
    scenes = [make_scene(time=(t1, t1), m0=(m0, m0), n_voxels=20 * 30**2) for t1, m0 in tissues.items()]
    uni = np.concatenate([scene.uni.reshape(20, 30, 30) for scene in scenes])
    times = np.repeat(list(tissues), 20)
    images = ReadoutImages(form="UNIT1", uni=uni)
    estimate = estimate_posterior(scenes[0].model, images, PosteriorOptions(transmit_prior=TransmitPrior(sd=0)))
    held = (estimate.lower <= times[:, None, None]) & (times[:, None, None] <= estimate.upper)
    for tissue in tissues:
        assert held[times == tissue].mean() == pytest.approx(0.95, abs=0.01)


def test_the_background_of_uni_alone_gets_no_t1() -> None:
    rng = np.random.default_rng(2)
    uni = rng.uniform(-0.5, 0.5, (40, 40, 20)).astype(np.float32)
    uni[10:30, 10:30, 5:15] = 0.2 + 0.01 * rng.standard_normal((20, 20, 10))
    estimate = estimate_posterior(seven_tesla(2), ReadoutImages(form="UNIT1", uni=uni), PosteriorOptions())
    found = np.isfinite(estimate.time)
    assert found[12:28, 12:28, 7:13].all()
    found[9:31, 9:31, 4:16] = False
    assert found.mean() < 0.05


def test_background_and_undefined_voxels_have_a_status_and_no_number() -> None:
    scene = make_scene(time=(0.8, 1.6), n_voxels=3000)
    readouts = scene.readouts.copy()
    readouts[:, :1000] *= 0
    readouts[0, 1000:1100] = np.nan
    images = ReadoutImages(form="complex", readouts=readouts)
    estimate = estimate_posterior(scene.model, images, PosteriorOptions(noise_sd=0.001))
    assert (estimate.status[:1000] == VoxelStatus.NO_SIGNAL).all()
    assert (estimate.status[1000:1100] == VoxelStatus.NOT_FINITE).all()
    assert (estimate.status[1100:] == VoxelStatus.FITTED).all()
    for values in (estimate.time, estimate.mean, estimate.lower, estimate.upper, estimate.confidence, estimate.point):
        assert np.isnan(values[:1100]).all()
        assert np.isfinite(values[1100:]).all()


def test_confidence_tells_signal_from_noise() -> None:
    good = estimate_scene(make_scene(time=(0.8, 1.6), n_voxels=2000))
    poor = estimate_scene(make_scene(time=(0.8, 1.6), noise_sd=0.02, n_voxels=2000))
    assert np.median(good.confidence) > 0.9
    assert np.nanmedian(poor.confidence) < np.median(good.confidence)


def test_m0_is_the_amplitude_at_full_magnetisation() -> None:
    scene = make_scene(noise_sd=0.0002, time=(0.8, 1.6), transmit=(0.8, 1.2), n_voxels=5000)
    estimate = estimate_scene(scene)
    assert estimate.amplitude is not None
    assert np.median(estimate.amplitude) == pytest.approx(1.0, rel=0.002)
    np.testing.assert_allclose(estimate.rate, 1 / estimate.time)


def test_chunks_and_threads_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_scene(transmit=(0.7, 1.3), n_voxels=9000)
    once = estimate_scene(scene, n_threads=1)
    again = estimate_scene(scene, n_threads=2)
    np.testing.assert_array_equal(once.time, again.time)
    np.testing.assert_array_equal(once.upper, again.upper)
    monkeypatch.setattr(chunks, "CHUNK", 700)
    small = estimate_scene(scene)
    np.testing.assert_allclose(small.time, once.time, rtol=1e-3)


@pytest.mark.parametrize(
    "images",
    [
        ReadoutImages(form="complex", readouts=np.ones((3, 10), np.complex64)),
        ReadoutImages(form="UNIT1 and magnitudes", readouts=np.ones((2, 10), np.float32)),
        ReadoutImages(form="UNIT1"),
    ],
    ids=["three for two", "no UNI", "nothing"],
)
def test_images_that_do_not_match_the_model_are_refused(images: ReadoutImages) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        estimate_posterior(seven_tesla(2), images, PosteriorOptions())


def test_images_without_signal_are_refused() -> None:
    images = ReadoutImages(form="complex", readouts=np.zeros((2, 1000), np.complex64))
    with pytest.raises(InvalidInputError, match="voxels have signal"):
        estimate_posterior(seven_tesla(2), images, PosteriorOptions())


@pytest.mark.gpu
def test_a_gpu_gives_the_same_posterior() -> None:
    scene = make_scene(transmit=(0.7, 1.3))
    images = ReadoutImages(form="complex", readouts=scene.readouts, transmit=scene.transmit.astype(np.float32))
    on = {
        device: estimate_posterior(scene.model, images, PosteriorOptions(noise_sd=0.001, device=device))
        for device in ("cpu", "cuda")
    }
    np.testing.assert_allclose(on["cuda"].time, on["cpu"].time, rtol=1e-3)
