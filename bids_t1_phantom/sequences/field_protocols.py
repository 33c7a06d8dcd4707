"""Measurements of the transmit field as they are played: pulses, and what BIDS asks to know of each image.

Names and metadata are those of BIDS 1.11 for each suffix. All protocols are at 3 T.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bids_t1_phantom.physics.gradient_echo import spoiled_pulses
from bids_t1_phantom.physics.refocused_echoes import spin_and_stimulated_echo
from bids_t1_phantom.sequences.scan import MAGNITUDE, POLAR, Shot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from bids_t1_phantom.sequences.scan import Parts

    Simulation = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64] | NDArray[np.complex128]]

MAGNETIC_FIELD_STRENGTH = 3.0
"""[T]."""

SATURATION_ANGLE = 80.0
"""Nominal angle of the saturation pulse of `TURBO_FLASH` [degree]: that of tfl_b1map at 3 T."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProtocol:
    """One measurement."""

    suffix: str
    description: str
    images: tuple[Shot, ...]
    simulate: Simulation
    """From T1 [s] and relative transmit field, arrays (voxel), to signals for M0 = 1, array (image, voxel)."""

    parts: Parts = field(default_factory=lambda: MAGNITUDE)
    """The BIDS ``part`` label of each file of an image, and the view of it that the file holds."""

    derives_angles: bool = False
    """Whether scanners keep of the second image the achieved angle that follows from both."""

    called: str = ""
    """Name of the protocol on a scanner, where it is written as scanner files."""


_AFI_ANGLE = 60.0
_AFI_TIMES = (0.020, 0.100)


def _actual_flip_angle(t1: NDArray[np.float64], transmit: NDArray[np.float64]) -> NDArray[np.float64]:
    return spoiled_pulses(t1, 1.0, flip_angles=[_AFI_ANGLE] * 2, delays=_AFI_TIMES, transmit_field=transmit)


ACTUAL_FLIP_ANGLE = FieldProtocol(
    suffix="TB1AFI",
    called="AFI_B1",
    description="Actual flip-angle imaging, spoiled gradient echo with two alternating repetition times",
    images=tuple(
        Shot(
            entities={"acq": f"tr{index}"},
            metadata={"FlipAngle": _AFI_ANGLE, "RepetitionTimeExcitation": time, "EchoTime": 0.003},
        )
        for index, time in enumerate(_AFI_TIMES, start=1)
    ),
    simulate=_actual_flip_angle,
)
"""Yarnykh 2007, doi 10.1002/mrm.21120: the first image is read after the long delay, in the short one."""

_DAM_ANGLES = (60.0, 120.0)
_DAM_TIME = 10.0


def _double_angle(t1: NDArray[np.float64], transmit: NDArray[np.float64]) -> NDArray[np.float64]:
    signals = [
        spoiled_pulses(t1, 1.0, flip_angles=[angle], delays=[_DAM_TIME], transmit_field=transmit)
        for angle in _DAM_ANGLES
    ]
    return np.concatenate(signals)


DOUBLE_ANGLE = FieldProtocol(
    suffix="TB1DAM",
    description="Double-angle method, gradient echo",
    images=tuple(
        Shot(
            entities={"flip": str(index)}, metadata={"FlipAngle": angle, "RepetitionTime": _DAM_TIME, "EchoTime": 0.004}
        )
        for index, angle in enumerate(_DAM_ANGLES, start=1)
    ),
    simulate=_double_angle,
)
"""Insko and Bolinger 1993, doi 10.1006/jmra.1993.1133."""

_TFL_ANGLE = 8.0
_TFL_SPACING = 0.0035
_TFL_ECHO_TIME = 0.0018
_TFL_SPOILING = 0.002
_TFL_RECOVERY = 10.0
_TFL_EXCITATIONS = 40


def _turbo_flash(t1: NDArray[np.float64], transmit: NDArray[np.float64]) -> NDArray[np.float64]:
    # The centre of k-space comes first, so that the train does not change the contrast.
    train = [_TFL_ANGLE] * _TFL_EXCITATIONS
    delays = [_TFL_SPACING] * (_TFL_EXCITATIONS - 1) + [_TFL_RECOVERY]
    return spoiled_pulses(
        t1,
        1.0,
        flip_angles=[*train, SATURATION_ANGLE, *train],
        delays=[*delays, _TFL_SPOILING, *delays],
        transmit_field=transmit,
        read=(0, _TFL_EXCITATIONS + 1),
    )


TURBO_FLASH = FieldProtocol(
    suffix="TB1TFL",
    called="tfl_b1map",
    derives_angles=True,
    description="Turbo-FLASH without and with a saturation pulse",
    images=(
        Shot(
            entities={"acq": "anat"},
            metadata={"FlipAngle": _TFL_ANGLE, "RepetitionTime": _TFL_RECOVERY, "EchoTime": _TFL_ECHO_TIME},
        ),
        Shot(
            entities={"acq": "famp"},
            metadata={
                "FlipAngle": SATURATION_ANGLE,
                "RepetitionTime": _TFL_RECOVERY,
                "EchoTime": _TFL_ECHO_TIME,
                "Description": "Achieved angle of the saturation pulse in tenths of a degree",
            },
        ),
    ),
    simulate=_turbo_flash,
)
"""Chung et al. 2010, doi 10.1002/mrm.22423. The second image is what the scanner computes from both."""

_SA2RAGE_SATURATION = 90.0
_SA2RAGE_CYCLE = 2.4
_SA2RAGE_TIMES = (0.0455, 1.8)
_SA2RAGE_ANGLES = (4.0, 11.0)
_SA2RAGE_SPACING = 0.00275
_SA2RAGE_SHOTS = (16, 32)


def _sa2rage(t1: NDArray[np.float64], transmit: NDArray[np.float64]) -> NDArray[np.float64]:
    n_before, n_after = _SA2RAGE_SHOTS
    n_excitations = n_before + n_after
    first, second = _SA2RAGE_TIMES
    start = first - n_before * _SA2RAGE_SPACING
    pause = second - first - n_excitations * _SA2RAGE_SPACING
    rest = _SA2RAGE_CYCLE - second - n_after * _SA2RAGE_SPACING
    train = [_SA2RAGE_SPACING] * (n_excitations - 1)
    return spoiled_pulses(
        t1,
        1.0,
        flip_angles=[_SA2RAGE_SATURATION, *(angle for angle in _SA2RAGE_ANGLES for _ in range(n_excitations))],
        delays=[start, *train, _SA2RAGE_SPACING + pause, *train, _SA2RAGE_SPACING + rest],
        transmit_field=transmit,
        read=(1 + n_before, 1 + n_excitations + n_before),
    )


SA2RAGE = FieldProtocol(
    suffix="TB1SRGE",
    description="Sa2RAGE, two gradient-echo trains after a saturation pulse",
    images=tuple(
        Shot(
            entities={"flip": str(index), "inv": str(index)},
            metadata={
                "FlipAngle": angle,
                "InversionTime": time,
                "RepetitionTimeExcitation": _SA2RAGE_SPACING,
                "RepetitionTimePreparation": _SA2RAGE_CYCLE,
                "NumberShots": list(_SA2RAGE_SHOTS),
                "EchoTime": 0.0008,
            },
        )
        for index, (angle, time) in enumerate(zip(_SA2RAGE_ANGLES, _SA2RAGE_TIMES, strict=True), start=1)
    ),
    simulate=_sa2rage,
    parts=POLAR,
)
"""Eggenschwiler et al. 2012, doi 10.1002/mrm.23145. Strong fields turn the sign of the first image: phase tells."""

_EPI_ANGLES = (50.0, 65.0, 80.0, 95.0, 110.0)
_EPI_ECHO_TIME = 0.0388
_EPI_MIXING_TIME = 0.0338
_EPI_TIME = 4.0


def _echo_planar(t1: NDArray[np.float64], transmit: NDArray[np.float64]) -> NDArray[np.complex128]:
    echoes = [
        spin_and_stimulated_echo(
            t1,
            flip_angle=angle,
            echo_time=_EPI_ECHO_TIME,
            mixing_time=_EPI_MIXING_TIME,
            repetition_time=_EPI_TIME,
            transmit_field=transmit,
        )
        for angle in _EPI_ANGLES
    ]
    return np.concatenate(echoes)


ECHO_PLANAR = FieldProtocol(
    suffix="TB1EPI",
    description="Spin and stimulated echoes of the pulses alpha, 2 alpha and alpha, echo-planar readout",
    images=tuple(
        Shot(
            entities={"flip": str(index), "echo": str(echo)},
            metadata={
                "FlipAngle": angle,
                "EchoTime": _EPI_ECHO_TIME + (echo - 1) * _EPI_MIXING_TIME,
                "MixingTime": _EPI_MIXING_TIME,
                "TotalReadoutTime": 0.0135,
                "RepetitionTime": _EPI_TIME,
            },
        )
        for index, angle in enumerate(_EPI_ANGLES, start=1)
        for echo in (1, 2)
    ),
    simulate=_echo_planar,
)
"""Jiru and Klose 2006, doi 10.1002/mrm.21083; Lutti et al. 2010, doi 10.1002/mrm.22421."""

PROTOCOLS: Mapping[str, FieldProtocol] = MappingProxyType(
    {
        "afi": ACTUAL_FLIP_ANGLE,
        "dam": DOUBLE_ANGLE,
        "tfl": TURBO_FLASH,
        "sa2rage": SA2RAGE,
        "epi": ECHO_PLANAR,
    }
)
"""Measurements by the value of ``--b1-map``."""
