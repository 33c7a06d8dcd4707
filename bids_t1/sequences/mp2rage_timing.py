"""The timing of an MP2RAGE run from its sidecars and a protocol file: every value with its origin, none guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar
from bids_t1.sequences.mp2rage import DEFAULT_EFFICIENCY, LONGEST_EXCITATION_TIME, Mp2rage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEWEST_PARTIAL_FOURIER = 0.5
PAIR = 2
ALL_INVERSION_TIMES = "InversionTimes"
"""Field of an image computed of several readouts; BIDS has InversionTime for one number only."""

EXAMPLES = {
    "RepetitionTimePreparation": ("5.0", "delay between two inversions [s]"),
    "RepetitionTimeExcitation": ("0.007", "delay between two excitations of a train [s]"),
    "NumberShots": ("[88, 88]", "excitations before and after the k-space centre"),
    "SlicePartialFourier": ("1.0", "share of the partitions that is played; 1 where off"),
    "InversionTime": ("[0.7, 2.5]", "inversion to k-space centre, of each readout [s]"),
    "FlipAngle": ("[4, 5]", "of each readout [degree]"),
}
"""An example of each field, and what it means."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A protocol as read, and where each of its values comes from."""

    model: Mp2rage
    origins: dict[str, str]
    """By field."""

    notes: tuple[str, ...]
    """What contradicts itself and how that was settled."""


def read_timing(
    sidecars: Sequence[Sidecar],
    protocol: Sidecar | None = None,
    *,
    efficiency: tuple[float, float] | None = None,
) -> Timing:
    """Read the timing of each readout; what a sidecar lacks is taken from the protocol file.

    Old names have a rule each: ``RepetitionTime`` is the cycle where ``RepetitionTimePreparation`` is missing and it
    is longer than the last inversion time; ``EchoSpacing`` is the excitation time where ``RepetitionTimeExcitation``
    is missing and it is below 0.1 s. ``NumberShots`` is [before, after], or a number of partitions N beside
    ``SlicePartialFourier`` f: then f N - N/2 before and N/2 after, as BIDS says.

    Parameters
    ----------
    sidecars
        One per readout, in their order; or one for all, where only UNIT1 or the last magnitude is there.
    protocol
        Table of the protocol file; lists hold one value per readout.
    efficiency
        Inversion efficiency and its slope with R1 [s], where they were given on the command line.

    Raises
    ------
    InvalidInputError
        If fields are missing, all of them named at once, or the timing is impossible.
    """
    reader = _Reader(tuple(sidecars), protocol)
    inversion_times = reader.per_readout("InversionTime", Sidecar.seconds)
    reader.n_readouts = max(reader.n_readouts, len(inversion_times or ()))
    flip_angles = reader.per_readout("FlipAngle", Sidecar.number)
    excitation_times = reader.per_readout("RepetitionTimeExcitation", Sidecar.seconds, old=reader.echo_spacing)
    cycle_time = reader.cycle_time(inversion_times)
    excitations = reader.excitations()
    found = (inversion_times, flip_angles, excitation_times, cycle_time, excitations)
    if any(value is None for value in found) or reader.missing:
        raise InvalidInputError(reader.complaint())
    value, slope = _efficiency(reader, efficiency)
    model = Mp2rage(
        cycle_time=cycle_time or math.nan,
        inversion_times=inversion_times or (),
        excitation_times=excitation_times or (),
        flip_angles=tuple(math.radians(angle) for angle in flip_angles or ()),
        excitations=excitations or (),
        efficiency=value,
        efficiency_slope=slope,
    )
    return Timing(model, reader.origins, tuple(dict.fromkeys(reader.notes)))


def _efficiency(reader: _Reader, given: tuple[float, float] | None) -> tuple[float, float]:
    if given is not None:
        reader.origins["InversionEfficiency"] = "option --inversion-efficiency"
        return given
    value = reader.one("InversionEfficiency", Sidecar.number)
    if value is None:
        reader.origins["InversionEfficiency"] = "default"
        return DEFAULT_EFFICIENCY, 0.0
    return value, 0.0


@dataclass(slots=True)
class _Reader:
    """Looks a field up, first in the sidecars and then in the protocol, and remembers where it was."""

    sidecars: tuple[Sidecar, ...]
    protocol: Sidecar | None
    origins: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    """File and field."""

    n_readouts: int = 0

    def __post_init__(self) -> None:
        self.n_readouts = len(self.sidecars)

    def per_readout(
        self,
        key: str,
        read: Callable[[Sidecar, str], float | None],
        old: Callable[[Sidecar], float | None] | None = None,
    ) -> tuple[float, ...] | None:
        """Return one value per readout, or None and a note of what is missing."""
        listed = self._listed(key)
        if len(self.sidecars) == 1:  # of one image, a single number cannot speak for all readouts
            own = self.sidecars[0].numbers(key)
            if key == "InversionTime" and (own is None or len(own) == 1):
                own = self.sidecars[0].numbers(ALL_INVERSION_TIMES)
            if own is not None and (len(own) > 1 or key == "RepetitionTimeExcitation"):
                values: list[float | None] = list(_spread(own, self.n_readouts))
                self._remember(key, self.sidecars[0])
            else:
                values = list(_spread(listed, self.n_readouts)) if listed else [None]
                self.origins[key] = self._file_origin() if listed else ""
        else:
            values = [self._value(index, key, read, old, listed) for index in range(len(self.sidecars))]
        holder = self.sidecars[0] if len(self.sidecars) == 1 else None
        for index, value in enumerate(values):
            if value is None:
                self.missing.append(((holder or self.sidecars[index]).name, key))
        return None if None in values else tuple(value for value in values if value is not None)

    def _value(
        self,
        index: int,
        key: str,
        read: Callable[[Sidecar, str], float | None],
        old: Callable[[Sidecar], float | None] | None,
        listed: tuple[float, ...] | None,
    ) -> float | None:
        sidecar = self.sidecars[index]
        value = read(sidecar, key)
        if value is None and old is not None:
            value = old(sidecar)
        elif value is not None:
            self._remember(key, sidecar)
        from_file = _spread(listed, self.n_readouts)[index] if listed else None
        if value is None and from_file is not None:
            self.origins[key] = self._file_origin()
            return from_file
        self._compare(sidecar, key, value, from_file)
        return value

    def one(self, key: str, read: Callable[[Sidecar, str], float | None]) -> float | None:
        """Return a value that all readouts share, or None.

        Raises
        ------
        InvalidInputError
            If the sidecars contradict one another.
        """
        values = {sidecar.name: read(sidecar, key) for sidecar in self.sidecars}
        known = {name: value for name, value in values.items() if value is not None}
        if len(set(known.values())) > 1:
            raise InvalidInputError(
                f"{key} differs between the readouts of one run: "
                f"{', '.join(f'{name} {value:g}' for name, value in known.items())}; expected one value."
            )
        from_file = read(self.protocol, key) if self.protocol is not None else None
        if known:
            name, value = next(iter(known.items()))
            self._remember(key, next(sidecar for sidecar in self.sidecars if sidecar.name == name))
            self._compare(self.sidecars[0], key, value, from_file)
            return value
        if from_file is not None:
            self.origins[key] = self._file_origin()
        return from_file

    def cycle_time(self, inversion_times: tuple[float, ...] | None) -> float | None:
        """Return the delay between two inversions [s], or None and a note."""
        key = "RepetitionTimePreparation"
        value = self.one(key, Sidecar.seconds)
        if value is None:
            old = self.one("RepetitionTime", Sidecar.seconds)
            self.origins.pop("RepetitionTime", None)
            if old is not None and inversion_times and old > inversion_times[-1]:
                self.origins[key] = "sidecar, as RepetitionTime"
                return old
            self.missing += [(sidecar.name, key) for sidecar in self.sidecars]
        return value

    def echo_spacing(self, sidecar: Sidecar) -> float | None:
        """Return the old name of the excitation time [s]."""
        value = sidecar.number("EchoSpacing")
        if value is None or not 0 < value < LONGEST_EXCITATION_TIME:
            return None
        self.origins["RepetitionTimeExcitation"] = "sidecar, as EchoSpacing"
        return value

    def excitations(self) -> tuple[tuple[float, float], ...] | None:
        """Return the excitations before and after the k-space centre of each readout, or None and a note."""
        pairs = [self._pair(sidecar) for sidecar in self.sidecars]
        if len(pairs) == 1:
            pairs *= self.n_readouts
        return None if None in pairs else tuple(pair for pair in pairs if pair is not None)

    def _pair(self, sidecar: Sidecar) -> tuple[float, float] | None:
        key = "NumberShots"
        shots = sidecar.numbers(key)
        if shots is not None:
            self._remember(key, sidecar)
        elif self.protocol is not None and (shots := self.protocol.numbers(key)) is not None:
            self.origins[key] = self._file_origin()
        if shots is None:
            self.missing.append((sidecar.name, key))
            return None
        if len(shots) == PAIR:
            return shots[0], shots[1]
        if len(shots) > PAIR:
            raise InvalidInputError(
                f"{sidecar.name}: {key} has {len(shots)} numbers; expected [before, after] the k-space centre, or "
                "the number of partitions."
            )
        share = self.one("SlicePartialFourier", Sidecar.number)
        if share is None:
            self.missing.append((sidecar.name, "SlicePartialFourier"))
            return None
        if not FEWEST_PARTIAL_FOURIER <= share <= 1:
            raise InvalidInputError(
                f"{sidecar.name}: SlicePartialFourier is {share:g}; expected a share of the partitions, 0.5 to 1."
            )
        return shots[0] * (share - 0.5), shots[0] / 2

    def _listed(self, key: str) -> tuple[float, ...] | None:
        if self.protocol is None:
            return None
        listed = self.protocol.numbers(key)
        if listed is not None and len(self.sidecars) > 1 and len(listed) not in {1, len(self.sidecars)}:
            raise InvalidInputError(
                f"{self.protocol.name}: {key} has {len(listed)} values; expected one for each of the "
                f"{len(self.sidecars)} readouts."
            )
        return listed

    def _remember(self, key: str, sidecar: Sidecar) -> None:
        completed = sidecar.fields.get("ProtocolFields")
        by_user = isinstance(completed, list) and key in completed
        self.origins[key] = "protocol file, at conversion" if by_user else "sidecar"

    def _file_origin(self) -> str:
        return f"protocol file {self.protocol.name}" if self.protocol is not None else ""

    def _compare(self, sidecar: Sidecar, key: str, value: float | None, from_file: float | None) -> None:
        if value is None or from_file is None or math.isclose(value, from_file, rel_tol=1e-6):
            return
        self.notes.append(
            f"{key} is {value:g} in the sidecars ({sidecar.name}) and {from_file:g} in {self._file_origin()}; "
            "the sidecars are used."
        )

    def complaint(self) -> str:
        """List every missing field of every file, and a protocol file to fill in."""
        fields = dict.fromkeys(key for _, key in self.missing)
        lines = [
            f"  {key}: missing in {', '.join(dict.fromkeys(name for name, other in self.missing if other == key))}"
            for key in fields
        ]
        template = [f"  {key} = {EXAMPLES[key][0]}  # an example: {EXAMPLES[key][1]}" for key in fields]
        return "\n".join(
            [
                "the timing is incomplete, and a scanner's timing is never guessed. Missing:",
                *lines,
                "Give the values in the sidecars, or in a file for --protocol with your numbers in place of these:",
                "  [MP2RAGE]",
                *template,
            ]
        )


def _spread(values: tuple[float, ...], n: int) -> tuple[float, ...]:
    """Let one value stand for all readouts."""
    return values * n if len(values) == 1 else values
