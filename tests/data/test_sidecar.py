"""Untrusted metadata become checked SI values, or an error that says what to do."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import LONGEST_TIME, Sidecar, Unreadable

NAME = "sub-01_inv-1_IRT1.json"


def inversion_time(value: object) -> float | None:
    return Sidecar(NAME, {"InversionTime": value}).seconds("InversionTime")


@given(st.floats(1e-3, LONGEST_TIME, exclude_max=True))
def test_seconds_are_taken_as_they_are(value: float) -> None:
    assert inversion_time(value) == value


def test_a_missing_field_is_none() -> None:
    assert inversion_time(None) is None
    assert Sidecar(NAME, {}).seconds("InversionTime") is None
    assert Sidecar(NAME, {}).text("Manufacturer") is None


def test_milliseconds_are_told_from_seconds() -> None:
    expected = (
        "sub-01_inv-1_IRT1.json: InversionTime is 350; expected seconds, below 30. "
        "BIDS times are in seconds: divide by 1000 if these are milliseconds."
    )
    with pytest.raises(InvalidInputError, match=re.escape(expected)):
        inversion_time(350)


@pytest.mark.parametrize("value", [0, -0.35, -math.pi])
def test_times_that_are_not_positive_are_refused(value: float) -> None:
    with pytest.raises(InvalidInputError, match=rf"{NAME}: InversionTime is {value:g}; expected seconds, above 0"):
        inversion_time(value)


@pytest.mark.parametrize("value", ["0.35", [0.35, 0.4], [], [[0.35]], True, math.nan, math.inf, {"s": 0.35}, 10**400])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidInputError, match=f"{NAME}: InversionTime is .*; expected one number"):
        inversion_time(value)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_anything_gives_a_time_or_an_error_of_ours(value: object) -> None:
    try:
        time = inversion_time(value)
    except InvalidInputError as error:
        assert str(error).startswith(NAME)  # noqa: PT017 - either is right
    else:
        assert time is None or 1e-3 <= time < LONGEST_TIME


def test_a_list_of_one_number_is_that_number() -> None:
    assert inversion_time([0.35]) == 0.35
    assert Sidecar(NAME, {"FlipAngle": [4]}).number("FlipAngle") == 4


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("InversionTime", 1e-9, "seconds, 0.001 or more"),
        ("InversionTime", 1e-300, "seconds, 0.001 or more"),
        ("RepetitionTimeExcitation", 1e-12, "seconds, 0.0005 or more"),
        ("EchoTime", 4e-6, "seconds, 5e-05 or more"),
        ("EchoTime", 4.2, "seconds, below 1. BIDS times are in seconds: divide by 1000"),
        ("RepetitionTime", 8000, "seconds, below 30. BIDS times are in seconds: divide by 1000"),
        ("FlipAngle", -4, "degrees, above 0"),
        ("FlipAngle", 4000, "degrees, below 360"),
        ("MagneticFieldStrength", 30000, "tesla, below 25"),
    ],
)
def test_numbers_that_cannot_be_are_refused_below_as_well_as_above(key: str, value: float, expected: str) -> None:
    for read in (Sidecar.number, Sidecar.numbers):
        with pytest.raises(
            InvalidInputError, match=rf"{NAME}: {key} is {re.escape(f'{value:g}')}; expected {expected}"
        ):
            read(Sidecar(NAME, {key: value}), key)


def test_fields_that_cannot_be_read_tell_why_to_whoever_asks() -> None:
    sidecar = Sidecar(NAME, Unreadable(InvalidInputError("IRT1.json: is a pipe")))
    for read in (Sidecar.number, Sidecar.numbers, Sidecar.seconds, Sidecar.text):
        with pytest.raises(InvalidInputError, match="is a pipe"):
            read(sidecar, "InversionTime")
    with pytest.raises(InvalidInputError, match="is a pipe"):
        replace(sidecar, behind=Sidecar("p.toml", {"InversionTime": 0.4})).number("InversionTime")


def test_what_stands_behind_a_sidecar_counts_where_it_is_silent_and_every_value_knows_its_origin() -> None:
    table = Sidecar("p.toml", {"InversionTime": 0.4, "FlipAngle": 5, "Units": "rad"}, origin="protocol file p.toml")
    sidecar = Sidecar(NAME, {"InversionTime": 0.7, "FlipAngle": None}, behind=table)
    assert (sidecar.seconds("InversionTime"), sidecar.origin_of("InversionTime")) == (0.7, "sidecar")
    assert (sidecar.numbers("FlipAngle"), sidecar.origin_of("FlipAngle")) == ((5,), "protocol file p.toml")
    assert (sidecar.text("Units"), sidecar.get("Manufacturer")) == ("rad", None)
    assert sidecar.alone.number("FlipAngle") is None
    with pytest.raises(InvalidInputError, match=r"p\.toml: FlipAngle is 4000; expected degrees"):
        replace(sidecar, behind=Sidecar("p.toml", {"FlipAngle": 4000})).number("FlipAngle")


def test_text_that_is_no_text_is_left_out() -> None:
    assert Sidecar(NAME, {"Units": 3}).text("Units") is None
    assert Sidecar(NAME, {"Units": "rad"}).text("Units") == "rad"
