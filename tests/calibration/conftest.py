"""One small calibration for all tests that look at it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bids_t1.calibration.cross_validation import calibrate
from tests.calibration.cohorts import OPTIONS, TINY, cohort

if TYPE_CHECKING:
    from bids_t1.data.calibration import Calibration


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    return calibrate(cohort(3), replace(OPTIONS, plan=replace(TINY, steps=10)))
