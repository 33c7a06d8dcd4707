"""The rungs between a cubic and patches: tissue factors, what is believed of tissue, and a network of single voxels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bids_t1.calibration.application import apply
from bids_t1.calibration.baselines import fit_tissues, gather
from bids_t1.calibration.cross_validation import calibrate
from bids_t1.calibration.lattice import INPUTS, SCORED, to_lattice, to_sample
from bids_t1.calibration.model_file import load_model, save_model
from bids_t1.calibration.network import N_SLICES, RADIUS, make_network
from bids_t1.calibration.rungs import fit_all, restored, started
from bids_t1.data.calibration import FULL, PRESETS, SMALL, VOXELS, CalibrationOptions
from bids_t1.data.prior_correction import PriorCorrection
from bids_t1.data.tissue import Tissue
from tests.calibration.cohorts import BELIEVED, EDGE, MEASURED_RECORD, OPTIONS, RATIO, TINY, cohort, pair

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.data.calibration import Method

WHITE = Tissue.WHITE_MATTER


def test_a_factor_is_found_for_each_tissue_in_masks_of_the_run_itself() -> None:
    fitted = fit_tissues(gather([to_sample(pair(1), EDGE)]))
    assert fitted is not None
    factors = dict(fitted.factors)
    for tissue in SCORED:
        assert factors[tissue] == pytest.approx(1 / RATIO[tissue], rel=0.01)
    scan = to_lattice(pair(2).measured, EDGE)
    corrected = fitted(scan.time, scan.transmit, scan.tissue)
    fluid = scan.tissue == Tissue.FLUID
    np.testing.assert_array_equal(corrected[fluid], scan.time[fluid])


def test_without_masks_there_are_no_factors_of_tissues() -> None:
    scan = pair(1)
    bare = replace(scan, measured=replace(scan.measured, tissue=None))
    assert fit_tissues(gather([to_sample(bare, EDGE)])) is None
    assert "tissue" not in fit_all([to_sample(bare, EDGE)], MEASURED_RECORD, None)


def test_a_prior_needs_no_pairs_and_a_cubic_takes_what_it_leaves() -> None:
    samples = [to_sample(scan, EDGE) for scan in cohort(2)]
    found = fit_all(samples, MEASURED_RECORD, BELIEVED)
    white = samples[0].of(WHITE)
    scan, truth = samples[0].scan, samples[0].reference[white]
    slow, rest = (found[name](scan.time, scan.transmit, scan.tissue)[white] for name in ("prior", "prior_cubic"))
    np.testing.assert_allclose(slow / scan.time[white], np.exp(0.15), rtol=1e-4)
    assert abs(np.median(rest / truth) - 1) < 0.02 < abs(np.median(slow / truth) - 1)
    assert not {"prior", "prior_cubic"} & set(fit_all(samples, MEASURED_RECORD, None))


def test_every_simple_correction_is_made_of_its_numbers_again() -> None:
    samples = [to_sample(scan, EDGE) for scan in cohort(2)]
    scan = samples[0].scan
    for fitted in fit_all(samples, MEASURED_RECORD, BELIEVED).values():
        again = restored(fitted.numbers, MEASURED_RECORD)
        np.testing.assert_allclose(
            again(scan.time, scan.transmit, scan.tissue), fitted(scan.time, scan.transmit, scan.tissue), rtol=1e-6
        )


def test_a_prior_is_kept_at_its_edges_and_at_an_unknown_transmit_field() -> None:
    bent = replace(BELIEVED, factors=((0.1, 1.0, 0.0),) * 4, fields=(0.5, 1.5))
    assert PriorCorrection.of(bent.numbers) == bent
    scan = to_lattice(pair(1).measured, EDGE)
    far, unknown = (replace(scan, transmit=np.full_like(scan.transmit, value)) for value in (3.0, np.nan))
    ratio = [np.nanmedian(started(each, bent).time / scan.time) for each in (far, unknown)]
    np.testing.assert_allclose(ratio, np.exp([0.6, 0.1]), rtol=1e-4)
    assert started(scan, None) is scan


def test_a_network_of_single_voxels_sees_nothing_of_the_others() -> None:
    network = make_network("voxel", 1.0).eval()
    torch.nn.init.normal_(network.last.weight)
    patches = torch.randn(1, len(INPUTS) * N_SLICES, 2 * RADIUS + 3, 2 * RADIUS + 3)
    others = torch.randn_like(patches)
    others[:, 1::N_SLICES, RADIUS, RADIUS] = patches[:, 1::N_SLICES, RADIUS, RADIUS]
    with torch.inference_mode():
        assert network(patches)[0][0, 0, 0] == pytest.approx(float(network(others)[0][0, 0, 0]))
        assert network(patches)[0][0, 1, 1] != pytest.approx(float(network(others)[0][0, 1, 1]))


def test_the_full_preset_is_judged_beside_the_small_one_and_single_voxels() -> None:
    networks = CalibrationOptions(plan=FULL).networks
    assert list(networks) == ["voxel", "small", "network"]
    assert (networks["small"], networks["voxel"].kind) == (SMALL, "voxel")
    assert list(CalibrationOptions(plan=SMALL).networks) == ["voxel", "network"]


def test_single_voxels_learn_by_a_plan_of_their_own_with_each_preset() -> None:
    for name, plan in PRESETS.items():
        networks = CalibrationOptions(plan=plan, voxels=VOXELS[name]).networks
        assert (networks["voxel"].kind, networks["network"].kind) == ("voxel", "patch")
        assert {each.name for each in (networks["voxel"], networks["network"])} == {name}
    assert VOXELS["small"].steps * VOXELS["small"].epochs > SMALL.steps * SMALL.epochs


@pytest.mark.parametrize("rung", ["tissue", "prior_cubic", "voxel"])
def test_each_rung_is_saved_read_back_and_applied(
    rung: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bids_t1.calibration.cross_validation.choose", lambda _: rung)
    monkeypatch.setattr("bids_t1.calibration.cross_validation.FEWEST_FOR_NETWORK", 2 if rung == "voxel" else 9)
    found = calibrate(cohort(2), replace(OPTIONS, plan=replace(TINY, steps=2)), believed=BELIEVED)
    assert found.model.card.rung == rung
    save_model(found.model, tmp_path)
    model, scan = load_model(tmp_path / "model.safetensors"), pair(7)
    assert model.card == found.model.card
    calibrated = apply(model, scan.measured)
    white = (scan.reference.tissue == WHITE) & ~calibrated.outside_training
    assert abs(np.median(calibrated.time[white] / scan.reference.time[white]) - 1) < 0.06
    assert np.all(calibrated.time_sd[white] > 0)


def test_every_rung_has_its_own_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bids_t1.calibration.cross_validation.choose", lambda _: "scale")
    monkeypatch.setattr("bids_t1.calibration.cross_validation.FEWEST_FOR_NETWORK", 9)
    found = calibrate(cohort(3), OPTIONS, believed=BELIEVED).scores
    for row in found.summaries:
        assert row.within is not None
        assert row.least_within is not None
        assert 0 <= row.least_within <= row.within <= 1
        assert row.region_limit is not None
        assert row.region_limit > 0
    by_method = {row.method: row for row in found.summaries if row.tissue == WHITE}
    assert by_method["none"].region_limit > 2 * by_method["scale"].region_limit  # type: ignore[operator]
