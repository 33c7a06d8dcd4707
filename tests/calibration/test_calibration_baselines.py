"""Simple corrections find what they can find."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_t1.calibration.baselines import Pairs, fit_efficiency, fit_polynomial, fit_scale, gather, protocol_of
from bids_t1.calibration.lattice import SCORED, to_sample
from bids_t1.sequences.mp2rage import Mp2rage
from tests.calibration.cohorts import EDGE, MEASURED_RECORD, pair

TIMES = np.linspace(0.7, 2.2, 300)


def pairs(reference: np.ndarray, time: np.ndarray = TIMES, transmit: np.ndarray | None = None) -> Pairs:
    field = np.ones_like(time) if transmit is None else transmit
    return Pairs(time=time, reference=reference, transmit=field, tissue=np.zeros_like(time), weight=1 / reference**2)


def test_one_factor_is_found() -> None:
    corrected = fit_scale(pairs(1.17 * TIMES))(TIMES)
    np.testing.assert_allclose(corrected, 1.17 * TIMES, rtol=1e-5)


@pytest.mark.parametrize("powers", [(0, 1), (0, 1, 2, 3)])
def test_a_polynomial_is_found(powers: tuple[int, ...]) -> None:
    reference = sum(0.3 / (1 + power) * TIMES**power for power in powers) + 0.6 * TIMES
    corrected = fit_polynomial(pairs(np.asarray(reference)), powers)(TIMES)
    np.testing.assert_allclose(corrected[2:-2], reference[2:-2], rtol=1e-4)


def test_beyond_what_it_was_fitted_to_a_polynomial_is_a_constant_factor() -> None:
    fitted = fit_polynomial(pairs(0.2 + 1.1 * TIMES), (0, 1, 2, 3))
    far = np.array([fitted.limits[1], 4.0, 6.0])
    np.testing.assert_allclose(fitted.factor(far), fitted.factor(far)[0], rtol=1e-6)


def test_an_efficiency_that_falls_with_r1_is_found_from_t1_that_was_read_without_it() -> None:
    used = protocol_of(MEASURED_RECORD)
    assert used is not None
    true = Mp2rage(
        cycle_time=used.cycle_time,
        inversion_times=used.inversion_times,
        excitation_times=used.excitation_times,
        flip_angles=used.flip_angles,
        excitations=used.excitations,
        efficiency=1.0,
        efficiency_slope=-0.2,
    )
    transmit = 1 + 0.2 * np.sin(np.arange(len(TIMES)))
    uni = true.uni(torch.from_numpy(TIMES), torch.from_numpy(transmit)).numpy()
    nodes = np.geomspace(0.1, 5, 4000)
    curves = used.uni(torch.from_numpy(nodes)[None, :], torch.from_numpy(transmit)[:, None]).numpy()
    read = np.array([np.interp(-s, -curve[500:], nodes[500:]) for s, curve in zip(uni, curves, strict=True)])
    assert np.max(np.abs(read / TIMES - 1)) > 0.05
    fitted = fit_efficiency(pairs(TIMES, read, transmit), used)
    assert fitted.efficiency == pytest.approx(1.0, abs=0.02)
    assert fitted.slope == pytest.approx(-0.2, abs=0.02)
    np.testing.assert_allclose(fitted(read, transmit), TIMES, rtol=5e-3)


def test_a_record_without_timing_has_no_efficiency() -> None:
    assert protocol_of({"InversionTimes": [0.7, 2.5]}) is None


def test_angles_of_a_record_are_degrees() -> None:
    protocol = protocol_of(MEASURED_RECORD)
    assert protocol is not None
    assert protocol.flip_angles == pytest.approx((math.radians(4), math.radians(5)))


def test_noise_of_inversion_recovery_makes_no_factor_smaller() -> None:
    sample, rng = to_sample(pair(1), EDGE), np.random.default_rng(0)
    noisy = 1.2 * sample.scan.time * (1 + 0.12 * rng.standard_normal(sample.reference.shape).astype(np.float32))
    found = gather([replace(sample, reference=noisy)])
    assert fit_scale(found).coefficients[1] == pytest.approx(1.2, rel=0.005)
    line = fit_polynomial(found, (0, 1))
    np.testing.assert_allclose(line(TIMES[:200]), 1.2 * TIMES[:200], rtol=0.01)


def test_tissues_weigh_the_same_whatever_their_size() -> None:
    sample = to_sample(pair(1), EDGE)
    found = gather([sample])
    counts = [int(sample.of(tissue).sum()) for tissue in SCORED]
    parts = np.split(found.weight, np.cumsum(counts)[:-1])
    assert [part.sum() for part in parts] == pytest.approx([1, 1, 1])
