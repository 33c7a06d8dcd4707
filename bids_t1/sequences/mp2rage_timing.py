"""The timing of an MP2RAGE run from its sidecars and a protocol file: every value with its origin, none guessed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.sidecar import Sidecar
from bids_t1.sequences.adiabatic import PULSES, interpolate, relative_curve
from bids_t1.sequences.mp2rage import DEFAULT_EFFICIENCY, DEFAULT_EFFICIENCY_SD, LONGEST_EXCITATION_TIME, Mp2rage
from bids_t1.sequences.mp2rage_shots import COMPRESSED, PLAYED, Shots, Told, excitations_of, require_excitations
from bids_t1.sequences.repetition import may_repeat, told_rival

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bids_t1.data.grid import Grid
    from bids_t1.sequences.adiabatic import Curve
    from bids_t1.sequences.mp2rage_shots import Pair

FEWEST_PARTIAL_FOURIER = 0.5
ALL_INVERSION_TIMES = "InversionTimes"
"""Field of an image computed of several readouts; BIDS has InversionTime for one number only."""

NOTHING = Sidecar("", {})
"""Where there is no file."""

SD = "InversionEfficiencySD"
TABLE, TABLE_FIELDS = "InversionEfficiencyTable", "InversionEfficiencyTableB1"
PULSE, PEAK = "InversionPulse", "InversionPulsePeak"

EXAMPLES = {
    "RepetitionTimePreparation": ("5.0", "delay between two inversions [s]"),
    "RepetitionTimeExcitation": ("0.007", "delay between two excitations of a train [s]"),
    "NumberShots": ("[88, 88]", "excitations before and after the k-space centre"),
    "SlicePartialFourier": ("1.0", "share of the partitions that is played; 1 where off"),
    "InversionTime": ("[0.7, 2.5]", "inversion to k-space centre, of each readout [s]"),
    "FlipAngle": ("[4, 5]", "of each readout [degree]"),
}
"""An example of each field, and what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What the images of a run tell of its timing beside the sidecars of the readouts."""

    uni: Sidecar | None = None
    """Of UNIT1, which may hold lists of one value per readout."""

    echo_times: tuple[tuple[float, ...], ...] = ()
    """Of all echoes of each readout, used here or not, in the order of the sidecars [s]."""

    several_echoes: tuple[bool, ...] = ()
    """Whether a readout has more echoes than one, also where their times are not told."""

    grid: Grid | None = None
    """One of its axes is that of the partitions."""


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
    *,
    efficiency: GivenEfficiency | None = None,
    facts: ImageFacts | None = None,
) -> Timing:
    """Read the timing of each readout; what a sidecar lacks is taken from that of UNIT1, then from the protocol file.

    A list in a sidecar holds one value per readout, and the readout's own counts. Old names have a rule each:
    ``RepetitionTime`` is the cycle where ``RepetitionTimePreparation`` is missing and it is longer than the last
    inversion time; ``EchoSpacing`` is the excitation time where ``RepetitionTimeExcitation`` is missing, it is below
    0.1 s and the readout has one echo. `mp2rage_shots` reads ``NumberShots``.

    Parameters
    ----------
    sidecars
        One per readout, in their order; or one for all, where only UNIT1 or the last magnitude is there. Lists of what
        stands behind them, the protocol file, hold one value per readout.
    efficiency
        What somebody says of it, which counts before metadata.
    facts
        What the images tell.

    Raises
    ------
    InvalidInputError
        If fields are missing, all of them named at once, or the timing is impossible.
    """
    reader = _reader(sidecars, facts or ImageFacts())
    trains, shots = reader.trains()
    reader.require_room_for_echoes(trains.excitation_times)
    inversion = _inversion(reader, efficiency)

    def play(excitations: tuple[Pair, ...]) -> Mp2rage:
        return Mp2rage(excitations=excitations, **asdict(trains), **asdict(inversion))

    excitations, reading = excitations_of(shots, reader.facts.grid, play)
    if reading:
        reader.origins["NumberShots"] += f", {reading}"
    return Timing(play(excitations), reader.origins, tuple(dict.fromkeys(reader.notes)))


@dataclass(frozen=True, slots=True)
class GivenEfficiency:
    """The inversion efficiency as somebody says that it is, whatever metadata tell."""

    mean: float
    slope: float = 0.0
    """With R1 [s]."""

    sd: float | None = None
    """None: that of the metadata."""

    origin: str = "given"
    """Who says so."""


@dataclass(frozen=True, slots=True)
class _Trains:
    """Fields of `Mp2rage` by the same names."""

    cycle_time: float
    inversion_times: tuple[float, ...]
    excitation_times: tuple[float, ...]
    flip_angles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Inversion:
    """Fields of `Mp2rage` by the same names."""

    efficiency: float
    efficiency_slope: float
    efficiency_sd: float
    efficiency_curve: Curve


def _inversion(reader: _Reader, given: GivenEfficiency | None) -> _Inversion:
    curve, at_nominal = _efficiency_curve(reader)
    mean, slope = _efficiency(reader, given, at_nominal)
    return _Inversion(mean, slope, _efficiency_sd(reader, given), curve)


def _efficiency(reader: _Reader, given: GivenEfficiency | None, of_table: float | None) -> tuple[float, float]:
    origins = reader.origins
    if given is not None:
        origins["InversionEfficiency"] = given.origin
        return given.mean, given.slope
    value = reader.one("InversionEfficiency", Sidecar.number)
    if value is not None:
        return value, 0.0
    origins["InversionEfficiency"] = "default" if of_table is None else f"{TABLE}, at a B1+ of 1"
    return DEFAULT_EFFICIENCY if of_table is None else of_table, 0.0


def _efficiency_sd(reader: _Reader, given: GivenEfficiency | None) -> float:
    if given is not None and given.sd is not None:
        reader.origins[SD] = given.origin
        return given.sd
    value = reader.one(SD, Sidecar.number)
    if value is None:
        reader.origins[SD] = "default"
        return DEFAULT_EFFICIENCY_SD
    return value


def _efficiency_curve(reader: _Reader) -> tuple[Curve, float | None]:
    """Return the efficiency by B1+, relative to that at 1, and what a table says that this is."""
    fields, efficiencies = reader.several(TABLE_FIELDS), reader.several(TABLE)
    pulse, peak = _pulse_and_peak(reader)
    if fields is None and efficiencies is None:
        return ((), None) if pulse is None else (_curve_of(pulse, peak), None)
    if pulse is not None or not _is_table(fields or (), efficiencies or ()):
        raise InvalidInputError(
            f"{TABLE_FIELDS} is {fields}, {TABLE} {efficiencies} and {PULSE} {pulse}; expected a rising list of B1+ "
            "around 1 and an efficiency, above 0 and at most 1, for each; or the name of a pulse, not both."
        )
    curve = tuple(zip(fields or (), efficiencies or (), strict=True))
    return relative_curve(curve, 1.0), interpolate(curve, 1.0)


def _pulse_and_peak(reader: _Reader) -> tuple[str | None, float | None]:
    pulse, peak = reader.text(PULSE), reader.one(PEAK, Sidecar.number)
    if pulse is None and peak is not None:
        reader.notes.append(f"{PEAK} is {peak:g}, and not used: {PULSE}, the name of the pulse, is missing.")
    return pulse, peak


def _curve_of(pulse: str, peak: float | None) -> Curve:
    return relative_curve(PULSES[_known_pulse(pulse)], _positive_peak(pulse, peak))


def _is_table(fields: tuple[float, ...], efficiencies: tuple[float, ...]) -> bool:
    return (
        len(fields) == len(efficiencies) > 1
        and list(fields) == sorted(set(fields))
        and 0 < fields[0] <= 1 <= fields[-1]
        and all(0 <= value <= 1 for value in efficiencies)
        and interpolate(tuple(zip(fields, efficiencies, strict=True)), 1.0) > 0
    )


def _known_pulse(pulse: str) -> str:
    if pulse not in PULSES:
        raise InvalidInputError(
            f"{PULSE} is {pulse}; expected one of {', '.join(PULSES)}. Of another pulse, give {TABLE_FIELDS} and "
            f"{TABLE}."
        )
    return pulse


def _positive_peak(pulse: str, peak: float | None) -> float:
    fields = [field for field, efficiency in PULSES[pulse] if efficiency > 0]
    if peak is None or not fields[0] < peak <= fields[-1]:
        raise InvalidInputError(
            f"{PEAK} is {'missing' if peak is None else f'{peak:g}'}; expected the nominal peak of the {pulse} pulse "
            f"in microtesla, between {fields[0]:g} and {fields[-1]:g}."
        )
    return peak


def _reader(sidecars: Sequence[Sidecar], facts: ImageFacts) -> _Reader:
    uni = facts.uni
    if uni is None or any(uni is own for own in sidecars):  # as what is read first it counts already
        uni = NOTHING
    return _Reader(
        tuple(sidecar.alone for sidecar in sidecars),
        uni=replace(uni.alone, origin=f"sidecar {uni.name}"),
        protocol=next((sidecar.behind for sidecar in sidecars if sidecar.behind is not None), NOTHING),
        facts=facts,
        n_readouts=len(sidecars),
    )


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Looks a field up, first in the sidecars, then in that of UNIT1 and the protocol, and remembers where it was."""

    sidecars: tuple[Sidecar, ...] = field(kw_only=False)
    uni: Sidecar
    protocol: Sidecar
    facts: ImageFacts
    n_readouts: int
    origins: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    """File and field."""

    def trains(self) -> tuple[_Trains, Shots]:
        """Return what does not depend on how numbers of excitations are read, and these numbers.

        Raises
        ------
        InvalidInputError
            If anything is missing: all of it is told.
        """
        inversion_times = self.per_readout("InversionTime") or ()
        self.n_readouts = max(self.n_readouts, len(inversion_times))
        angles = self.per_readout("FlipAngle") or ()
        excitation_times = self.per_readout("RepetitionTimeExcitation", old=self.echo_spacing) or ()
        cycle_time = self.cycle_time(inversion_times)
        shots = self.shots()
        if self.missing or cycle_time is None or not self.sidecars:
            raise InvalidInputError(self.complaint())
        return _Trains(cycle_time, inversion_times, excitation_times, tuple(map(math.radians, angles))), shots

    @property
    def is_whole(self) -> bool:
        """Tell whether one image stands for all readouts."""
        return len(self.sidecars) == 1

    def per_readout(self, key: str, old: Callable[[int], float | None] = lambda _: None) -> tuple[float, ...] | None:
        """Return one value per readout, or None and a note of what is missing."""
        if self.is_whole:
            values: list[float | None] = list(self._of_whole(key) or (None,))
        else:
            values = [self._value(index, key, old) for index in range(len(self.sidecars))]
        for index, value in enumerate(values):
            if value is None:
                self.missing.append((self._lacking(index, key), key))
        return None if None in values else tuple(value for value in values if value is not None)

    def _lacking(self, index: int, key: str) -> str:
        """Return the name of the sidecar that lacks a field, and what it has of it."""
        holder = self._holder(index)
        tells_one = self.is_whole and _of_all(holder, key) is not None
        return holder.name + (" (which has that of one readout)" if tells_one else "")

    def _of_whole(self, key: str) -> tuple[float, ...] | None:
        """Return the values of all readouts from the one sidecar there is: one number cannot speak for all."""
        own = _of_all(self.sidecars[0], key)
        if own is not None and (len(own) > 1 or key == "RepetitionTimeExcitation"):
            self.origins[key] = self.sidecars[0].origin_of(key)
            return _spread(own, self.n_readouts)
        listed = self._listed(key)
        return None if listed is None else _spread(listed, self.n_readouts)

    def _value(self, index: int, key: str, old: Callable[[int], float | None]) -> float | None:
        sidecar = self.sidecars[index]
        value = of_readout(sidecar, key, index, self.n_readouts)
        if value is not None:
            self.origins[key] = sidecar.origin_of(key)
        else:
            value = old(index)
        if value is None:
            listed = self._listed(key)
            return None if listed is None else _spread(listed, self.n_readouts)[index]
        in_file = self._of_file(key)
        self._compare(sidecar, key, value, None if in_file is None else _spread(in_file, self.n_readouts)[index])
        return value

    def _listed(self, key: str) -> tuple[float, ...] | None:
        """Return the values of all readouts, or one for all, from UNIT1 or the protocol file, and remember which."""
        of_uni = _of_all(self.uni, key)
        if of_uni is not None and self._speaks_for_all(key, len(of_uni)):
            self.origins[key] = self.uni.origin_of(key)
            return of_uni
        in_file = self._of_file(key)
        if in_file is not None:
            self.origins[key] = self.protocol.origin
        return in_file

    def _speaks_for_all(self, key: str, n_values: int) -> bool:
        """Tell whether so many values of UNIT1 are those of all readouts."""
        if n_values == 1:
            return key == "RepetitionTimeExcitation"
        return self.n_readouts in {n_values, 1}

    def one(self, key: str, read: Callable[[Sidecar, str], float | None]) -> float | None:
        """Return a value that all readouts share, or None.

        Raises
        ------
        InvalidInputError
            If the sidecars contradict one another.
        """
        own = self._shared(key, read)
        from_file = read(self.protocol, key)
        holder, value = own or (self.uni, _same(self.uni, key, read))
        if own is not None:
            self._compare(self.sidecars[0], key, value, from_file)
        if value is None:
            holder, value = self.protocol, from_file
        if value is not None:
            self.origins[key] = holder.origin_of(key)
        return value

    def _shared(self, key: str, read: Callable[[Sidecar, str], float | None]) -> tuple[Sidecar, float] | None:
        """Return the first sidecar of a readout that has a value, and this; all that have one must agree."""
        known = [(one, value) for one in self.sidecars if (value := _same(one, key, read)) is not None]
        if len({value for _, value in known}) > 1:
            raise InvalidInputError(
                f"{key} differs between the readouts of one run: "
                f"{', '.join(f'{sidecar.name} {value:g}' for sidecar, value in known)}; expected one value."
            )
        return known[0] if known else None

    def several(self, key: str) -> tuple[float, ...] | None:
        """Return a list that all readouts share: of the first that has it of sidecars, UNIT1 and protocol file."""
        holder = self._holder_of(key)
        return None if holder is None else holder.numbers(key)

    def text(self, key: str) -> str | None:
        """Return a word that all readouts share, likewise."""
        holder = self._holder_of(key)
        return None if holder is None else holder.text(key)

    def _holder_of(self, key: str) -> Sidecar | None:
        for holder in (*self.sidecars, self.uni, self.protocol):
            if holder.fields.get(key) is not None:
                self.origins[key] = holder.origin_of(key)
                return holder
        return None

    def cycle_time(self, inversion_times: tuple[float, ...]) -> float | None:
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
        elif inversion_times:
            self._note_other_cycle(value, inversion_times[-1])
        return value

    def _note_other_cycle(self, used: float, last: float) -> None:
        """Say where a sidecar has another delay that could be the cycle."""
        for sidecar in self.sidecars:
            other = may_repeat(sidecar.fields.get("RepetitionTime"), last)
            if other is not None and not math.isclose(other, used, rel_tol=1e-3):
                preparation = f"RepetitionTimePreparation, {used:g} s,"
                self.notes.append(told_rival(sidecar.name, "RepetitionTime", other, preparation))

    def echo_spacing(self, index: int) -> float | None:
        """Return the old name of the excitation time [s]; between the echoes of one excitation it is another time."""
        value = of_readout(self.sidecars[index], "EchoSpacing", index, self.n_readouts)
        if value is None:
            return None
        if not 0 < value < LONGEST_EXCITATION_TIME:
            self.notes.append(
                f"{self.sidecars[index].name}: EchoSpacing is {value:g}, and not used; expected seconds, above 0 and "
                f"below {LONGEST_EXCITATION_TIME:g}, where it stands for RepetitionTimeExcitation."
            )
            return None
        several = self.facts.several_echoes[index : index + 1] == (True,)
        if several or len(self._echo_times(index)) > 1:
            self.notes.append(
                f"{self.sidecars[index].name}: EchoSpacing is taken for the delay between the echoes of one "
                "excitation, as there are several; it is not RepetitionTimeExcitation."
            )
            return None
        self.origins["RepetitionTimeExcitation"] = "sidecar, as EchoSpacing"
        return value

    def require_room_for_echoes(self, excitation_times: Sequence[float]) -> None:
        """Refuse excitations that follow one another before the last echo."""
        times = (max(excitation_times),) if self.is_whole else excitation_times
        for index, time in enumerate(times):
            last = max(self._echo_times(index), default=0.0)
            if last >= time:
                origin = self.origins.get("RepetitionTimeExcitation")
                raise InvalidInputError(
                    f"{self._holder(index).name}: RepetitionTimeExcitation is {time:g} s ({origin}), and the last "
                    f"EchoTime of the readout is {last:g} s; expected a longer delay between two excitations. Is it "
                    "the delay between echoes? Take the TR of the gradient-echo train from the protocol of the scanner."
                )

    def _echo_times(self, index: int) -> tuple[float, ...]:
        """Return the echo times of a readout, or of the one image that stands for all."""
        return self.facts.echo_times[index] if index < len(self.facts.echo_times) else ()

    def shots(self) -> Shots:
        """Return what is told of the excitations of each readout, and note what is missing."""
        numbers = [self._of_shots("NumberShots", index) for index in range(self.n_readouts)]
        readouts = tuple(Told(own, self._of_shots(PLAYED, index)) for index, own in enumerate(numbers))
        self.missing += [
            (self._holder(index).name, "NumberShots")
            for index, told in enumerate(readouts)
            if not (told.numbers or told.played)
        ]
        return Shots(
            name=self.sidecars[0].name if self.sidecars else "",
            readouts=readouts,
            share=(self._share() if any(told.needs_share for told in readouts) else None) or 1.0,
            compressed=any(map(_is_compressed, self.sidecars)),
        )

    def _holder(self, index: int) -> Sidecar:
        return self.sidecars[0 if self.is_whole else index]

    def _of_shots(self, key: str, index: int) -> tuple[float, ...]:
        """Return one number or two of a readout, from its sidecar, that of UNIT1 or the protocol file."""
        for holder in (self._holder(index), self.uni, self.protocol):
            value = _of_list(holder, key, index, self.n_readouts)
            if value is not None:
                require_excitations(holder.name, key, value)
                self.origins["NumberShots"] = holder.origin_of(key) + (f", as {PLAYED}" if key == PLAYED else "")
                return value
        return ()

    def _share(self) -> float | None:
        share = self.one("SlicePartialFourier", Sidecar.number)
        if share is None:
            self.missing += [(sidecar.name, "SlicePartialFourier") for sidecar in self.sidecars]
        elif not FEWEST_PARTIAL_FOURIER <= share <= 1:
            raise InvalidInputError(
                f"{self.sidecars[0].name}: SlicePartialFourier is {share:g}; expected a share of the partitions, 0.5 "
                "to 1."
            )
        return share

    def _of_file(self, key: str) -> tuple[float, ...] | None:
        listed = self.protocol.numbers(key)
        if listed is not None and len(self.sidecars) > 1 and len(listed) not in {1, len(self.sidecars)}:
            raise InvalidInputError(
                f"{self.protocol.name}: {key} has {len(listed)} values; expected one for each of the "
                f"{len(self.sidecars)} readouts."
            )
        return listed

    def _compare(self, sidecar: Sidecar, key: str, value: float | None, from_file: float | None) -> None:
        if value is None or from_file is None or math.isclose(value, from_file, rel_tol=1e-6):
            return
        self.notes.append(
            f"{key} is {value:g} in the sidecars ({sidecar.name}) and {from_file:g} in {self.protocol.origin}; "
            "the sidecars are used."
        )

    def complaint(self) -> str:
        """List every missing field of every file, and a protocol file to fill in."""
        fields = dict.fromkeys(key for _, key in self.missing)
        lines = [
            f"  {key}: missing in {', '.join(dict.fromkeys(name for name, other in self.missing if other == key))}"
            for key in fields
        ]
        return "\n".join(
            [
                "the timing is incomplete, and a scanner's timing is never guessed. Missing:",
                *lines,
                *dict.fromkeys(self.notes),
                "Give the values in the sidecars, or in a protocol file with your numbers in place of these:",
                *to_fill_in(fields),
            ]
        )


def to_fill_in(fields: Iterable[str]) -> list[str]:
    """Return the lines of a protocol file with examples of fields, in place of which go numbers of the scanner."""
    known = [key for key in fields if key in EXAMPLES]
    return ["  [MP2RAGE]", *(f"  {key} = {EXAMPLES[key][0]}  # an example: {EXAMPLES[key][1]}" for key in known)]


def of_readout(sidecar: Sidecar, key: str, index: int, n_readouts: int) -> float | None:
    """Return the number of one readout from its sidecar, which may hold a list for all readouts of the cycle.

    A list of equal numbers, such as one per echo, is that number.

    Parameters
    ----------
    sidecar
        Of an image of the readout.
    key
        Field.
    index
        Of the readout, from 0.
    n_readouts
        Of the cycle.

    Raises
    ------
    InvalidInputError
        If it holds no numbers, or different ones that are not one per readout.
    """
    values = sidecar.numbers(key)
    if values is None or len(set(values)) == 1:
        return None if values is None else values[0]
    if len(values) != n_readouts:
        raise InvalidInputError(
            f"{sidecar.name}: {key} has {len(values)} numbers; expected one, or one for each of the {n_readouts} "
            "readouts."
        )
    return values[index]


def _is_compressed(sidecar: Sidecar) -> bool:
    """Tell whether the sequence plays its excitations in an order of compressed sensing, by its name."""
    called = [sidecar.text(key) or "" for key in ("PulseSequenceDetails", "PulseSequenceName", "SequenceName")]
    return any(COMPRESSED.search(text) for text in called)


def _same(sidecar: Sidecar, key: str, read: Callable[[Sidecar, str], float | None]) -> float | None:
    """Return the number of a field; a list of equal ones is that number."""
    value = sidecar.fields.get(key)
    if isinstance(value, list | tuple) and len(value) > 1 and all(item == value[0] for item in value):
        return read(Sidecar(sidecar.name, {key: value[0]}), key)
    return read(sidecar, key)


def _of_all(sidecar: Sidecar, key: str) -> tuple[float, ...] | None:
    """Return the numbers of a sidecar that speaks for all readouts."""
    own = sidecar.numbers(key)
    if key == "InversionTime" and (own is None or len(own) == 1):
        return sidecar.numbers(ALL_INVERSION_TIMES) or own
    return own


def _of_list(sidecar: Sidecar, key: str, index: int, n_readouts: int) -> tuple[float, ...] | None:
    """Return what a field holds for one readout: a number or two, or its part of a list of them per readout."""
    value = sidecar.fields.get(key)
    if isinstance(value, list | tuple) and len(value) == n_readouts:
        nested = all(isinstance(item, list | tuple) for item in value)
        if nested or n_readouts > 2 or key == PLAYED:  # noqa: PLR2004 - two numbers are [before, after]
            return Sidecar(sidecar.name, {key: value[index]}).numbers(key)
    return sidecar.numbers(key)


def _spread(values: tuple[float, ...], n: int) -> tuple[float, ...]:
    """Let one value stand for all readouts."""
    return values * n if len(values) == 1 else values
