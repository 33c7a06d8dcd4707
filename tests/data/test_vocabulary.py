"""Words of the field stay, and nothing else does, whatever was typed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_t1.data.vocabulary import (
    UNITS,
    WORDS,
    known_manufacturer,
    known_model,
    known_version,
    known_words,
    plain_letters,
    words,
)

PARTS = words("b d dis ep irt mp n nrage p r rage rho s sa star t tb w x")
"""Letters of words of which digits are a part, such as mp2rage."""

KEPT = (
    "t1_mp2rage_sag_p3_iso_UNI_Images", "t1_mp2rage_sag_p3_INV1_PHS", "*tfl3d1_16ns", "UNI-DEN", "T1W_SE_IR", "ShMOLLI",
    "IR TI 350 ms", "ir_ti0350", "TI=350ms", "gre_field_mapping", "tfl_b1map", "1.0x1.0x1.2mm iso", "0.8 mm iso", "3T",
    "ir_se", "Spin Echo", "run 2", "t1_mprage_sag_p2_iso_ND", "T1MapIR", "swi", "Head+Neck",
)  # fmt: skip

SECRETS = (
    "Li^Bo", "li bo", "LiBo", "P7", "山田^太郎", "山田", "Müller", "Mueller", "Muller", "22.11.1939", "22-11-1939",
    "19391122", "1939", "Hauptstr 5", "Weber^Eva", "030123456", "claustrophobic", "Schmidt", "charite", "0815",
    "O'Neill", "Anna-Maria", "Иванов", "Παπαδόπουλος", "محمد", "김", "\N{FULLWIDTH LATIN CAPITAL LETTER M}UELLER",
    "M\N{SOFT HYPHEN}ueller", "E.W.", "acc 0815", "Ti1mo", "R1chard", "٣٥٠", "eva.weber@example.org", "+49 30 123456",
    "MRN:4711", "1.2.276.0.7230010.3.1.4", "WEBER_EVA_F", "weberIR", "IRweber",
)  # fmt: skip


@pytest.mark.parametrize("text", KEPT)
def test_words_of_the_field_stay_as_they_are(text: str) -> None:
    assert known_words(text) == text


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "t1_{}_sag", "{} ir", "mp2rage{}", "UNI {} 350 ms"])
def test_a_name_number_or_date_is_dropped_wherever_it_stands(secret: str, around: str) -> None:
    left = known_words(around.format(secret))
    assert left.isascii()
    named = re.findall(r"\w{2,}", plain_letters(secret))
    assert not [word for word in named if word in plain_letters(left) and word not in {"ir", "acc"}]
    assert left or around in {"{}", "mp2rage{}"}


@pytest.mark.parametrize("name", ["Sag", "Head", "Field", "Mäp", "May", "t1"])
def test_a_word_of_the_field_that_is_the_patients_name_is_dropped(name: str) -> None:
    never = frozenset({plain_letters(name)})
    for text in (name, f"ir_{name}_ti350", f"ir {name.upper()}1 ti350", f"{name} ir ti350"):
        assert name.lower() not in known_words(text, never=never).lower()
    assert known_words("ir ti350", never=never) == "ir ti350"


@given(st.text(), st.sampled_from(SECRETS), st.text())
def test_no_text_brings_anything_but_known_words(before: str, secret: str, after: str) -> None:
    left = known_words(f"{before} {secret} {after}")
    assert left.isascii()
    assert not re.search(r"[0-9]{5}", left)
    tokens = [token for token in re.findall(r"[A-Za-z0-9]+", left) if token.lower() not in WORDS]
    pieces = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", " ".join(tokens))
    assert {piece.lower() for piece in pieces} <= WORDS | UNITS | PARTS


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("SIEMENS", "Siemens"), ("Siemens Healthineers", "Siemens"), ("GE MEDICAL SYSTEMS", "GE"), ("Gerda", None),
        ("Philips Medical Systems", "Philips"), ("Weber", None), (None, None), ("", None),
    ],
)  # fmt: skip
def test_a_manufacturer_is_one_of_those_that_are_known(text: str | None, known: str | None) -> None:
    assert known_manufacturer(text) == known


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("Prisma_fit", "Prisma fit"), ("DISCOVERY MR750", "DISCOVERY MR750"),
        ("MAGNETOM Free.Max", "MAGNETOM Free.Max"),
        ("Ingenia Elition X", "Ingenia Elition X"), ("Weber Prisma 1939", "Prisma"), ("Weber 22 X", ""), ("山田", ""),
    ],
)  # fmt: skip
def test_a_model_consists_of_known_words(text: str, known: str) -> None:
    assert known_model(text) == known


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("syngo MR E11", "syngo MR E11"), ("syngo MR XA30", "syngo MR XA30"), ("5.7.1\\5.7.1.0", "5.7.1 5.7.1.0"),
        ("N4_VE11C_LATEST_20160120", "N4 VE11C"), ("22.11.1939", ""), ("22.11.39", ""), ("P7", ""), ("Weber", ""),
        ("E11", ""), ("19391122", ""), ("MR Software release:DV25.1_R03_1802.a", "MR Software release DV25.1 R03"),
    ],
)  # fmt: skip
def test_a_version_looks_like_one(text: str, known: str) -> None:
    assert known_version(text) == known
