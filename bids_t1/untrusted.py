"""Text, JSON and TOML that somebody else wrote: whatever a file holds, its content or an error that names it."""

from __future__ import annotations

import errno
import json
import stat
import tomllib
from typing import TYPE_CHECKING, Any

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import brief

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 1 << 24
"""Metadata are smaller; what is larger is another kind of file [bytes]."""

DEEPEST = 50
"""No field of metadata holds lists in lists of this depth."""

LONGEST_NUMBER = 400
"""Digits of an integer beyond the range of double precision; Python would refuse to read those of 4300."""

POINTERS = (b"/annex/objects/", b"version https://git-lfs.github.com/spec")
"""Beginning of files that stand for a content that is elsewhere: of git-annex, DataLad and Git LFS."""

FETCH = "Fetch it: datalad get, git annex get or git lfs pull, whichever the dataset is kept with."


def require_content(path: Path, name: str) -> None:
    """Refuse what is no regular file with content of its own, without opening pipes and devices.

    Parameters
    ----------
    path
        The file.
    name
        How messages call it.

    Raises
    ------
    InvalidInputError
        If it is not there, a link to nothing or to itself, no regular file, not readable, or stands for content
        that was not fetched.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidInputError(f"{name}: is {_kind(path.stat().st_mode)}; expected a file.")
        with path.open("rb") as file:
            start = file.read(max(map(len, POINTERS)))
    except OSError as error:
        raise InvalidInputError(f"{name}: {_reason(path, error)}") from error
    if start.startswith(POINTERS):
        raise InvalidInputError(f"{name}: its content was not fetched; only a pointer to it is there. {FETCH}")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _reason(path: Path, error: OSError) -> str:
    """Say why a file cannot be opened."""
    if error.errno == errno.ELOOP:
        return "is a link that leads to itself; expected a file. Copy it again."
    if error.errno == errno.ENOENT and path.is_symlink():
        return (
            f"is a link to content that is not there; in a dataset of DataLad or git-annex it was not fetched. {FETCH}"
        )
    return f"cannot be read ({error.strerror}); expected a file. Check the path and its permissions."


def read_text(path: Path, name: str | None = None) -> str:
    """Read a text file in UTF-8, or in what its byte order mark says.

    Parameters
    ----------
    path
        The file.
    name
        How messages call it; its own name where None.

    Raises
    ------
    InvalidInputError
        If it cannot be read, is too large for metadata, or in another encoding.
    """
    name = path.name if name is None else name
    require_content(path, name)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise InvalidInputError(f"{name}: {_reason(path, error)}") from error
    if len(content) > LARGEST:
        raise InvalidInputError(f"{name}: is larger than {LARGEST >> 20} MB; expected metadata, which are small.")
    return _decoded(content, name)


def _decoded(content: bytes, name: str) -> str:
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        found = f"byte 0x{content[error.start]:02x} at position {error.start}"
        raise InvalidInputError(
            f"{name}: is not encoded in UTF-8 ({found}), most often because of an accent in Latin-1; BIDS expects "
            "UTF-8. Save it as UTF-8."
        ) from error


def read_json(path: Path, name: str | None = None) -> dict[str, Any]:
    """Read a JSON object: fields and their values.

    Numbers beyond double precision become infinite, and half a surrogate pair the replacement character: neither is
    refused where nobody asks for the field.

    Parameters
    ----------
    path
        The file.
    name
        How messages call it; its own name where None.

    Raises
    ------
    InvalidInputError
        If it cannot be read, is no JSON object, too deep, or gives one key two values.
    """
    name = path.name if name is None else name
    return parse_json(read_text(path, name), name)


def parse_json(text: str, name: str) -> dict[str, Any]:
    """Read a JSON object from text; see `read_json`."""

    def as_table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in pairs:
            if key in table and repr(table[key]) != repr(value):
                raise InvalidInputError(
                    f"{name}: {brief(key)} is there twice, with different values; expected each key once. Correct the "
                    "file."
                )
            table[key] = value
        return table

    try:
        content = _sound(json.loads(text, object_pairs_hook=as_table, parse_int=_integer))
    except RecursionError as error:
        raise InvalidInputError(
            f"{name}: holds lists or tables within one another, {DEEPEST} deep or more; expected field names and "
            "values. It is damaged or another kind of file."
        ) from error
    except ValueError as error:
        raise InvalidInputError(
            f"{name}: is no JSON object ({error}); expected field names and values in braces. Correct it."
        ) from error
    if not isinstance(content, dict):
        raise InvalidInputError(
            f"{name}: is no JSON object, but holds {_noun(content)}; expected field names and values in braces. "
            "Correct it."
        )
    return content


def _noun(content: object) -> str:
    """Name what stands in place of an object, without its values: they may be those of a person."""
    return "a list" if isinstance(content, list) else "text" if isinstance(content, str) else "a single value"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < LONGEST_NUMBER else float(digits)


def _sound(value: Any, depth: int = 0) -> Any:
    """Return parsed JSON with text that can be written again; raise RecursionError where it is too deep."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, dict):
        return {_sound(key): _sound(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_sound(item, depth + 1) for item in value]
    return value


def read_toml(path: Path, name: str | None = None) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InvalidInputError
        If it cannot be read, is no TOML, or too deep.
    """
    name = path.name if name is None else name
    return parse_toml(read_text(path, name), name)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Read TOML from text; see `read_toml`."""
    try:
        return {key: _sound(value) for key, value in tomllib.loads(text).items()}
    except (ValueError, RecursionError) as error:
        reason = str(error) or "too deep"
        raise InvalidInputError(f"{name}: cannot be read as TOML ({reason}); expected tables of fields.") from error
