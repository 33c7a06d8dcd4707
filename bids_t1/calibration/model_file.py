"""A model is one file: coefficients or weights, and the card in its header. No pickle: reading it runs nothing."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bids_t1.data.calibration import CalibrationCard, CalibrationModel
from bids_t1.data.errors import InputOutputError, InvalidInputError, NoInputError
from bids_t1.storage import as_json, write_whole
from bids_t1.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

FORMAT = 3
"""Of the file."""

READABLE = (1, 2, 3)
"""Others are refused; the first holds networks only, and the second no prior that networks start from."""

MODEL = "model.safetensors"
CARD = "model.json"

CARD_KEY = "bids_t1.calibration"
"""Of the card in the header."""

SEQUENCE_FIELDS = (
    "InversionTimes", "FlipAngles", "RepetitionTimePreparation", "RepetitionTimesExcitation", "NumberShotsPerReadout",
    "InversionEfficiency", "InversionEfficiencySlope", "RepetitionTimes", "EfficiencyModel", "MagneticFieldStrength",
)  # fmt: skip
"""What a bias of T1 depends on, in the records of both sequences."""

TRANSMIT_FIELD = "TransmitField"
TRANSMIT_MEASURED = "TransmitFieldMeasured"
"""Whether B1+ was measured, in the card."""

ONE_EXPONENTIAL = "one exponential through all inversion times"

TOLERANCE = 0.01
"""Largest relative difference of numbers of one protocol."""


def protocol_part(record: Mapping[str, object]) -> dict[str, object]:
    """Return what of the record of a T1 map makes its protocol."""
    found = {key: record[key] for key in SEQUENCE_FIELDS if record.get(key) is not None}
    return found | {TRANSMIT_MEASURED: TRANSMIT_FIELD in record}


def target_of(record: Mapping[str, object]) -> str:
    """Say of the record of a reference map which T1 it is."""
    if "RecoveryTimes" in record or "Pools" in record:
        return "1/R1f of selective inversion recovery" if record.get("Pools", 2) == 2 else ONE_EXPONENTIAL  # noqa: PLR2004
    fast = record.get("FastComponent")
    treatment = fast.get("Treatment", "none") if isinstance(fast, dict) else "none"
    if treatment == "fitted":
        return "slow T1 of inversion recovery, beside a fast component"
    return ONE_EXPONENTIAL if treatment == "none" else "slow T1 of inversion recovery, short inversion times left out"


def differences(expected: Mapping[str, object], found: Mapping[str, object]) -> list[str]:
    """Return in which fields two protocols differ, with both values."""
    return [
        f"{key}: {_text(expected.get(key))} and {_text(found.get(key))}"
        for key in (*SEQUENCE_FIELDS, TRANSMIT_MEASURED)
        if not _same(expected.get(key), found.get(key))
    ]


def check_protocol(card: CalibrationCard, record: Mapping[str, object]) -> list[str]:
    """Return in which fields an MP2RAGE run differs from those that a model was trained with.

    Parameters
    ----------
    card
        Of the model.
    record
        The sidecar of the T1 map that is to be calibrated.

    Returns
    -------
    list
        Empty where the model may be used; else one entry per field, such as
        ``FlipAngles: 4, 4 in training and 4, 5 here``.
    """
    expected, found = card.measured_protocol, protocol_part(record)
    return [
        f"{key}: {_text(expected.get(key))} in training and {_text(found.get(key))} here"
        for key in (*SEQUENCE_FIELDS, TRANSMIT_MEASURED)
        if not _same(expected.get(key), found.get(key))
    ]


def _same(one: object, other: object) -> bool:
    if one == other or one is None or other is None or isinstance(one, bool | str) or isinstance(other, bool | str):
        return one == other
    try:
        first, second = np.asarray(one, float), np.asarray(other, float)
    except (TypeError, ValueError):
        return False
    # An unknown number, which JSON has as null, is the same as another unknown one.
    close = np.isclose(second, first, rtol=TOLERANCE, atol=0, equal_nan=True) if first.shape == second.shape else False
    return bool(np.all(close))


def _text(value: object) -> str:
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_text(each) for each in value)
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def checksum(members: Sequence[Mapping[str, Tensor]]) -> str:
    """Return the SHA-256 of weights, with their names, types and shapes."""
    digest = hashlib.sha256()
    for index, weights in enumerate(members):
        for name, value in sorted(weights.items()):
            digest.update(f"{index}.{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_model(model: CalibrationModel, folder: Path) -> None:
    """Write ``model.safetensors``, with all networks and the card, and the card once more as ``model.json``.

    Raises
    ------
    InputOutputError
        If they cannot be written; nothing half-written is left.
    """
    tensors = {
        f"{member}.{name}": value.contiguous()
        for member, weights in zip(model.card.members, model.members, strict=True)
        for name, value in weights.items()
    }
    card = as_json(asdict(model.card))
    unfinished = folder / f".{MODEL}"
    try:
        save_file(tensors, unfinished, metadata={CARD_KEY: card})
        unfinished.chmod(0o644)
        unfinished.replace(folder / MODEL)
    except (OSError, SafetensorError) as error:
        unfinished.unlink(missing_ok=True)
        raise InputOutputError(
            f"{folder / MODEL}: cannot be written ({error}); nothing half-written was left there. Check the disk and "
            "run again."
        ) from error
    write_whole(folder / CARD, card)


def load_model(path: Path) -> CalibrationModel:
    """Read a model back.

    Raises
    ------
    NoInputError
        If there is no such file.
    InvalidInputError
        If it is no calibration model, of another version, or damaged.
    """
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; expected {MODEL} that group wrote.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
    except (OSError, SafetensorError) as error:
        raise InvalidInputError(
            f"{path.name}: cannot be read as safetensors ({error}); it is damaged or another kind of file. Expected "
            f"{MODEL} that group wrote: copy it again."
        ) from error
    if CARD_KEY not in header:
        raise InvalidInputError(
            f"{path.name}: holds weights, but not those of a calibration; expected {MODEL} that group wrote."
        )
    card = _read_card(path, header[CARD_KEY])
    members = tuple(
        {name.removeprefix(f"{member}."): value for name, value in tensors.items() if name.startswith(f"{member}.")}
        for member in card.members
    )
    found = checksum(members)
    if found != card.checksum:
        raise InvalidInputError(
            f"{path.name}: its weights have the checksum {found[:12]}..., its card says {card.checksum[:12]}...; the "
            "file is damaged or was changed. Copy it again."
        )
    return CalibrationModel(members=members, card=card)


def _read_card(path: Path, text: str) -> CalibrationCard:
    try:
        content: dict[str, Any] = parse_json(text, path.name)
        if content["format"] not in READABLE:
            raise InvalidInputError(
                f"{path.name}: a model of format {content['format']}, written by bids_t1 "
                f"{content.get('software', {}).get('bids_t1', 'of an unknown version')}; expected format {FORMAT}. "
                "Train it again with this version."
            )
        values: dict[str, Any] = {
            field.name: tuple(content[field.name]) if isinstance(content[field.name], list) else content[field.name]
            for field in fields(CalibrationCard)
            if field.name in content or field.default is MISSING
        }
        return CalibrationCard(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"{path.name}: its card cannot be read ({error}); the file is damaged. Copy it again."
        ) from error
