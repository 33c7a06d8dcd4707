"""What the estimation engine asks of a sequence: the only thing the two share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from bids_t1.data.shapes import Columns, Readouts, SurfaceSlopes, TimeColumns, Times


class Companion(Protocol):
    """A column that goes with the last one of a model, in a share between nothing and a limit.

    With it the noise-free signal is ``y = sum_k c_k B_k(T) + share c_last B_companion(T)``.
    """

    def column(self, time: Times) -> tuple[TimeColumns, TimeColumns]:
        """Return the column and its derivative with respect to log T, at each T of `time` [s]."""
        ...

    def limit(self, time: Times) -> tuple[Times, Times]:
        """Return the largest share and its derivative with respect to log T; zero where there is no companion."""
        ...


class SignalModel(Protocol):
    """A signal that is linear in one or two coefficients and nonlinear in one time.

    The noise-free signal is ``y = sum_k c_k B_k(T)``, with T the relaxation time.
    """

    @property
    def n_measurements(self) -> int:
        """Number of measurements, the length of one column of B."""
        ...

    @property
    def n_coefficients(self) -> int:
        """Number of linear coefficients: one, or two."""
        ...

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """Physical range of the second coefficient over the first; unused with one coefficient."""
        ...

    @property
    def companion(self) -> Companion | None:
        """A further column whose coefficient is bounded by the last one's; mostly none."""
        ...

    @property
    def changes_sign(self) -> bool:
        """Whether the signal may be negative, so that magnitudes have lost something."""
        ...

    def columns(self, time: Times) -> tuple[Columns, Columns]:
        """Return B and its derivative with respect to log T, at each T of `time` [s]."""
        ...


@runtime_checkable
class SurfaceModel(Protocol):
    """A signal that is linear in two coefficients and nonlinear in a time and in the share of a second pool.

    The noise-free signal is ``y = sum_k c_k B_k(T, F)``, with T the relaxation time and F the share.
    """

    @property
    def n_measurements(self) -> int:
        """Number of measurements, the length of one column of B."""
        ...

    @property
    def n_coefficients(self) -> int:
        """Number of linear coefficients: two."""
        ...

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """Range of the second coefficient over the first."""
        ...

    @property
    def usual_ratios(self) -> tuple[float, ...]:
        """Ratios that are common, from which a fit may start."""
        ...

    @property
    def share_bounds(self) -> tuple[float, float]:
        """Range of the share; equal where it is no unknown."""
        ...

    @property
    def changes_sign(self) -> bool:
        """Whether the signal may be negative, so that magnitudes have lost something."""
        ...

    def surface(self, time: Times, share: Times) -> tuple[Columns, SurfaceSlopes]:
        """Return B, and its derivatives with respect to log T and to the share, at each T [s] and F."""
        ...


class ReadoutModel(Protocol):
    """Several images that share one complex amplitude, such as the readouts after one inversion.

    The noise-free signal of readout k is ``A s_k(T, b1)``, with s real and A complex.
    """

    @property
    def n_readouts(self) -> int:
        """Number of readouts."""
        ...

    def signals(self, time: Times, transmit: Times) -> Readouts:
        """Return s at relaxation times [s] and relative transmit fields, which broadcast."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether all of the protocol is known; else one quantity of it is normally distributed."""
        ...

    def at_score(self, score: float) -> ReadoutModel:
        """Return the model with that quantity at so many SDs from its mean."""
        ...
