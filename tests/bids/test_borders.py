"""Whatever the files hold that somebody else wrote, there is a value that is right or an error of the family."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bids_t1.bids.discover import read_filters
from bids_t1.bids.given import parse_labels
from bids_t1.bids.protocol import read_protocol
from bids_t1.data.entities import ENTITY_ORDER, BidsName
from bids_t1.data.errors import BidsT1Error, InvalidInputError, UsageError
from bids_t1.data.sidecar import PLAUSIBLE

if TYPE_CHECKING:
    from pathlib import Path

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(st.dictionaries(st.sampled_from(["IRT1", "UNIT1", "x"]), VALUES))
@FEW
def test_a_filter_file_is_taken_as_it_is_or_refused_by_name(tmp_path: Path, content: dict[str, object]) -> None:
    path = tmp_path / "filter.json"
    path.write_text(json.dumps(content))
    try:
        assert json.dumps(read_filters(path)) == json.dumps(content)
    except UsageError as error:
        assert "filter.json" in str(error)  # noqa: PT017 - either is right


FIELDS = st.sampled_from(["InversionTime", "FlipAngle", "NumberShots", "UNIT1Scaling", "PhaseScaling", "other"])


@given(st.dictionaries(st.sampled_from(["MP2RAGE", "IRT1", "x"]), st.dictionaries(FIELDS, VALUES) | VALUES))
@FEW
def test_a_protocol_file_holds_what_can_be_or_is_refused_by_name(tmp_path: Path, content: dict[str, object]) -> None:
    path = tmp_path / "protocol.json"
    path.write_text(json.dumps(content))
    try:
        protocol = read_protocol(path)
    except UsageError as error:
        assert str(error).startswith("protocol.json")  # noqa: PT017 - either is right
    else:
        table = protocol.of("MP2RAGE")
        times = () if table is None else table.numbers("InversionTime") or ()
        assert all(PLAUSIBLE["InversionTime"].holds(time) for time in times)


@given(st.text(alphabet='index\tname\nabbreviation012-"\r\x00é', max_size=80))
def test_a_table_of_labels_gives_codes_and_words_or_is_refused_by_name(rows: str) -> None:
    try:
        found = parse_labels(f"index\tname\tabbreviation\n{rows}", "dseg.tsv")
    except InvalidInputError as error:
        assert str(error).startswith("dseg.tsv")  # noqa: PT017 - either is right
    else:
        assert all(isinstance(code, int) and isinstance(word, str) for code, word in found.items())


@given(st.dictionaries(st.integers(0, 99), st.sampled_from(["WM", "GM", "CSF"]), min_size=1))
def test_a_table_of_labels_is_read_as_it_was_written(meanings: dict[int, str]) -> None:
    rows = "".join(f"{code}\tany\t{word}\n" for code, word in meanings.items())
    assert parse_labels(f"index\tname\tabbreviation\n{rows}", "dseg.tsv") == meanings


@given(st.text(alphabet="sub-01_inv2.niégz \n\ud800", max_size=40) | st.text(max_size=40))
def test_any_name_is_one_of_bids_or_refused_in_words_that_can_be_written(text: str) -> None:
    try:
        name = BidsName.parse(text)
    except BidsT1Error as error:
        str(error).encode()
    else:
        assert BidsName.parse(str(name)) == name
        assert all(key in ENTITY_ORDER for key, _ in name.entities)


@given(st.dictionaries(st.sampled_from(["ses", "acq", "run", "inv"]), st.sampled_from(["1", "01", "2", "a"])))
def test_a_sidecar_describes_the_files_that_have_all_its_entities(entities: dict[str, str]) -> None:
    image = BidsName.build({"sub": "01", **entities}, "IRT1")
    for key in entities:
        assert image.having({key: None}, extension=".json").describes(image)
        assert not image.describes(image.having({key: None}))
    assert not image.having({}, suffix="MEGRE").describes(image)
