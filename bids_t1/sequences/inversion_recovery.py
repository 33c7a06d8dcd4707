"""Multi-TI inversion recovery, the reference method for T1."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.vocabulary import LOOK_LOCKER
from bids_t1.sequences.inversion_readout import INSTANTANEOUS, Readout
from bids_t1.sequences.repetition import may_repeat, told_rival
from bids_t1.sequences.slice_timing import slice_doubts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.data.shapes import Columns, Map, TimeColumns, Times
    from bids_t1.data.sidecar import Sidecar

UNKNOWN_REPETITION_TIME = 1e4
"""Stands in for an infinite TR inside exp(-TR/T1), which it makes exactly zero [s]."""

USUAL_INVERSION = 0.95
"""kappa - 1 where its exact value does not matter."""

LARGEST_SHARE = 0.3
"""Of the fast component over the slow one; white matter has 0.09 to 0.13, and no published set of parameters more."""

SLOW_FROM = (0.3, 0.5)
"""T1 from which on a fast component is looked for, and from which on it may be as large as it likes [s].

Water and solutions with a T1 as short as this have no macromolecules, and their one component is nearly as fast."""


REPETITION_KEYS = ("RepetitionTimePreparation", "RepetitionTimeInversion", "RepetitionTime")
"""Fields for the delay between two inversions; the first one counts."""

NAMES = ("SequenceName", "PulseSequenceName", "PulseSequenceDetails", "ProtocolName", "SeriesDescription")
"""Fields that call a sequence something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastComponent:
    """The second exponential of tissue: macromolecules, with which free water exchanges magnetisation.

    An inversion turns free water and leaves most of the bound pool. Exchange brings both together within some 50 ms,
    so that recovery is ``A + B exp(-TI/T1) + C exp(-TI/Tf)``, with C of B's sign (Gochberg & Gore 2003,
    doi 10.1002/mrm.10386; Rioux et al. 2016, doi 10.1002/mrm.25729: 9 % and 48 ms in white matter at 3 T, 11 % and
    57 ms at 7 T). Tf is known well enough: 40 to 70 ms change T1 by 2 %.
    """

    relaxation_time: float
    """Tf [s]."""

    inversion_times: tuple[float, ...]
    repetition_times: tuple[float, ...]
    ideal: bool

    def column(self, time: Times) -> tuple[TimeColumns, TimeColumns]:
        """Return what goes with kappa M0 at each T1, and its derivative with respect to log T1.

        Of an ideal inversion slow and fast component share what is turned: more of one is less of the other.
        """
        tf = time.new_tensor(self.relaxation_time)
        fast = torch.exp(-_over(self.inversion_times, tf))
        shape = (-1, *(1 for _ in time.shape))
        if self.ideal:
            ti = _over(self.inversion_times, time)
            slow = torch.exp(-ti)
            return 2 * (slow - fast.reshape(shape)), 2 * ti * slow
        repeat = torch.exp(-_over([min(tr, UNKNOWN_REPETITION_TIME) for tr in self.repetition_times], tf))
        column = (repeat - fast).reshape(shape).expand(-1, *time.shape)
        return column, torch.zeros_like(column)

    def over_slow(self, share: Map) -> Map:
        """Return the fast over the slow component, from the share that is fitted."""
        return share / (1 - share) if self.ideal else share

    def limit(self, time: Times) -> tuple[Times, Times]:
        """Return the largest share of the fast component at each T1, and its derivative with respect to log T1."""
        low, high = (math.log(bound) for bound in SLOW_FROM)
        largest = LARGEST_SHARE / (1 + LARGEST_SHARE) if self.ideal else LARGEST_SHARE
        rise = (torch.log(time) - low) / (high - low)
        slope = torch.where((rise > 0) & (rise < 1), largest / (high - low), 0.0).to(time)
        return largest * rise.clamp(0.0, 1.0), slope


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionRecovery:
    """An inversion - TI - readout experiment, repeated every TR.

    In the steady state the longitudinal magnetisation at the readout is

        M0 (1 - D) + kappa M0 (D - exp(-TI/T1))

    with kappa = 1 - cos(inversion angle), 2 for an ideal inversion, and D = exp(-TR/T1) where recovery begins at an
    excitation of 90 degrees. Refocusing pulses turn what has recovered: one, TE/2 after the excitation, makes D
    2 exp(-(TR - TE/2)/T1) - exp(-TR/T1), and a train nearly exp(-(TR - train)/T1). An excitation by less leaves
    something to invert: both columns over 1 + (kappa - 1) cos(angle) D. When all TR are equal the two columns
    span the same signals as a + b exp(-TI/T1) (Barral et al. 2010, doi 10.1002/mrm.22497), so T1 is the same.
    """

    inversion_times: tuple[float, ...]
    """Delays between inversion and excitation [s]."""

    repetition_times: tuple[float, ...]
    """Delay between two inversions, one per inversion time [s]; infinite where unknown."""

    ideal: bool = False
    """Whether kappa is fixed at 2 and TR taken as infinite: signal M0 (1 - 2 exp(-TI/T1))."""

    readout: Readout = INSTANTANEOUS
    """What is played from the excitation on."""

    fast: float | None = None
    """Relaxation time of a fast component [s]; None: one exponential."""

    def __post_init__(self) -> None:
        times = ", ".join(f"{time:g}" for time in self.inversion_times)
        if len(self.inversion_times) != len(self.repetition_times):
            raise InvalidInputError(
                f"{len(self.inversion_times)} inversion times and {len(self.repetition_times)} repetition times; "
                "expected one TR per TI."
            )
        if any(ti <= 0 or not math.isfinite(ti) for ti in self.inversion_times):
            raise InvalidInputError(f"InversionTime is {times} s; expected positive seconds.")
        for ti, tr in zip(self.inversion_times, self.repetition_times, strict=True):
            if not tr > ti:
                raise InvalidInputError(
                    f"RepetitionTime {tr:g} s is not longer than InversionTime {ti:g} s; "
                    "expected the delay between two inversions. Correct the sidecar. Of a selective inversion "
                    "recovery, RecoveryTime takes its place: the delay from the end of a readout to the inversion."
                )
        n_unknowns = self.n_coefficients + 1 + (self.fast is not None)
        if len(set(self.inversion_times)) < n_unknowns:
            raise InvalidInputError(
                f"{len(set(self.inversion_times))} different inversion times ({times} s); "
                f"expected at least {n_unknowns}, one per unknown of the model."
            )

    @classmethod
    def from_metadata(
        cls, sidecars: Sequence[Sidecar], *, ideal: bool = False
    ) -> tuple[InversionRecovery, tuple[str, ...]]:
        """Read the timing of each image, and say what was assumed.

        The repetition time is the delay between two inversions: ``RepetitionTimePreparation`` (BIDS), else
        ``RepetitionTimeInversion`` (dcm2niix), else ``RepetitionTime``, else that of the protocol file, which also
        takes the place of a ``RepetitionTime`` that is not longer than the inversion time; else
        ``RepetitionTimeExcitation`` where it is longer than the inversion times: with one excitation after each
        inversion, both repeat together. Where no image has any, it is taken as infinite.

        Raises
        ------
        InvalidInputError
            If an inversion time is missing, a repetition time of some of the images, or the timing is impossible.
        """
        known = _inversion_times(sidecars)
        found = _repetition_times(sidecars, known)
        notes = () if ideal else (*_missing_repetition_times(sidecars, found), *_rivals(sidecars, known, found))
        repetition_times = tuple(math.inf if time is None else time for time in found)
        model = cls(inversion_times=known, repetition_times=repetition_times, ideal=ideal)
        notes += (*slice_doubts(sidecars, ideal=ideal), *_look_locker(sidecars))
        if ideal:
            return model, notes
        readout, doubts = _readout(model, sidecars)
        return replace(model, readout=readout), (*notes, *doubts)

    @property
    def n_measurements(self) -> int:
        """Number of inversion times."""
        return len(self.inversion_times)

    @property
    def n_coefficients(self) -> int:
        """M0 alone for an ideal inversion, else M0 and kappa M0."""
        return 1 if self.ideal else 2

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """Range of kappa: loose, because a tight bound is a one-sided prior that biases T1."""
        return (0.5, 3.0)

    @property
    def companion(self) -> FastComponent | None:
        """The fast component of tissue, where it is fitted."""
        return None if self.fast is None else self.fast_component(self.fast)

    def fast_component(self, relaxation_time: float) -> FastComponent:
        """Return a fast component with this relaxation time [s]."""
        return FastComponent(
            relaxation_time=relaxation_time,
            inversion_times=self.inversion_times,
            repetition_times=self.repetition_times,
            ideal=self.ideal,
        )

    def select(self, images: Sequence[int]) -> InversionRecovery:
        """Return the experiment of some of the images, by their numbers from zero."""
        return replace(
            self,
            inversion_times=tuple(self.inversion_times[image] for image in images),
            repetition_times=tuple(self.repetition_times[image] for image in images),
        )

    @property
    def changes_sign(self) -> bool:
        """Before the zero crossing it is negative."""
        return True

    def columns(self, time: Times) -> tuple[Columns, Columns]:
        """Return the columns of M0 and kappa M0 and their derivatives with respect to log T1."""
        ti = _over(self.inversion_times, time)
        recovery = torch.exp(-ti)
        if self.ideal:
            column = 1 - 2 * recovery
            return column[None], ti.mul_(recovery).mul_(-2)[None]
        repeat, slope = self._before_inversion(time)
        columns, slopes = (time.new_empty(2, *ti.shape) for _ in range(2))
        columns[0] = 1 - repeat
        torch.sub(repeat, recovery, out=columns[1])
        slopes[0] = -slope
        torch.addcmul(slope, ti, recovery, value=-1, out=slopes[1])
        if self.readout.leaves > 0:
            # What an excitation below 90 degrees leaves is inverted too; kappa enters by its usual value only.
            divisor = 1 + USUAL_INVERSION * self.readout.leaves * repeat
            columns /= divisor
            slopes -= columns * (USUAL_INVERSION * self.readout.leaves * slope)
            slopes /= divisor
        return columns, slopes

    def _before_inversion(self, time: Times) -> tuple[TimeColumns, TimeColumns]:
        """Return what an inversion finds short of M0, times exp(-TI/T1), over M0; and its derivative.

        exp(-TR/T1) after an instantaneous excitation of 90 degrees; more where the readout turns what has recovered.
        """
        finite = [min(tr, UNKNOWN_REPETITION_TIME) - self.readout.duration for tr in self.repetition_times]
        rest = _over(finite[:1] if len(set(finite)) == 1 else finite, time)
        decay = torch.exp(-rest)
        if self.readout.n_pulses == 0:
            return decay, rest * decay
        found, slope = self.readout.recovered(time)
        missing = 1 - found
        return missing * decay, decay * (rest * missing - slope)


def _readout(model: InversionRecovery, sidecars: Sequence[Sidecar]) -> tuple[Readout, tuple[str, ...]]:
    """Return the readout that all images share, and warn where it is not known but matters."""
    first, *others = [Readout.from_sidecar(sidecar) for sidecar in sidecars]
    rest = min(tr - ti for ti, tr in zip(model.inversion_times, model.repetition_times, strict=True))
    if first.is_known and all(other == first for other in others) and first.duration < rest:
        return first, ()
    if len({time for time in model.repetition_times if math.isfinite(time)}) <= 1:
        return INSTANTANEOUS, ()
    doubt = (
        "RepetitionTime changes with InversionTime, and the sidecars do not tell the readout: recovery is taken to "
        "begin at the excitation. After a long echo train T1 then reads up to 6 % long. Write ScanningSequence (SE or "
        "GR) into the sidecars, or PulseSequenceType into the table IRT1 of the protocol file, and EchoTrainLength and "
        "EchoSpacing [s] of a spin-echo train, or FlipAngle of a gradient echo."
    )
    return INSTANTANEOUS, (doubt,)


def _over(numerators: Sequence[float], time: Times) -> Times:
    """Divide each of some times by each relaxation time; the new axis comes first."""
    return time.new_tensor(numerators).reshape(-1, *(1 for _ in time.shape)) / time


def _inversion_times(sidecars: Sequence[Sidecar]) -> tuple[float, ...]:
    times = [(sidecar.name, sidecar.seconds("InversionTime")) for sidecar in sidecars]
    missing = [name for name, time in times if time is None]
    if missing:
        raise InvalidInputError(f"{', '.join(missing)}: InversionTime is missing; expected seconds in every sidecar.")
    return tuple(time for _, time in times if time is not None)


def _repetition_times(sidecars: Sequence[Sidecar], inversion_times: Sequence[float]) -> tuple[float | None, ...]:
    """Return the delay between two inversions for each image [s]; None where its sidecar does not tell."""
    found = tuple(_between_inversions(*each) for each in zip(sidecars, inversion_times, strict=True))
    if None not in found:
        return found
    excitation = [sidecar.seconds("RepetitionTimeExcitation") for sidecar in sidecars]
    # Excitations at shorter distances are those of a train: inversions are further apart.
    if any(time is not None and time <= ti for time, ti in zip(excitation, inversion_times, strict=True)):
        return found
    return tuple(other if time is None else time for time, other in zip(found, excitation, strict=True))


def _between_inversions(sidecar: Sidecar, inversion_time: float) -> float | None:
    """Return the delay between two inversions [s], that of the protocol file where the sidecar has no possible one."""
    own = _first(sidecar.alone, REPETITION_KEYS)
    if own is not None and own > inversion_time:
        return own
    completed = _first(sidecar, REPETITION_KEYS)
    return own if completed is None else completed


def _rivals(
    sidecars: Sequence[Sidecar], inversion_times: Sequence[float], used: Sequence[float | None]
) -> tuple[str, ...]:
    """Warn where an image has two delays that both could be that between inversions, and T1 depends on which it is.

    Delays that are the same for all images leave T1 as it is, whatever they are.
    """
    images = zip(sidecars, inversion_times, used, strict=True)
    told = [(one.name, time, _rival(one, inversion_time, time)) for one, inversion_time, time in images]
    rivals = [(name, time, rival) for name, time, rival in told if rival is not None]
    if not rivals or len({(time, rival and rival[1]) for _, time, rival in told}) == 1:
        return ()
    name, time, (field, other) = rivals[0]
    return (told_rival(name, field, other, f"{time:g} s"),)


def _rival(sidecar: Sidecar, inversion_time: float, used: float | None) -> tuple[str, float] | None:
    """Return another delay that could be the one between two inversions, and where it stands."""
    holders = (sidecar.alone, sidecar.behind)
    for holder, key in ((holder, key) for holder in holders if holder is not None for key in REPETITION_KEYS):
        other = may_repeat(holder.fields.get(key), inversion_time)
        if other is not None and used not in {None, other}:
            return f"{key} of the {holder.origin}", other
    return None


def _look_locker(sidecars: Sequence[Sidecar]) -> tuple[str, ...]:
    """Warn where an image is named as those are of which several follow one inversion."""
    called = ((sidecar.name, key) for sidecar in sidecars for key in NAMES if _is_look_locker(sidecar.text(key)))
    name, key = next(called, (None, None))
    if key is None:
        return ()
    doubt = (
        f"{name}: {key} is a name of Look-Locker sequences. Several readouts after one inversion measure T1*, which is "
        "shorter than T1, and by how much depends on the flip angle: then T1 is wrong."
    )
    return (doubt,)


def _is_look_locker(text: str | None) -> bool:
    return text is not None and LOOK_LOCKER.search(text) is not None


def _missing_repetition_times(sidecars: Sequence[Sidecar], found: Sequence[float | None]) -> tuple[str, ...]:
    """Say that none is known; refuse that some are, since nothing beside a known one is infinite.

    Raises
    ------
    InvalidInputError
        If only some are missing.
    """
    missing = ", ".join(sidecar.name for sidecar, time in zip(sidecars, found, strict=True) if time is None)
    if not missing:
        return ()
    known = ", ".join(f"{time:g}" for time in found if time is not None)
    if not known:
        return (f"{missing}: RepetitionTime is missing; taken as infinite.",)
    raise InvalidInputError(
        f"{missing}: RepetitionTime is missing, and other images of the run have {known} s; expected the delay between "
        "two inversions [s] in the sidecar of every image. Add it there, or where it is the same for all, as "
        "RepetitionTimePreparation to the table IRT1 of the protocol file."
    )


def _first(sidecar: Sidecar, keys: Sequence[str]) -> float | None:
    """Return the first of some fields that is there [s]."""
    return next((value for key in keys if (value := sidecar.seconds(key)) is not None), None)
