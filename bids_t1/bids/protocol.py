"""The protocol file: what a user says about a scan where its metadata are silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bids_t1.bids.uni import CONVENTIONS, SCALING_KEY
from bids_t1.data.errors import InvalidInputError, UsageError
from bids_t1.data.protocol import Protocol
from bids_t1.data.sidecar import PLAUSIBLE, Sidecar, brief
from bids_t1.sequences.adiabatic import PULSES
from bids_t1.sequences.inversion_readout import GRADIENT_ECHO, READOUT_KEY, SPIN_ECHO
from bids_t1.sequences.mp2rage_shots import PLAYED
from bids_t1.sequences.selective_inversion_recovery import RECOVERY_KEY
from bids_t1.sequences.slice_timing import INVERSION_KEY, NON_SELECTIVE, SELECTIVE
from bids_t1.untrusted import parse_json, parse_toml, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MOST_PAIRS = 200
"""Of a table."""

DOCUMENTATION = "docs/protocol.md describes the file."


@dataclass(frozen=True, slots=True)
class _Field:
    """What a field of numbers may hold."""

    accepts: Callable[[float], bool]
    expected: str
    most_values: int | None = None
    """None where there may be one value per readout."""


def _plausible(key: str, most_values: int | None = None) -> _Field:
    """Return what a sidecar may hold under the same name."""
    range_ = PLAUSIBLE[key]
    in_seconds = ". BIDS times are in seconds: divide by 1000 if these are milliseconds"
    return _Field(range_.holds, range_.expected + (in_seconds if range_.unit == "seconds" else ""), most_values)


_PHASE_SCALING = _Field(lambda value: value > 0, "radians per stored unit of the phase images, above 0", 1)

_NUMBERS: Mapping[str, Mapping[str, _Field]] = {
    "MP2RAGE": {
        "MagneticFieldStrength": _plausible("MagneticFieldStrength", 1),
        "RepetitionTimePreparation": _plausible("RepetitionTimePreparation", 1),
        "RepetitionTimeExcitation": _plausible("RepetitionTimeExcitation"),
        "InversionTime": _plausible("InversionTime"),
        "FlipAngle": _plausible("FlipAngle"),
        "NumberShots": _Field(
            lambda value: value >= 0, "excitations [before, after] the k-space centre, or a number of partitions", 2
        ),
        PLAYED: _Field(lambda value: value > 0, "the excitations that are played in each readout, above 0"),
        "SlicePartialFourier": _Field(lambda value: 0.5 <= value <= 1, "a share from 0.5 to 1", 1),  # noqa: PLR2004
        "InversionEfficiency": _Field(lambda value: 0 < value <= 1, "a number above 0, at most 1", 1),
        "InversionEfficiencySD": _Field(lambda value: 0 <= value <= 0.3, "a number from 0 to 0.3", 1),  # noqa: PLR2004
        "InversionEfficiencyTableB1": _Field(lambda value: value > 0, "relative B1+, rising", MOST_PAIRS),
        "InversionEfficiencyTable": _Field(lambda value: 0 <= value <= 1, "efficiencies from 0 to 1", MOST_PAIRS),
        "InversionPulsePeak": _Field(lambda value: value > 0, "microtesla, above 0", 1),
        "PhaseScaling": _PHASE_SCALING,
    },
    "IRT1": {
        "PhaseScaling": _PHASE_SCALING,
        "InversionTime": _plausible("InversionTime"),
        "EchoTrainLength": _Field(lambda value: value >= 1 and value == round(value), "a whole number from 1", 1),
        "EchoSpacing": _Field(lambda value: 0 < value < 0.1, "seconds, above 0 and below 0.1", 1),  # noqa: PLR2004
        "FlipAngle": _Field(lambda value: 0 < value <= 180, "degrees, above 0, at most 180", 1),  # noqa: PLR2004
    },
    "SIR": {
        "PhaseScaling": _PHASE_SCALING,
        "InversionTime": _plausible("InversionTime"),
        RECOVERY_KEY: _plausible(RECOVERY_KEY),
    },
    "MEGRE": {"PhaseScaling": _PHASE_SCALING},
    "TB1TFL": {"FlipAngle": _plausible("FlipAngle", 1)},
}
"""Fields by table; every sequence lists those that it reads."""

_TEXTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "MP2RAGE": {SCALING_KEY: tuple(CONVENTIONS), "InversionPulse": tuple(PULSES)},
    "IRT1": {READOUT_KEY: (SPIN_ECHO, GRADIENT_ECHO), INVERSION_KEY: (SELECTIVE, NON_SELECTIVE)},
}
"""Values of the fields that hold text, by table."""


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
        if name not in _NUMBERS or not isinstance(fields, dict):
            raise UsageError(
                f"{path.name}: {brief(name)} is no table that is known; expected {_listed(_NUMBERS)}, and fields in "
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
            f"{error} A protocol file holds tables in TOML or JSON: {_listed(_NUMBERS)}. {DOCUMENTATION}"
        ) from error


def _check(name: str, table: Sidecar, key: str) -> None:
    """Refuse a field that is not known or holds something else."""
    texts = _TEXTS.get(name, {})
    if key not in {**_NUMBERS[name], **texts}:
        known = _listed([*_NUMBERS[name], *texts])
        raise UsageError(
            f"{table.name} [{name}]: {brief(key)} is no field that is known; expected {known}. {DOCUMENTATION}"
        )
    where = f"{table.name} [{name}]: {key} is {brief(table.fields[key])}"
    if key in texts:
        if table.fields[key] not in texts[key]:
            raise UsageError(f"{where}; expected one of {_listed(texts[key])}.")
        return
    field = _NUMBERS[name][key]
    try:
        values = (
            Sidecar(table.name, {"": table.fields[key]}).numbers("") or ()
        )  # ranges are checked below, with more words
    except InvalidInputError as error:
        raise UsageError(f"{where}; expected numbers: {field.expected}.") from error
    if field.most_values is not None and len(values) > field.most_values:
        raise UsageError(f"{where}; expected at most {field.most_values} value(s): {field.expected}.")
    if not values or not all(map(field.accepts, values)):
        raise UsageError(f"{where}; expected {field.expected}.")


def _listed(names: Mapping[str, object] | list[str] | tuple[str, ...]) -> str:
    return ", ".join(names)
