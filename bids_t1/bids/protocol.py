"""The protocol file: what a user says about a scan where its metadata are silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError, UsageError
from bids_t1.data.protocol import Protocol, Texts
from bids_t1.data.sequences import SEQUENCES, TRANSMIT_METHODS
from bids_t1.data.sidecar import Sidecar, brief
from bids_t1.untrusted import parse_json, parse_toml, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bids_t1.data.protocol import Numbers, ProtocolField

DOCUMENTATION = 'The page "The protocol file" of the documentation (docs/protocol.md in the source) describes it.'


TABLES: Mapping[str, Mapping[str, ProtocolField]] = {
    **{sequence.name: sequence.protocol for sequence in SEQUENCES},
    **{method.suffix: method.protocol for method in TRANSMIT_METHODS if method.protocol},
}
"""Fields by table; every sequence lists those that it reads."""


def read_protocol(path: Path | None) -> Protocol:
    """Read a protocol file in TOML or JSON; without one, the protocol is empty.

    Raises
    ------
    UsageError
        If it cannot be read, or a table, a field or a value is none that is known.
    """
    if path is None:
        return Protocol()
    content = _read(path)
    tables = {}
    for name, fields in content.items():
        if name not in TABLES or not isinstance(fields, dict):
            raise UsageError(
                f"{path.name}: {brief(name)} is no table that is known; expected {_listed(TABLES)}, and fields in "
                f"them. {DOCUMENTATION}"
            )
        table = Sidecar(path.name, fields)
        for key in fields:
            _check(name, table, key)
        tables[name] = table
    return Protocol(tables)


def _read(path: Path) -> dict[str, object]:
    kind = path.suffix.lower()
    try:
        text = read_text(path)
        as_json = kind == ".json" or (kind != ".toml" and text.lstrip().startswith("{"))
        return parse_json(text, path.name) if as_json else parse_toml(text, path.name)
    except InvalidInputError as error:
        raise UsageError(
            f"{error} A protocol file holds tables in TOML or JSON: {_listed(TABLES)}. {DOCUMENTATION}"
        ) from error


def _check(name: str, table: Sidecar, key: str) -> None:
    """Refuse a field that is not known or holds something else."""
    field = TABLES[name].get(key)
    if field is None:
        raise UsageError(
            f"{table.name} [{name}]: {brief(key)} is no field that is known; expected {_listed(TABLES[name])}. "
            f"{DOCUMENTATION}"
        )
    where = f"{table.name} [{name}]: {key} is {brief(table.fields[key])}"
    if isinstance(field, Texts):
        if table.fields[key] not in field.choices:
            raise UsageError(f"{where}; expected one of {_listed(field.choices)}.")
        return
    _check_numbers(where, table.fields[key], field)


def _check_numbers(where: str, value: object, field: Numbers) -> None:
    try:
        values = Sidecar(where, {"": value}).numbers("") or ()  # ranges are checked below, with more words
    except InvalidInputError as error:
        raise UsageError(f"{where}; expected numbers: {field.expected}.") from error
    if field.most_values is not None and len(values) > field.most_values:
        raise UsageError(f"{where}; expected at most {field.most_values} value(s): {field.expected}.")
    if not values or not all(map(field.accepts, values)):
        raise UsageError(f"{where}; expected {field.expected}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
