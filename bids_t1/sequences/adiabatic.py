"""The inversion efficiency of common adiabatic pulses, by the peak amplitude of their transmit field.

From a Bloch simulation on resonance with T2 = 50 ms: ``python -m benchmarks.adiabatic_pulses`` prints it. A pulse of
other parameters, or a time-resampled FOCI pulse, needs a table of its own.
"""

from __future__ import annotations

import numpy as np

Curve = tuple[tuple[float, float], ...]

HYPERBOLIC_SECANT: Curve = (
    (3.0, 0.000),
    (3.5, 0.000),
    (4.0, 0.133),
    (4.5, 0.312),
    (5.0, 0.471),
    (5.5, 0.606),
    (6.0, 0.716),
    (6.5, 0.801),
    (7.0, 0.863),
    (7.5, 0.905),
    (8.0, 0.932),
    (8.5, 0.947),
    (9.0, 0.953),
    (10.0, 0.952),
    (11.0, 0.946),
    (12.0, 0.942),
    (14.0, 0.937),
    (16.0, 0.924),
    (18.0, 0.914),
    (20.0, 0.919),
    (25.0, 0.888),
    (30.0, 0.868),
)
"""Peak [uT] and efficiency: 10.24 ms, mu 4.9, beta 672/s (Silver et al. 1984, doi 10.1016/0022-2364(84)90181-1)."""

FOCI: Curve = (
    (7.5, 0.000),
    (8.0, 0.017),
    (8.5, 0.104),
    (9.0, 0.188),
    (9.5, 0.268),
    (10.0, 0.344),
    (10.5, 0.416),
    (11.0, 0.483),
    (11.5, 0.545),
    (12.0, 0.601),
    (13.0, 0.699),
    (14.0, 0.778),
    (15.0, 0.838),
    (16.0, 0.884),
    (17.0, 0.917),
    (18.0, 0.939),
    (19.0, 0.954),
    (20.0, 0.964),
    (22.0, 0.973),
    (25.0, 0.975),
    (30.0, 0.972),
    (40.0, 0.966),
)
"""The same: 7.68 ms, 2 kHz, beta 1618/s, C-shape cut off at 10 (Payne and Leach 1997, doi 10.1002/mrm.1910380520)."""

PULSES = {"HS": HYPERBOLIC_SECANT, "FOCI": FOCI}


def relative_curve(curve: Curve, nominal: float) -> Curve:
    """Return pairs of the relative transmit field and the efficiency there over that at the nominal one.

    Parameters
    ----------
    curve
        Pairs of a field, rising, and the efficiency there.
    nominal
        What counts as 1, in units of the fields.
    """
    at_nominal = interpolate(curve, nominal)
    return tuple((field / nominal, efficiency / at_nominal) for field, efficiency in curve)


def interpolate(curve: Curve, field: float) -> float:
    """Return the efficiency at a field, linear between the pairs and constant beyond them."""
    fields, efficiencies = zip(*curve, strict=True)
    return float(np.interp(field, fields, efficiencies))
