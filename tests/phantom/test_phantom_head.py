"""Heads look like heads, differ from each other, and are reproducible."""

from dataclasses import replace

import numpy as np
import pytest

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.head.anatomy import Atlas, Tissue
from bids_t1_phantom.head.head import T1, Head, HeadOptions, make_grid, make_head
from bids_t1_phantom.physics.protocols import WHITE_MATTER_M0, Protocol
from bids_t1_phantom.sequences.inversion_recovery import acquire

OPTIONS = HeadOptions(resolution=5.0)


@pytest.fixture(scope="module")
def head(atlas: Atlas) -> Head:
    return make_head(atlas, OPTIONS, seed=3)


def test_every_tissue_is_there_in_plausible_amount(head: Head) -> None:
    litres = np.bincount(head.tissue.ravel(), minlength=14) * OPTIONS.resolution**3 * 1e-6
    bounds = {
        Tissue.GREY_MATTER: (0.6, 1.4), Tissue.WHITE_MATTER: (0.35, 0.9), Tissue.FLUID: (0.15, 0.6),
        Tissue.DEEP_GREY_MATTER: (0.01, 0.05), Tissue.BONE: (0.2, 0.8), Tissue.FAT: (0.3, 1.0),
    }  # fmt: skip
    for tissue, (least, most) in bounds.items():
        assert least < litres[tissue] < most, tissue


def test_tissue_t1_is_near_its_published_value(head: Head) -> None:
    for tissue in (Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.FLUID, Tissue.DEEP_GREY_MATTER):
        values = head.t1[head.tissue == tissue]
        assert np.median(values) == pytest.approx(T1[tissue], rel=0.12)
        assert 0.01 < np.std(values) / np.mean(values) < 0.06


def test_air_has_no_magnetisation_and_no_t1(head: Head) -> None:
    air = head.tissue == Tissue.AIR
    assert np.all(head.m0[air] == 0)
    assert np.all(np.isnan(head.t1[air]))
    assert np.all(np.isfinite(head.t1[~air]))


def test_inversion_efficiency_has_the_mean_and_spread_asked_for(head: Head) -> None:
    inside = head.inversion_efficiency[head.brain]
    assert np.mean(inside) == pytest.approx(1.93, abs=0.02)
    assert 0.005 < np.std(inside) < 0.04


def test_inversion_efficiency_may_depend_on_the_tissue(atlas: Atlas, head: Head) -> None:
    options = replace(OPTIONS, efficiency_offset={Tissue.WHITE_MATTER: -0.1})
    shifted = make_head(atlas, options, seed=3)
    change = shifted.inversion_efficiency - head.inversion_efficiency
    np.testing.assert_allclose(change[head.tissue == Tissue.WHITE_MATTER], -0.1, atol=1e-12)
    np.testing.assert_array_equal(change[head.tissue == Tissue.FLUID], 0)


def test_participants_have_different_heads_and_tissues(atlas: Atlas, head: Head) -> None:
    other = make_head(atlas, OPTIONS, seed=3, participant=2)
    assert np.mean(other.tissue[head.brain] != head.tissue[head.brain]) > 0.1
    white = Tissue.WHITE_MATTER
    assert np.median(other.t1[other.tissue == white]) != np.median(head.t1[head.tissue == white])


def test_the_same_seed_gives_the_same_head(atlas: Atlas, head: Head) -> None:
    np.testing.assert_array_equal(make_head(atlas, OPTIONS, seed=3).t1, head.t1)


def test_a_slice_is_the_same_head_at_the_same_place(atlas: Atlas, head: Head) -> None:
    options = replace(OPTIONS, slices=1)
    one = make_head(atlas, options, seed=3)
    centre = one.grid.affine @ [*(np.array(one.grid.shape) // 2), 1]
    whole = np.rint(np.linalg.inv(head.grid.affine) @ centre)[:3].astype(int)
    assert one.grid.shape[2] == 1
    # The grids are not aligned: T1 agrees within its variation between neighbouring voxels of a tissue.
    found, expected = one.t1[tuple(np.array(one.grid.shape) // 2)], head.t1[tuple(whole)]
    assert found == pytest.approx(expected, rel=0.5)


@pytest.mark.parametrize("options", [HeadOptions(resolution=0.1), HeadOptions(slices=0), HeadOptions(slices=1000)])
def test_impossible_grids_are_refused(options: HeadOptions) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        make_grid(options)


@pytest.mark.parametrize("snr", [20.0, 50.0])
def test_noise_has_the_level_asked_for_in_both_channels(head: Head, snr: float) -> None:
    protocol = Protocol.build((0.3, 2.0), snr=snr)
    noisy = acquire(head, protocol, seed=3).images
    clean = acquire(head, Protocol.build((0.3, 2.0), snr=np.inf), seed=3).images
    noise = noisy - clean
    n_values = noise.size
    for channel in (noise.real, noise.imag):
        assert np.std(channel) == pytest.approx(WHITE_MATTER_M0 / snr, rel=5 / np.sqrt(2 * n_values))
        assert abs(np.mean(channel)) < 5 * WHITE_MATTER_M0 / snr / np.sqrt(n_values)


def test_phase_correction_recovers_the_sign(head: Head) -> None:
    scan = acquire(head, Protocol.build((0.05, 3.0), snr=np.inf), seed=3)
    white = head.tissue == Tissue.WHITE_MATTER
    signed = scan.part("signed")
    assert np.all(signed[0][white] < 0)
    assert np.all(signed[1][white] > 0)
    np.testing.assert_allclose(np.abs(signed), scan.part("mag"), atol=1e-3)


def test_background_of_magnitude_images_is_rayleigh(head: Head) -> None:
    scan = acquire(head, Protocol.build((0.3,)), seed=3)
    air = scan.part("mag")[0][head.tissue == Tissue.AIR]
    assert np.mean(air) == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.02)
