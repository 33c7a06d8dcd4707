"""One small calibration for all tests that look at it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bids_t1.calibration import cross_validation
from bids_t1.calibration.cross_validation import calibrate
from tests.calibration.cohorts import BELIEVED, OPTIONS, TINY, cohort

if TYPE_CHECKING:
    from bids_t1.data.calibration import Calibration


@pytest.fixture(autouse=True)
def _network_of_two(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train networks with as few as two participants, and apply them, where the ladder is not what is tested."""
    if "ladder.py" not in request.node.nodeid:
        monkeypatch.setattr(cross_validation, "FEWEST_FOR_NETWORK", 2)
        monkeypatch.setattr(cross_validation, "choose", lambda _: "network")


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "FEWEST_FOR_NETWORK", 2)
        patch.setattr(cross_validation, "choose", lambda _: "network")
        return calibrate(cohort(3), replace(OPTIONS, plan=replace(TINY, steps=10)), believed=BELIEVED)
