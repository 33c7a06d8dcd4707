"""From the T1 that a model reads to the T1 that is meant, learned from what the sequence makes of believed tissues.

For given tissues, the readouts of a fuller physics are read as the posterior would read them, by direction. The
logarithm of the wanted over the read T1 is a smooth function of both T1 and transmit field, and what scatters around it
is the correction's own SD: what two or three readouts cannot tell of the tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from bids_t1.data.prior_correction import PriorCorrection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bids_t1.data.shapes import Map
    from bids_t1.data.signal_model import ReadoutModel

    Values = NDArray[np.float64]

N_KNOTS = 9
"""Of T1 that is read, at equal shares of the tissues; straight lines in log T1 in between."""

N_READ = 1500
"""Values of T1 among which the best is looked for, before a parabola."""

READ_RANGE = (0.1, 8.0)
"""[s]."""

FIELD_STEP = 0.02
"""Of the transmit fields at which signals are read."""

EDGES = (0.002, 0.998)
"""Quantiles of what is read: beyond, nothing is known."""

Z95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corrected:
    """T1 as it is meant, (*voxels) [s]; NaN where it was not read, or cannot be corrected."""

    time: Map
    time_sd: Map
    lower: Map
    upper: Map
    outside: Map
    """Where T1 was read but nothing is believed of such tissue, or of such a transmit field."""


def learn_correction(
    model: ReadoutModel, signals: Values, time: Values, transmit: Values, fields: tuple[float, float]
) -> PriorCorrection:
    """Learn a correction from readouts of a fuller physics.

    Parameters
    ----------
    model
        Reads the signals.
    signals
        Readouts without noise, (readout, tissue).
    time
        T1 that is wanted [s].
    transmit
        Transmit field of each tissue.
    fields
        Between which of them tissues lie.
    """
    read = read_times(model, signals, transmit)
    low, high = np.quantile(read, EDGES)
    kept = (read > low) & (read < high)
    log_read, wanted, off = np.log(read[kept]), np.log(time[kept] / read[kept]), transmit[kept] - 1
    knots = np.quantile(log_read, np.linspace(0, 1, N_KNOTS))
    hats = np.stack([np.interp(log_read, knots, row) for row in np.eye(N_KNOTS)], axis=1)
    design = np.concatenate([hats, hats * off[:, None], hats * off[:, None] ** 2], axis=1)
    solution = np.linalg.lstsq(design, wanted, rcond=None)[0]
    squares = (wanted - design @ solution) ** 2
    variances = np.linalg.lstsq(hats, squares, rcond=None)[0].clip(np.median(squares) / 10)
    rows = solution.reshape(3, N_KNOTS).T
    return PriorCorrection(
        knots=tuple(knots.tolist()),
        factors=tuple((float(a), float(b), float(c)) for a, b, c in rows),
        variances=tuple(variances.tolist()),
        fields=fields,
    )


def read_times(model: ReadoutModel, signals: Values, transmit: Values) -> Values:
    """Return T1 [s] of the model whose readouts are most nearly in proportion to signals (readout, tissue)."""
    times = torch.from_numpy(np.geomspace(*READ_RANGE, N_READ))
    cells = np.rint(transmit / FIELD_STEP).astype(int)
    read = np.empty(len(transmit))
    for cell in np.unique(cells):
        where = cells == cell
        field = torch.tensor(float(transmit[where].mean()), dtype=torch.float64)
        table = model.signals(times, field).numpy()
        explained = (signals[:, where].T @ (table / np.linalg.norm(table, axis=0))) ** 2
        read[where] = np.exp(_peak(explained, np.log(times.numpy())))
    return read


def _peak(values: Values, places: Values) -> Values:
    """Return where each row has its maximum, by a parabola through three evenly spaced places."""
    best = values.argmax(1).clip(1, len(places) - 2)
    rows = np.arange(len(values))
    before, at, after = (values[rows, best + shift] for shift in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    peak: Values = places[best] + shift.clip(-1, 1) * (places[1] - places[0])
    return peak


def correct(correction: PriorCorrection, maps: dict[str, Map], transmit: Map) -> Corrected:
    """Correct T1, and add what the correction does not know to its SD and interval.

    Parameters
    ----------
    correction
        Of the protocol.
    maps
        time, time_sd, lower and upper of a posterior [s].
    transmit
        Transmit field, with what is believed of it where it was not measured.
    """
    measured = np.isfinite(maps["time"])
    inside = measured & correction.holds(maps["time"], transmit)

    def corrected(time: Map) -> Map:
        with np.errstate(invalid="ignore"):
            value: Map = np.where(inside, time * np.exp(correction.log_factor(time, transmit)), np.nan)
        return value

    with np.errstate(invalid="ignore"):
        time, own = corrected(maps["time"]), np.where(inside, correction.sd(maps["time"]), np.nan)
        step = 1 + 1e-3
        slope = (corrected(maps["time"] * step) - time) / (maps["time"] * (step - 1))
        down, up = (np.log(corrected(maps[name]) / time) for name in ("lower", "upper"))
        return Corrected(
            time=time.astype(np.float32),
            time_sd=np.hypot(slope * maps["time_sd"], own * time).astype(np.float32),
            lower=(time * np.exp(-np.hypot(down, Z95 * own))).astype(np.float32),
            upper=(time * np.exp(np.hypot(up, Z95 * own))).astype(np.float32),
            outside=measured & ~inside,
        )
