"""Whatever a file of metadata holds or is, there is its content or an error that names it; nothing hangs or crashes."""

from __future__ import annotations

import json
import math
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import brief
from bids_t1.untrusted import DEEPEST, LARGEST, parse_json, parse_toml, read_json, read_text, read_toml

if TYPE_CHECKING:
    from pathlib import Path

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "x.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@given(st.dictionaries(st.text(), VALUES))
@settings(max_examples=30)
def test_what_the_json_module_writes_is_read_as_it_was(content: dict[str, Any]) -> None:
    text = json.dumps(content)
    assert json.dumps(parse_json(text, "x.json")) == text


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_any_bytes_are_an_object_or_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    try:
        assert isinstance(read_json(path), dict)
        assert isinstance(read_toml(path), dict)
    except InvalidInputError as error:
        assert str(error).startswith("x.json: ")  # noqa: PT017 - either is right


@given(st.text(alphabet='{}[]",:\\ud8009eE+-.truefalsn \n', max_size=60))
def test_any_text_is_an_object_or_an_error_that_names_the_file(text: str) -> None:
    for parse in (parse_json, parse_toml):
        try:
            json.dumps(parse(text, "x.json"), ensure_ascii=False, default=str).encode()
        except InvalidInputError as error:
            assert str(error).startswith("x.json: ")  # noqa: PT017 - either is right


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_byte_order_mark_and_utf_16_are_understood(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, '{"InstitutionName": "Universität", "InversionTime": 0.7}'.encode(encoding))
    assert read_json(path) == {"InstitutionName": "Universität", "InversionTime": 0.7}


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, '{"InstitutionName": "Universität"}'.encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"x\.json: is not encoded in UTF-8 \(byte 0xe4 at position 30\)"):
        read_json(path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "[" * 90 + "]" * 90 + "}"])
def test_depth_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"x\.json: holds lists or tables within one another, {DEEPEST} deep"):
        read_json(written(tmp_path, content))
    with pytest.raises(InvalidInputError, match=r"^x\.json: cannot be read as TOML"):
        read_toml(written(tmp_path, "a = " + content))


def test_a_key_with_two_values_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match=r"^x\.json: 'InversionTime' is there twice, with different values"):
        parse_json('{"InversionTime": 1.0, "RepetitionTime": 5, "InversionTime": 0.2}', "x.json")
    with pytest.raises(InvalidInputError, match="'b' is there twice"):
        parse_json('{"a": [{"b": 1, "b": true}]}', "x.json")
    assert parse_json('{"a": 1, "a": 1}', "x.json") == {"a": 1}


def test_numbers_beyond_double_precision_are_infinite_and_half_a_character_is_replaced() -> None:
    long = "9" * 5000
    found = parse_json(f'{{"n": {long}, "m": -{long}, "t": "a\\ud800", "\\udfff": 1}}', "x.json")
    assert found == {"n": math.inf, "m": -math.inf, "t": "a�", "�": 1}


def test_many_keys_are_read(tmp_path: Path) -> None:
    content = {f"key{number}": number for number in range(100_000)}
    assert read_json(written(tmp_path, json.dumps(content))) == content


def test_what_is_too_large_for_metadata_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    os.truncate(path, 100 * LARGEST)
    with pytest.raises(InvalidInputError, match=r"x\.json: is larger than 16 MB"):
        read_json(path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is a pipe; expected a file"),
        (lambda path: path.mkdir(), "is a folder; expected a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device; expected a file"),
        (lambda path: path.symlink_to(path), "is a link that leads to itself"),
        (
            lambda path: path.symlink_to("../.git/annex/objects/x"),
            "is a link to content that is not there.*datalad get",
        ),
        (lambda path: path.write_text("/annex/objects/MD5E-s9--0\n"), "its content was not fetched.*datalad get"),
        (lambda _: None, "cannot be read .No such file or directory.; expected a file"),
    ],
)
def test_only_files_with_content_are_opened(tmp_path: Path, make: Any, reason: str) -> None:
    make(tmp_path / "x.json")
    with pytest.raises(InvalidInputError, match=rf"^x\.json: {reason}"):
        read_text(tmp_path / "x.json")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("x.json")
        with pytest.raises(InvalidInputError, match=r"x\.json: is a socket; expected a file"):
            read_text(tmp_path / "x.json")


@given(VALUES)
@settings(max_examples=30)
def test_values_in_messages_are_short_and_of_one_line(value: object) -> None:
    assert len(brief(value)) <= 80
    assert brief(value).isascii()
    assert "\n" not in brief(value)
