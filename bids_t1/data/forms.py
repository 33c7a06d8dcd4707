"""What there may be of a run of readouts: each form of input, what it supports, and its words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

InputForm = Literal[
    "complex", "UNIT1 and magnitudes", "UNIT1 and last magnitude", "UNIT1", "magnitudes", "positive readouts"
]
"""Names of the forms, as on record; the most informative first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One row: a form of input."""

    n_readouts: int | None
    """How many readouts are needed; None: all that the model has."""

    uses_uni: bool = False
    is_complex: bool = False
    has_energy: bool = True
    """Whether the magnitudes of the first two readouts are known, as robust UNI needs them."""

    has_signs: bool = True
    """Whether the signs of the readouts are known; else the likelihood is a sum over them."""

    images: str
    """What there is."""

    lost: str
    """Against complex images, for the table of what entered."""

    costs: str
    """What is lost where a richer form could not be used."""

    algorithm: str
    likelihood: str
    caution: str = ""
    """What a reader has to know before using the numbers."""

    others: str = ""
    """What more than two readouts contributed; nothing where that is not to be told."""

    missing: Mapping[str, str] = field(default_factory=dict)
    """Why maps cannot be made, by their quantity."""

    @property
    def has_amplitude(self) -> bool:
        """Whether the strength of the signal is known."""
        return self.n_readouts != 0

    @property
    def is_pair(self) -> bool:
        """Whether the first two readouts are all that enters."""
        return self.n_readouts is not None

    def needed(self, n_readouts: int) -> int:
        """Return how many readouts are needed of so many that the model has."""
        return n_readouts if self.n_readouts is None else self.n_readouts


_OTHERS_ENTERED = "the others entered as well"
_NO_STRENGTH = "UNIT1 has no signal strength"

FORMS: Mapping[InputForm, Form] = {
    "complex": Form(
        n_readouts=None,
        is_complex=True,
        images="complex images of every readout",
        lost="nothing is lost",
        costs="nothing, as other parts hold the same",
        algorithm="posterior of T1 from all complex readouts, complex amplitude integrated out",
        likelihood="The likelihood was that of the complex images of all readouts with Gaussian noise; the complex "
        "amplitude of the voxel, with a flat prior, was integrated out in closed form.",
        others=_OTHERS_ENTERED,
    ),
    "UNIT1 and magnitudes": Form(
        n_readouts=None,
        uses_uni=True,
        images="UNIT1 and the magnitude of every readout",
        lost="there is no phase; UNIT1 gives the signs, so that next to nothing is lost",
        costs="nothing, as UNIT1 holds what the phases tell of T1",
        algorithm="posterior of T1 from the magnitudes and UNI, which hold the same products as complex readouts; "
        "complex amplitude integrated out",
        likelihood="The likelihood was that of complex readouts with Gaussian noise, whose products are known from UNI "
        "and the magnitudes; the complex amplitude of the voxel, with a flat prior, was integrated out in closed form.",
        others=_OTHERS_ENTERED,
    ),
    "UNIT1 and last magnitude": Form(
        n_readouts=1,
        uses_uni=True,
        has_energy=False,
        images="UNIT1 and the magnitude of the last readout",
        lost="the first magnitude is lost: it follows from UNIT1; there is no robust UNI",
        costs="the magnitude of the first readout; readouts are taken as in phase",
        algorithm="posterior of T1 from UNI and the magnitude of the second readout, the readouts taken as in phase; "
        "amplitude integrated out",
        likelihood="The likelihood was that of readouts with Gaussian noise, reconstructed from UNI and the last "
        "magnitude: the readouts were taken as in phase or in opposition, and both ratios of theirs that UNI allows "
        "entered; the complex amplitude of the voxel, with a flat prior, was integrated out in closed form.",
        missing={"robust_uni": "needs the magnitude of the first readout"},
    ),
    "UNIT1": Form(
        n_readouts=0,
        uses_uni=True,
        has_energy=False,
        images="UNIT1 alone",
        lost="the strength of the signal is lost: the noise was taken as the same everywhere, and there is no M0",
        costs="the magnitudes; M0 is taken as the same everywhere, and noise is judged by UNIT1 alone",
        algorithm="posterior of T1 from UNI alone, closed-form density at an amplitude taken as the same everywhere",
        likelihood="The likelihood was the exact probability density of UNI under Gaussian noise in the complex "
        "readouts, in closed form; for want of magnitudes, the ratio of M0 to the noise was taken as the same in every "
        "voxel.",
        caution="Only UNIT1 was there. The noise was taken as the same everywhere: where the signal is weak the 95 % "
        "interval is too narrow, where it is strong too wide. Without magnitudes, air differs from tissue only by the "
        "roughness of UNIT1: what is left of the noise outside the head has values of T1 that mean nothing, and they "
        "count in all numbers and in the histogram.",
        others="nothing else entered",
        missing={"amplitude": _NO_STRENGTH, "robust_uni": _NO_STRENGTH},
    ),
    "magnitudes": Form(
        n_readouts=None,
        has_signs=False,
        images="magnitudes alone",
        lost="the sign of the signal is lost: every choice of signs entered, as likely as the data and M0 make it",
        costs="the signs of the readouts, so that two values of T1 are possible in places",
        algorithm="posterior of T1 from magnitudes, summed over the signs they have lost; prior of M0 learned from the "
        "image",
        likelihood="The likelihood was that of readouts with Gaussian noise, summed over the signs that magnitudes "
        "have lost; the amplitude of the voxel had a prior of its logarithm that was learned from the image by "
        "expectation and maximisation.",
        caution="There are magnitudes only: the sign of the signal is lost, and most voxels have two possible T1. "
        "Between these the evenness of M0 over the image decided where it could; elsewhere the voxel is marked as "
        "having two modes, and its T1 is a coin toss. An uneven receive field may mislead the choice. Phase images or "
        "UNIT1 would tell.",
        others=_OTHERS_ENTERED,
    ),
    "positive readouts": Form(
        n_readouts=None,
        has_energy=False,
        images="magnitudes of every image, of signals that are never negative",
        lost="nothing but the phase, which tells nothing of T1; what noise adds to magnitudes was taken off",
        costs="next to nothing, as the signals are never negative",
        algorithm="posterior of T1 from magnitudes of signals that are never negative, amplitude integrated out",
        likelihood="The likelihood was that of the magnitudes of all images with Gaussian noise, whose variance was "
        "subtracted from the squared magnitudes; the amplitude of the voxel was integrated out in closed form.",
    ),
}


def recorded_form(name: object) -> Form | None:
    """Return the form that a record names; None where it names none that is known."""
    return next((form for known, form in FORMS.items() if known == name), None)
