"""Selective inversion recovery of the phantom, played pulse by pulse, gives back its T1 through the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1_phantom.physics.protocols import Protocol
from bids_t1_phantom.physics.selective_inversion_recovery import selective_inversion_recovery
from bids_t1_phantom.physics.two_pools import Pools
from tests import command
from tests.small_bids import open_image

if TYPE_CHECKING:
    from pathlib import Path

SIR = ("--inversion-times", "0.015", "0.015", "0.278", "1.007", "--recovery-times", "0.684", "4.121", "2.730", "0.010")


def test_the_train_leaves_next_to_nothing_so_that_images_stand_for_themselves() -> None:
    pools = Pools.build(np.array([0.9, 1.4]), bound_fraction=np.array([0.13, 0.06]), exchange=17.5, bound_rate=1.0)
    protocol = Protocol.build((0.015, 1.007), recovery_times=(0.684, 0.010))
    played = selective_inversion_recovery(pools, np.ones(2), protocol=protocol, inversion_efficiency=np.full(2, 1.95))
    again = Protocol.build((0.015, 1.007), recovery_times=(20.0, 0.010))
    apart = selective_inversion_recovery(pools, np.ones(2), protocol=again, inversion_efficiency=np.full(2, 1.95))
    np.testing.assert_array_equal(played[1], apart[1])
    assert (played[0] > apart[0]).all()


def test_the_program_finds_the_t1_of_tissue_and_more_macromolecules_in_white_matter(tmp_path: Path) -> None:
    dataset = command.phantom(tmp_path / "data", "--bias", "mt", "--snr", "200", *SIR)
    answer = command.participant(dataset, tmp_path / "out")
    assert answer.code == 0, answer.said
    truth = dataset / "derivatives" / "truth" / "sub-01" / "anat"
    t1, tissue = (
        np.asarray(open_image(next(truth.glob(name))).dataobj)
        for name in ("*truth_T1map.nii.gz", "*tissue_dseg.nii.gz")
    )
    found, share = (
        np.asarray(open_image(tmp_path / f"out/sub-01/anat/sub-01_desc-SIR_{name}.nii.gz").dataobj)
        for name in ("T1map", "poolratiomap")
    )
    white, grey = (tissue == 2) & np.isfinite(found), (tissue == 1) & np.isfinite(found)
    assert np.median(found[white] / t1[white]) == pytest.approx(1, abs=0.03)
    assert np.median(found[grey] / t1[grey]) == pytest.approx(1, abs=0.03)
    assert np.median(share[white]) > 1.5 * np.median(share[grey])
