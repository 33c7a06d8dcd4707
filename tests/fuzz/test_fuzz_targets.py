"""Metadata of any kind raise expected failures only: a few inputs of chance; ``python -m tests.fuzz`` tries more."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fuzz.__main__ import NAMES
from tests.fuzz.targets import TARGETS


def test_the_command_knows_every_target() -> None:
    assert set(NAMES) == set(TARGETS)


@pytest.mark.parametrize("name", NAMES)
def test_chance_meets_expected_failures_only(name: str) -> None:
    rng = np.random.default_rng(7)
    for length in rng.integers(0, 120, 25):
        TARGETS[name](rng.bytes(int(length)))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_an_input_too(name: str) -> None:
    TARGETS[name](b"")
