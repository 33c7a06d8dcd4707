"""What entered a posterior of T1, where each value comes from, and what was assumed or lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bids_t1.data.forms import recorded_form
from bids_t1.report.words import wording
from bids_t1.report.words.record import numbers_of, plain

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult

MILLI = 1000
DIGITS = 5
"""Significant digits of the inversion efficiency, as published."""

OLD_NAMES = {
    "sidecar, as RepetitionTime": "sidecar, under its old name RepetitionTime",
    "sidecar, as EchoSpacing": "sidecar, under its old name EchoSpacing",
    "default": "not in the data: the default was taken",
}
"""How origins of the record read, where they do not speak for themselves."""

SHOWN = frozenset({
    "InversionTimes", "FlipAngles", "RepetitionTimePreparation", "RepetitionTimesExcitation", "NumberShotsPerReadout",
    "InversionEfficiency", "InversionEfficiencySlope", "InversionEfficiencySD", "TimingOrigins", "DataKind",
    "Scaling", "TransmitField", "TransmitFieldPrior", "T1Prior", "SearchRange", "NoiseSD", "RobustBeta",
    "IfEfficiencyIsLower",
})  # fmt: skip
"""Keys of a record that this table shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One line of the table."""

    label: str
    value: str
    origin: str
    is_assumed: bool = False
    """Whether the value is in no file of the scan and was not given by anyone."""


def list_origins(run: RunResult) -> tuple[Origin, ...]:
    """Return what entered, the images first."""
    rows = (*_images(run), *_timing(run), *_transmit(run), *_statistics(run))
    return tuple(
        replace(row, value=wording.without_folders(row.value), origin=wording.without_folders(row.origin))
        for row in rows
    )


def prior_of(run: RunResult) -> tuple[float, float, tuple[float, ...]] | None:
    """Return mean, SD and range of the prior of B1+; None where the record holds none."""
    prior = run.record.get("TransmitFieldPrior")
    if not isinstance(prior, Mapping):
        return None
    numbers = numbers_of([prior.get("Mean"), prior.get("SD")])
    return (*numbers, numbers_of(prior.get("Range"))) if len(numbers) == 2 else None  # noqa: PLR2004 -- both


def field_of(run: RunResult) -> Mapping[str, object] | None:
    """Return what is recorded of the map of the transmit field; None where none was used."""
    field = run.record.get("TransmitField")
    return field if isinstance(field, Mapping) else None


def voxels_without_map(run: RunResult) -> int | None:
    """Return in how many voxels B1+ is not known; None where there is no map at all."""
    field = field_of(run)
    if field is None:
        return None
    count = field.get("VoxelsWithout", 0)
    return count if isinstance(count, int) else 0


def sources_of(field: Mapping[str, object]) -> str:
    """Return the names of the files a transmit field was made from, without their folders."""
    return ", ".join(source.split("/")[-1] for source in str(field.get("Source", "not recorded")).split(", "))


def _images(run: RunResult) -> list[Origin]:
    rows = []
    if (kind := run.record.get("DataKind")) is not None:
        form = recorded_form(kind)
        value, lost = (plain(kind), "") if form is None else (form.images, form.lost)
        rows.append(Origin(label="Images", value=value, origin=lost))
    scaling = run.record.get("Scaling")
    if isinstance(scaling, Mapping):
        rows += [Origin(label=f"Unit of {what}", value=plain(how), origin="") for what, how in scaling.items()]
    return rows


def _timing(run: RunResult) -> list[Origin]:
    record, origins = run.record, run.record.get("TimingOrigins")
    known = dict(origins) if isinstance(origins, Mapping) else {}
    written = {
        "InversionTime": ("Inversion times TI", _with_unit(record.get("InversionTimes"), "s")),
        "FlipAngle": ("Flip angles", _with_unit(record.get("FlipAngles"), "°")),
        "RepetitionTimePreparation": (
            "Cycle, from inversion to inversion",
            _with_unit(record.get("RepetitionTimePreparation"), "s"),
        ),
        "RepetitionTimeExcitation": ("Excitation to excitation", _milliseconds(record)),
        "NumberShots": ("Excitations before and after the k-space centre", _shots(record.get("NumberShotsPerReadout"))),
        "SlicePartialFourier": ("Slice partial Fourier", ""),
        "InversionEfficiency": ("Inversion efficiency", efficiency(record)),
        "InversionEfficiencySD": (
            "SD of the inversion efficiency",
            _with_unit(record.get("InversionEfficiencySD"), ""),
        ),
    }
    rows = [_origin(*written[key], known.pop(key, None)) for key in written if written[key][1] or key in known]
    return [*rows, *(_origin(wording.spelt_out(str(key)), "", origin) for key, origin in known.items())]


def _origin(label: str, value: str, origin: object) -> Origin:
    text = "not recorded" if origin is None else OLD_NAMES.get(str(origin), str(origin))
    return Origin(label=label, value=value, origin=text, is_assumed=str(origin).startswith("default"))


def _transmit(run: RunResult) -> list[Origin]:
    rows = []
    field, prior = field_of(run), prior_of(run)
    if field is not None:
        count = voxels_without_map(run)
        gaps = f"; not known in {wording.grouped(count)} voxels" if count else ""
        scaling = plain(field.get("Scaling", "not recorded"))
        rows.append(Origin(label="Transmit field B1+", value=f"map {sources_of(field)}{gaps}", origin=scaling))
    if prior is not None:
        mean, sd, limits = prior
        within = f", from {limits[0]:g} to {limits[-1]:g}" if limits else ""
        value = f"normal, {wording.plus_minus(mean, sd)}{within}" if sd else f"{mean:g}, taken as exact"
        why = "where the map has no value" if rows else "no map of B1+ was used"
        rows.append(Origin(label="Prior of B1+", value=value, origin=f"assumed: {why}", is_assumed=True))
    return rows


def _statistics(run: RunResult) -> list[Origin]:
    rows = []
    limits = numbers_of(run.record.get("SearchRange"))
    shape = run.record.get("T1Prior")
    if limits or shape is not None:
        within = f" from {limits[0]:g} to {limits[-1]:g} s" if limits else ""
        value = f"{plain(shape) if shape is not None else 'range'}{within}"
        rows.append(Origin(label="Prior of T1", value=value, origin="chosen beforehand, not from the data"))
    noise = run.record.get("NoiseSD")
    if isinstance(noise, Mapping):
        value, origin = plain(noise.get("Value")), plain(noise.get("Origin", "not recorded"))
        rows.append(Origin(label="Noise SD of one channel", value=value, origin=origin))
    if (beta := run.record.get("RobustBeta")) is not None:
        rows.append(Origin(label="Regularisation β of robust UNI", value=plain(beta), origin="chosen from the noise"))
    return rows


def _with_unit(value: object, unit: str) -> str:
    numbers = numbers_of(value if isinstance(value, list | tuple) else [value])
    space = "" if unit in {"", "°"} else " "
    return ", ".join(map(wording.number, numbers)) + space + unit if numbers else ""


def _milliseconds(record: Mapping[str, object]) -> str:
    numbers = numbers_of(record.get("RepetitionTimesExcitation"))
    return _with_unit([MILLI * number for number in dict.fromkeys(numbers)], "ms")


def _shots(value: object) -> str:
    pairs = [numbers_of(pair) for pair in value] if isinstance(value, list | tuple) else []
    return ", ".join(dict.fromkeys(" + ".join(map(wording.number, pair)) for pair in pairs if pair))


def efficiency(record: Mapping[str, object]) -> str:
    """Return the inversion efficiency in words, with its dependence on R1; empty where it is not recorded."""
    value, slope = record.get("InversionEfficiency"), record.get("InversionEfficiencySlope")
    if not isinstance(value, int | float):
        return ""
    if not isinstance(slope, int | float) or not slope:
        return wording.number(value, DIGITS)
    sign = "+" if slope > 0 else "\N{MINUS SIGN}"
    times_rate = f"{wording.number(abs(slope), DIGITS)} s · R1".replace(" ", "\N{NO-BREAK SPACE}")
    return f"{wording.number(value, DIGITS)} {sign} {times_rate}"
