"""A head goes through MP2RAGE or MP3RAGE: complex readouts, and the images that scanners derive from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bids_t1.data.errors import UsageError
from bids_t1_phantom.physics import two_pools
from bids_t1_phantom.physics.gradient_echo import echoes
from bids_t1_phantom.physics.protocols import INVERSION_LEAVES, WHITE_MATTER_M0, inversions_leave
from bids_t1_phantom.physics.simulate import rapid_gradient_echo_trains
from bids_t1_phantom.physics.trains import MP2RAGE, MP3RAGE, MULTI_ECHO_MP2RAGE, ReadoutProtocol
from bids_t1_phantom.sequences.multi_echo_gre import refuse_echo_times
from bids_t1_phantom.sequences.scan import COMPLEX, MAGNITUDE, POLAR, Image, Images, Scan, Shot, Timing, receive

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from bids_t1_phantom.head.head import Head
    from bids_t1_phantom.sequences.scan import Parts

_STREAMS = {"MP2RAGE": 2, "MP3RAGE": 3}
"""Random numbers of each sequence: its noise does not depend on what else is scanned."""

_REGULARISATION = 100.0
"""beta of the denoised UNI over the noise variance of one channel: small beside the signal of brain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutSequence:
    """What is played, and how well."""

    name: str
    """MP2RAGE or MP3RAGE."""

    protocol: ReadoutProtocol
    inversion_efficiency: float
    """The inversion takes Mz to minus this times Mz."""

    noise: float = 0.0005
    """Noise SD of one channel, real or imaginary, over the M0 of average white matter (`WHITE_MATTER_M0`)."""

    label: str | None = None
    """Label of the ``acq`` entity, where sequences must be told apart."""

    inversion_leaves: float = INVERSION_LEAVES
    """Share of bound protons' magnetisation after the inversion, where there are any."""

    def __post_init__(self) -> None:
        """Refuse impossible numbers.

        Raises
        ------
        UsageError
            If efficiency or noise cannot be.
        """
        if not 0 <= self.inversion_efficiency <= 1:
            raise UsageError(f"inversion efficiency {self.inversion_efficiency}; expected 0 to 1, 1 if perfect.")
        if not 0 <= self.noise < 1:
            raise UsageError(
                f"noise {self.noise}; expected its SD relative to the M0 of white matter, from 0 and below 1."
            )

    @property
    def protocol_name(self) -> str:
        """What an operator called it."""
        return f"t1_{self.name.lower()}_sag_p3_1mm"

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise in the real, and in the imaginary, channel [units of M0]."""
        return WHITE_MATTER_M0 * self.noise


def default_sequence(  # noqa: PLR0913 -- one argument per option of the sequence
    name: str,
    *,
    inversion_efficiency: float | None = None,
    noise: float = 0.0005,
    slice_partial_fourier: float = 1.0,
    echo_times: tuple[float, ...] = (),
    label: str | None = None,
    inversion_leaves: float = INVERSION_LEAVES,
) -> ReadoutSequence:
    """Return MP2RAGE or MP3RAGE as the phantom plays it; None: the efficiency that goes with the protocol.

    Slice partial Fourier and several echoes are for MP2RAGE only.

    Raises
    ------
    UsageError
        If echo times are impossible, or slice partial Fourier is.
    """
    protocol, usual_efficiency = {"MP2RAGE": (MP2RAGE, 0.96), "MP3RAGE": (MP3RAGE, 0.84)}[name]
    if name == "MP2RAGE":
        if echo_times:
            protocol = _multi_echo(echo_times)
        protocol = protocol.with_slice_partial_fourier(slice_partial_fourier)
    return ReadoutSequence(
        name=name,
        protocol=protocol,
        inversion_efficiency=usual_efficiency if inversion_efficiency is None else inversion_efficiency,
        noise=noise,
        label=label,
        inversion_leaves=inversion_leaves,
    )


def _multi_echo(echo_times: tuple[float, ...]) -> ReadoutProtocol:
    refuse_echo_times(echo_times)
    first, *later = echo_times
    longest = MULTI_ECHO_MP2RAGE.spacings[1]
    if not later or echo_times[-1] >= longest or first >= MULTI_ECHO_MP2RAGE.spacings[0]:
        raise UsageError(
            f"echo times {', '.join(f'{time:g}' for time in echo_times)} s of MP2RAGE; expected two or more, the first "
            f"before {MULTI_ECHO_MP2RAGE.spacings[0]:g} s and the last before {longest:g} s, when the next excitation "
            "comes."
        )
    return replace(MULTI_ECHO_MP2RAGE, echo_time=first, later_echo_times=tuple(later))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutForm:
    """Which images of a run are kept."""

    parts: Parts = field(default_factory=dict)
    """The BIDS ``part`` label of each image of a readout, and the view of the scan that it holds."""

    last_only: bool = False
    """Only the second readout: the last of the two that UNIT1 is made of."""

    uni: bool = False
    denoised: bool = False


FORMS = MappingProxyType(
    {
        "polar": ReadoutForm(parts=POLAR),
        "complex": ReadoutForm(parts=COMPLEX),
        "uni": ReadoutForm(uni=True),
        "uni-mag": ReadoutForm(parts=MAGNITUDE, uni=True),
        "uni-last": ReadoutForm(parts=MAGNITUDE, last_only=True, uni=True),
        "mag": ReadoutForm(parts=MAGNITUDE),
        "all": ReadoutForm(parts=POLAR, uni=True, denoised=True),
    }
)
"""Choices of ``--mp2rage-form``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutOptions:
    """How the images of one sequence are written."""

    form: str = "polar"
    """Key of `FORMS`."""

    uni_scale: str = "4095"
    """How UNIT1 is stored: 4095, unit or signed."""


def store_uni(uni: NDArray[np.float64], scale: str) -> NDArray[np.generic]:
    """Store UNI: ``4095`` as Siemens does, 0..4095; ``unit`` as it is; ``signed`` as -2048..2047."""
    if scale == "unit":
        return uni.astype(np.float32)
    if scale == "signed":
        return np.clip(np.rint(4095 * uni), -2048, 2047).astype(np.int16)
    return np.rint(4095 * (uni + 0.5)).astype(np.uint16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutScan(Scan):
    """Images of one run, array (readout, x, y, z): of each readout the first echo."""

    sequence: ReadoutSequence
    choice: ReadoutOptions = field(default_factory=ReadoutOptions)
    later_echoes: Images | None = None
    """The other echoes of the second readout, array (echo, x, y, z), where it has several."""

    @property
    def name(self) -> str:
        """MP2RAGE or MP3RAGE."""
        return self.sequence.name

    def timing(self, part: str, index: int) -> Timing:
        """Return the times of one readout; images that are derived have no inversion time."""
        protocol = self.sequence.protocol
        return Timing(
            inversion_time=None if part in _DERIVED else protocol.inversion_times[index],
            repetition_time=protocol.spacings[index],
            cycle_time=protocol.cycle_time,
            echo_time=protocol.echo_time,
            flip_angle=protocol.flip_angles[index],
            magnetic_field_strength=protocol.magnetic_field_strength,
            acquisition_type="3D",
        )

    def called(self, index: int | None) -> str:  # noqa: ARG002 -- one name for all readouts
        """Return the name of the protocol."""
        return self.sequence.protocol_name

    def volumes(self, part: str) -> NDArray[np.generic]:
        """Return one part of all readouts, or what is derived from the first two."""
        derive = _DERIVED.get(part)
        return self.part(part) if derive is None else derive(self)[None]

    def kept(self) -> Iterator[Image]:
        """Yield the files of the form that is asked for."""
        form = FORMS[self.choice.form]
        for image in self._readouts(form.parts):
            if not form.last_only or image.shot.entities["inv"] == "2":
                yield image
        if form.uni:
            yield self._unit1(self.uni(), "UNI_Images")
        if form.denoised:
            yield self._unit1(self.denoised_uni(), "UNI-DEN", rec="denoised")

    def _readouts(self, parts: Parts) -> Iterator[Image]:
        """Yield readouts and, of each part, the later echoes of the second one; one echo has no number."""
        for part in parts.items():
            for scan, shots in ((self, self._first_shots()), (self.later_echoes, self._later_shots())):
                if scan is not None:
                    yield from scan.files("MP2RAGE", shots, dict([part]))

    def _first_shots(self) -> list[Shot]:
        several = 1 if self.later_echoes is not None else None
        return [self._shot(index, 0, named=index == several) for index in range(len(self.images))]

    def _later_shots(self) -> list[Shot]:
        return [self._shot(1, echo, named=True) for echo in range(1, len(self.sequence.protocol.echo_times))]

    def _shot(self, index: int, echo: int, *, named: bool) -> Shot:
        entities = {"acq": self.sequence.label, "inv": str(index + 1), "echo": str(echo + 1) if named else None}
        return Shot(entities=entities, metadata=readout_metadata(self.sequence, index, echo))

    def _unit1(self, uni: NDArray[np.float64], kind: str, rec: str | None = None) -> Image:
        shot = Shot(entities={"acq": self.sequence.label, "rec": rec}, metadata=_uni_metadata(self.sequence, kind))
        return Image(suffix="UNIT1", shot=shot, values=store_uni(uni, self.choice.uni_scale), grid=self.grid)

    def uni(self) -> NDArray[np.float64]:
        """UNI of the first two readouts, Re(conj(g1) g2) / (|g1|^2 + |g2|^2), array (x, y, z), from -1/2 to 1/2."""
        return self._combined(0.0)

    def denoised_uni(self) -> NDArray[np.float64]:
        """UNI with a constant that takes the noise out of air, array (x, y, z), from -1/2 to 1/2.

        O'Brien et al. 2014, doi 10.1371/journal.pone.0099676.
        """
        return self._combined(_REGULARISATION * self.sequence.noise_sd**2)

    def _combined(self, beta: float) -> NDArray[np.float64]:
        first, second = self.images[:2].astype(np.complex128)
        product = (first.conj() * second).real - beta
        power = np.abs(first) ** 2 + np.abs(second) ** 2 + 2 * beta
        # Without noise there is nothing in air; scanners show the middle of the scale.
        return np.asarray(np.divide(product, power, out=np.zeros_like(product), where=power > 0))

    def vendor_t1(self) -> NDArray[np.float64]:
        """T1 as scanners look it up from UNI [s]: perfect inversion, nominal flip angles."""
        t1 = np.geomspace(0.05, 5.0, 400)
        first, second = rapid_gradient_echo_trains(t1, 1.0, protocol=self.sequence.protocol, inversion_efficiency=1.0)[
            :2
        ]
        table = first * second / (first**2 + second**2)
        falling = slice(int(np.argmax(table)), int(np.argmin(table)) + 1)
        return np.asarray(np.interp(-self.uni(), -table[falling], t1[falling]))


_DERIVED: Mapping[str, Callable[[ReadoutScan], NDArray[np.float64]]] = MappingProxyType(
    {"uni": ReadoutScan.uni, "denoised": ReadoutScan.denoised_uni, "t1": ReadoutScan.vendor_t1}
)
"""Images that scanners make of the first two readouts."""


def acquire_readouts(
    head: Head, sequence: ReadoutSequence, *, seed: int, participant: int = 1, layers: tuple[Head, ...] = ()
) -> ReadoutScan:
    """Scan a head: simulate the signal of each voxel, add its phase and complex Gaussian noise.

    `layers` are what voxels average, complex; none where each voxel is what is in its middle, as
    with several echoes.
    """
    rng = np.random.default_rng([seed, participant, _STREAMS[sequence.name]])
    if sequence.protocol.later_echo_times:
        return _with_echoes(head, sequence, _played(head, sequence), rng)
    parts = layers or (head,)
    turned = np.mean([_played(part, sequence) * np.exp(1j * part.phase) for part in parts], axis=0)
    images = receive(turned, np.zeros(head.grid.shape), noise_sd=sequence.noise_sd, rng=rng)
    return ReadoutScan(grid=head.grid, sequence=sequence, images=images, reference_phase=head.phase)


def _played(head: Head, sequence: ReadoutSequence) -> NDArray[np.float64]:
    """Signed signal of all voxels, without noise, array (readout, x, y, z)."""
    signal = np.zeros((len(sequence.protocol.inversion_times), *head.grid.shape))
    signal[:, head.m0 > 0] = _play(head, sequence)
    return signal


def _play(head: Head, sequence: ReadoutSequence) -> NDArray[np.float64]:
    """Signed signal of the voxels that are not air, without noise, array (readout, voxel)."""
    matter = head.m0 > 0
    if head.pools is not None:
        efficiency, left = _inversion(head, sequence, matter)
        return two_pools.rapid_gradient_echo_trains(
            head.pools[matter],
            head.m0[matter],
            protocol=sequence.protocol,
            transmit_field=head.transmit_field[matter],
            inversion_efficiency=efficiency,
            inversion_leaves=left,
        )
    return rapid_gradient_echo_trains(
        head.t1[matter],
        head.m0[matter],
        protocol=sequence.protocol,
        transmit_field=head.transmit_field[matter],
        inversion_efficiency=sequence.inversion_efficiency,
    )


def _inversion(
    head: Head, sequence: ReadoutSequence, matter: NDArray[np.bool_]
) -> tuple[NDArray[np.float64] | float, NDArray[np.float64] | float]:
    """Return efficiency and share of the bound pool that is left, of some voxels."""
    if head.variety is None:
        return sequence.inversion_efficiency, sequence.inversion_leaves
    efficiency = np.clip(sequence.inversion_efficiency * head.variety.efficiency[matter], 0, 1)
    return efficiency, np.clip(sequence.inversion_leaves + head.variety.left[matter], 0, 1)


def _with_echoes(
    head: Head, sequence: ReadoutSequence, signal: NDArray[np.float64], rng: np.random.Generator
) -> ReadoutScan:
    """Let the readouts decay from their excitations to all echoes; the first echo comes after the same time in both."""
    protocol = sequence.protocol
    matter = head.m0 > 0
    decayed = np.zeros((1 + len(protocol.echo_times), *head.grid.shape), dtype=complex)
    for target, readout, times in ((slice(0, 1), 0, protocol.echo_times[:1]), (slice(1, None), 1, protocol.echo_times)):
        decayed[target, matter] = echoes(
            signal[readout][matter], times, t2_star=head.t2_star[matter], off_resonance=head.off_resonance[matter]
        )
    images = receive(decayed, head.phase, noise_sd=sequence.noise_sd, rng=rng)
    later = Images(grid=head.grid, images=images[2:], reference_phase=head.phase)
    return ReadoutScan(
        grid=head.grid, sequence=sequence, images=images[:2], reference_phase=head.phase, later_echoes=later
    )


def readout_metadata(sequence: ReadoutSequence, index: int, echo: int = 0) -> dict[str, object]:
    """Return the sidecar of one readout and echo, both from 0: everything that BIDS requires of MP2RAGE."""
    protocol = sequence.protocol
    return {
        **_scanner(sequence),
        "PulseSequenceType": f"{sequence.name}, spoiled gradient echo",
        "InversionTime": protocol.inversion_times[index],
        "FlipAngle": protocol.flip_angles[index],
        "RepetitionTimeExcitation": protocol.spacings[index],
        "RepetitionTimePreparation": protocol.cycle_time,
        "NumberShots": [protocol.n_before, protocol.n_after],
        "EchoTime": protocol.echo_times[echo],
    }


def _uni_metadata(sequence: ReadoutSequence, kind: str) -> dict[str, object]:
    """Return what converters leave of UNIT1: no inversion time, no excitation time, no number of shots."""
    return {
        **_scanner(sequence),
        "SeriesDescription": f"{sequence.protocol_name}_{kind}",
        # The same for both kinds on real scanners: only the name of the series tells UNI-DEN from UNI.
        "ImageType": ["DERIVED", "PRIMARY", "M", "ND", "UNI"],
        "RepetitionTimePreparation": sequence.protocol.cycle_time,
    }


def _scanner(sequence: ReadoutSequence) -> dict[str, object]:
    return {
        "Modality": "MR",
        "Manufacturer": "Siemens",
        "ManufacturersModelName": "phantom",
        "MagneticFieldStrength": sequence.protocol.magnetic_field_strength,
        "MRAcquisitionType": "3D",
        "ScanningSequence": ["GR", "IR"],
    }


def protocol_name(sequence: ReadoutSequence) -> str:
    """Return the name of the file with the protocol of a sequence."""
    return "protocol.toml" if sequence.label is None else f"protocol_acq-{sequence.label}.toml"


def protocol_text(sequence: ReadoutSequence) -> str:
    """Return the protocol as a user would write it: what UNIT1 alone, or a scanner's file, does not say.

    The table is named MP2RAGE for any number of readouts.
    """
    protocol = sequence.protocol
    rows = {
        "MagneticFieldStrength": protocol.magnetic_field_strength,
        "RepetitionTimePreparation": protocol.cycle_time,
        "RepetitionTimeExcitation": _one_or_all(protocol.spacings),
        "NumberShots": [protocol.n_before, protocol.n_after],
        "InversionTime": list(protocol.inversion_times),
        "FlipAngle": list(protocol.flip_angles),
        "InversionEfficiency": sequence.inversion_efficiency,
    }
    lines = [
        f"# {sequence.name} as it was simulated: times in seconds, angles in degrees.",
        "[MP2RAGE]",
        *(f"{key} = {value}" for key, value in rows.items()),
    ]
    return "\n".join(lines) + "\n"


def _one_or_all(values: tuple[float, ...]) -> float | list[float]:
    return values[0] if len(set(values)) == 1 else list(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trains:
    """MP2RAGE or MP3RAGE as a sequence of the dataset."""

    space: ClassVar[str] = "MP2RAGE"
    needs_field: ClassVar[bool] = True

    sequence: ReadoutSequence
    choice: ReadoutOptions

    @property
    def name(self) -> str:
        """MP2RAGE or MP3RAGE."""
        return self.sequence.name

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of one channel [units of M0]."""
        return self.sequence.noise_sd

    @property
    def snr(self) -> float:
        """M0 of average white matter over it."""
        return 1 / self.sequence.noise if self.sequence.noise else math.inf

    @property
    def decays(self) -> bool:
        """Whether there are several echoes."""
        return bool(self.sequence.protocol.later_echo_times)

    @property
    def protocol_file(self) -> tuple[str, str]:
        """Name and text of the protocol."""
        return protocol_name(self.sequence), protocol_text(self.sequence)

    def amplitude_of(self, head: Head) -> None:
        """Return None: M0 is that of the head."""

    def scan(self, head: Head, *, seed: int, participant: int, layers: Iterable[Head]) -> ReadoutScan:
        """Scan a head."""
        parts = tuple(layers)
        scan = acquire_readouts(head, self.sequence, seed=seed, participant=participant, layers=parts)
        return replace(scan, choice=self.choice)


def two_trains(arguments: Namespace) -> Trains:
    """Return MP2RAGE as the command line asks for it."""
    return _from_arguments(arguments, "MP2RAGE")


def three_trains(arguments: Namespace) -> Trains:
    """Return MP3RAGE as the command line asks for it."""
    return _from_arguments(arguments, "MP3RAGE")


def _from_arguments(arguments: Namespace, name: str) -> Trains:
    asked = {each for group in arguments.sequences for each in group}
    sequence = default_sequence(
        name,
        inversion_efficiency=arguments.mp2rage_efficiency,
        noise=arguments.mp2rage_noise,
        slice_partial_fourier=arguments.slice_partial_fourier,
        echo_times=tuple(arguments.mp2rage_echoes or ()),
        label=name.lower() if asked.issuperset(_STREAMS) else None,
        inversion_leaves=inversions_leave(arguments.inversion_leaves)[1],
    )
    return Trains(sequence=sequence, choice=ReadoutOptions(form=arguments.mp2rage_form, uni_scale=arguments.uni_scale))


def refuse_echoes(arguments: Namespace) -> None:
    """Refuse several echoes of what is not scanned, or not written.

    Raises
    ------
    UsageError
        If they are asked for in DICOM files, or without MP2RAGE.
    """
    asked = {each for group in arguments.sequences for each in group}
    if arguments.mp2rage_echoes and (arguments.format == "dicom" or "MP2RAGE" not in asked):
        raise UsageError("--mp2rage-echoes; expected --format bids with MP2RAGE among the sequences.")
