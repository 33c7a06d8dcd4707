"""The one table of every map that is written: names, units, sidecars and views follow from its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from bids_t1.data.sequences import (
    INVERSION_RECOVERY,
    MP2RAGE,
    MULTI_ECHO,
    NAMES,
    SELECTIVE_INVERSION_RECOVERY,
    VARIABLE_FLIP_ANGLE,
    sequence_of,
)
from bids_t1.data.tissue import TISSUES


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a map is shown."""

    colour_map: str
    """Name in the catalogue of the package cmap."""

    limits: tuple[float, float] | None
    """Values at the ends of the colour bar; None: from the data."""

    label: str
    """Quantity and unit beside the colour bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One row: a quantity of an `Estimate` and the file it becomes."""

    sequence: str
    """Name of what comes of a run; `ANATOMY` for brain and tissues."""

    quantity: str
    """Attribute of `Estimate` or `PosteriorEstimate`; key of the maps of a result."""

    desc: str | None
    suffix: str
    units: str
    description: str
    view: View
    datatype: str = "anat"
    label: str | None = None
    """Entity ``label``."""

    in_bids: bool = True
    """Whether the suffix is known to BIDS; files of others are listed in .bidsignore."""

    @property
    def entities(self) -> dict[str, str | None]:
        """What the row adds to the name of its run."""
        return {"label": self.label, "desc": self.desc}

    @property
    def ending(self) -> str:
        """End of the file name, such as ``desc-IRT1_T1map``."""
        return "_".join([*(f"{key}-{value}" for key, value in self.entities.items() if value), self.suffix])


WEIGHTED = "weighted"
"""Quantity of the T1-weighted image that is made of the maps of a run."""

R1_VIEW = View(colour_map="lipari_r", limits=(0.0, 3.0), label="R1 [1/s]")
M0_VIEW = View(colour_map="grey", limits=None, label="M0 [a.u.]")
STATUS_VIEW = View(colour_map="tab10", limits=(0.0, 10.0), label="status")
SD_VIEW = View(colour_map="viridis", limits=(0.0, 0.2), label="SD of T1 [s]")
UNI_VIEW = View(colour_map="grey", limits=(-0.5, 0.5), label="UNI")
WEIGHTED_VIEW = View(colour_map="grey", limits=(0.0, 4095.0), label="T1-weighted image")
T1_VIEW = View(colour_map="lipari", limits=(0.0, 3.0), label="T1 [s]")


def _row(  # noqa: PLR0913, PLR0917 - the columns of the table
    sequence: str,
    quantity: str,
    what: str,
    suffix: str,
    units: str,
    description: str,
    view: View,
    datatype: str = "anat",
    *,
    in_bids: bool = True,
) -> Output:
    """Return a row of a sequence; desc- is its name and what tells the map from the main one."""
    return Output(
        sequence=sequence,
        quantity=quantity,
        desc=sequence + what,
        suffix=suffix,
        units=units,
        description=description,
        view=view,
        datatype=datatype,
        in_bids=in_bids,
    )


def _status(sequence: str) -> Output:
    why = f"Why a voxel has, or has not, an estimate; the codes are in desc-{sequence}status_dseg.tsv."
    return _row(sequence, "status", "status", "dseg", "arbitrary", why, STATUS_VIEW)


def _weighted(sequence: str) -> Output:
    what = (
        "T1-weighted image, 0 to 4095, for segmentation and registration by other software, never for T1; "
        "T1WeightedImage in its sidecar says how it is made."
    )
    return _row(sequence, WEIGHTED, "synthetic", "T1w", "arbitrary", what, WEIGHTED_VIEW)


def _of_inversion_recovery(sequence: str) -> tuple[Output, ...]:
    row = partial(_row, sequence)
    return (
        row("time", "", "T1map", "s", "Longitudinal relaxation time T1.", T1_VIEW),
        row(
            "time_sd",
            "sd",
            "T1map",
            "s",
            "Standard deviation of T1 from the residuals; covers both choices of sign where two are likely.",
            SD_VIEW,
        ),
        row("rate", "", "R1map", "1/s", "Longitudinal relaxation rate R1 = 1/T1.", R1_VIEW),
        row(
            "amplitude",
            "",
            "M0map",
            "arbitrary",
            "Equilibrium magnetisation M0, with coil sensitivity and T2 decay, in units of the images.",
            M0_VIEW,
        ),
        row(
            "ratio",
            "",
            "efficiencymap",
            "1",
            "Apparent inversion efficiency kappa = 1 - cos(inversion angle): 2 for an ideal inversion.",
            View(colour_map="viridis", limits=(1.5, 2.1), label="inversion efficiency"),
            in_bids=False,
        ),
        row(
            "share",
            "fast",
            "sharemap",
            "1",
            "Fast over slow component of the recovery, a map of macromolecules, where a fast one is fitted.",
            View(colour_map="viridis", limits=(0.0, 0.2), label="fast over slow component"),
            in_bids=False,
        ),
        row(
            "residual",
            "",
            "residualmap",
            "arbitrary",
            "Root mean square of the residuals, corrected for the number of unknowns, in units of the images.",
            View(colour_map="viridis", limits=None, label="residual [a.u.]"),
            in_bids=False,
        ),
        row(
            "relative_error",
            "",
            "relativeerrormap",
            "1",
            "Norm of the residuals over the norm of the measurements.",
            View(colour_map="viridis", limits=(0.0, 0.2), label="relative error"),
            in_bids=False,
        ),
        _weighted(sequence),
        _status(sequence),
    )


def _of_readouts(sequence: str) -> tuple[Output, ...]:
    """Return the rows of a sequence of gradient-echo readouts after one inversion."""
    row = partial(_row, sequence)
    sd_view = replace(SD_VIEW, limits=(0.0, 0.3))  # B1+ that is not known, and long T1, make it wide
    lower_view, upper_view = (replace(T1_VIEW, label=f"{side} limit of T1 [s]") for side in ("lower", "upper"))
    return (
        row("time", "", "T1map", "s", "Longitudinal relaxation time T1: maximum of the posterior.", T1_VIEW),
        row("mean", "mean", "T1map", "s", "Mean of the posterior of T1.", replace(T1_VIEW, label="mean of T1 [s]")),
        row("time_sd", "sd", "T1map", "s", "Standard deviation of the posterior of T1.", sd_view),
        row("lower", "lower", "T1map", "s", "Lower limit of the 95 % credible interval of T1.", lower_view),
        row("upper", "upper", "T1map", "s", "Upper limit of the 95 % credible interval of T1.", upper_view),
        row(
            "point",
            "point",
            "T1map",
            "s",
            "T1 read off the curve of UNI against T1, without noise model; for comparison.",
            replace(T1_VIEW, label="T1 read off UNI [s]"),
        ),
        row(
            "confidence",
            "confidence",
            "T1map",
            "arbitrary",
            "Likelihood of UNI over itself plus that of a uniform UNI: below 0.5 no likelier than noise.",
            View(colour_map="viridis", limits=(0.0, 1.0), label="confidence"),
        ),
        row(
            "calibrated",
            "calibrated",
            "T1map",
            "s",
            "T1 calibrated to inversion recovery.",
            replace(T1_VIEW, label="calibrated T1 [s]"),
        ),
        row(
            "calibrated_sd",
            "calibratedsd",
            "T1map",
            "s",
            "Standard deviation of the calibrated T1: of the measurement, of the relation, and between networks.",
            replace(sd_view, label="SD of calibrated T1 [s]"),
        ),
        row(
            "outside_training",
            "outsidetraining",
            "mask",
            "arbitrary",
            "Voxels that are not calibrated: outside the brain, or the range of the training; T1 is as measured there.",
            View(colour_map="grey", limits=(0.0, 1.0), label="outside of training"),
        ),
        row(
            "slow",
            "slow",
            "T1map",
            "s",
            "T1 of the slow component of tissue, by the tissue prior.",
            replace(T1_VIEW, label="slow T1 [s]"),
        ),
        row(
            "slow_sd",
            "slowsd",
            "T1map",
            "s",
            "Standard deviation of T1 of the slow component: of the measurement, and of what differs between tissues.",
            replace(sd_view, label="SD of slow T1 [s]"),
        ),
        row("rate", "", "R1map", "1/s", "Longitudinal relaxation rate R1 = 1/T1.", R1_VIEW),
        row(
            "amplitude",
            "",
            "M0map",
            "arbitrary",
            "Equilibrium magnetisation M0, with coil sensitivity and T2* decay, in units of the images.",
            M0_VIEW,
        ),
        row("uni", "", "UNIT1", "arbitrary", "UNI of the first two readouts, from -0.5 to 0.5.", UNI_VIEW),
        row(
            "robust_uni",
            "denoised",
            "UNIT1",
            "arbitrary",
            "UNI with the noise of the background suppressed; for looking and masking, never for T1.",
            replace(UNI_VIEW, label="robust UNI"),
        ),
        row(
            "transmit",
            "",
            "TB1map",
            "arbitrary",
            "Transmit field B1+ as used, relative to nominal; NaN where it was integrated over its prior.",
            View(colour_map="vik", limits=(0.5, 1.5), label="B1+ [nominal = 1]"),
            datatype="fmap",
        ),
        row(
            "transmit_extrapolated",
            "b1extrapolated",
            "mask",
            "arbitrary",
            "Voxels whose B1+ is not measured but continued from its neighbourhood.",
            View(colour_map="grey", limits=(0.0, 1.0), label="B1+ extrapolated"),
        ),
        row(
            "two_modes",
            "twomodes",
            "mask",
            "arbitrary",
            "Voxels whose posterior has two separate modes: two values of T1 explain the data.",
            View(colour_map="grey", limits=(0.0, 1.0), label="two modes"),
        ),
        _weighted(sequence),
        _status(sequence),
    )


_OF_ANY_POSTERIOR = frozenset({
    "time", "mean", "time_sd", "lower", "upper", "rate", "amplitude", "transmit", "transmit_extrapolated",
    "two_modes", "weighted", "status",
})  # fmt: skip
"""Quantities that need neither an inversion nor UNI."""


def _of_flip_angles(sequence: str) -> tuple[Output, ...]:
    return tuple(row for row in _of_readouts(sequence) if row.quantity in _OF_ANY_POSTERIOR)


def _of_selective_inversion_recovery(sequence: str) -> tuple[Output, ...]:
    row = partial(_row, sequence)
    shared = [row for row in _of_inversion_recovery(sequence) if row.quantity in {"residual", "relative_error"}]
    pools = View(colour_map="viridis", limits=(0.0, 0.25), label="pool size ratio")
    return (
        row(
            "time",
            "",
            "T1map",
            "s",
            "Longitudinal relaxation time of free water, 1/R1f: without exchange, where two pools are fitted.",
            T1_VIEW,
        ),
        row(
            "time_sd",
            "sd",
            "T1map",
            "s",
            "Standard deviation of T1 from the residuals, or from the noise where there are none; covers both "
            "choices of sign where two are likely.",
            SD_VIEW,
        ),
        row("rate", "", "R1map", "1/s", "Longitudinal relaxation rate of free water, R1f.", R1_VIEW),
        row(
            "share",
            "",
            "poolratiomap",
            "1",
            "Pool size ratio: protons of macromolecules over those of free water.",
            pools,
            in_bids=False,
        ),
        row(
            "share_sd",
            "sd",
            "poolratiomap",
            "1",
            "Standard deviation of the pool size ratio.",
            replace(pools, limits=(0.0, 0.1), label="SD of the pool size ratio"),
            in_bids=False,
        ),
        row(
            "amplitude",
            "",
            "M0map",
            "arbitrary",
            "Equilibrium magnetisation of free water, with coil sensitivity and T2 decay, in units of the images.",
            M0_VIEW,
        ),
        row(
            "ratio",
            "",
            "efficiencymap",
            "1",
            "What the inversion makes of the magnetisation of free water, Sf: -1 for an ideal inversion.",
            View(colour_map="viridis", limits=(-1.1, -0.5), label="inversion, Sf"),
            in_bids=False,
        ),
        *shared,
        _weighted(sequence),
        _status(sequence),
    )


def _of_echoes(sequence: str) -> tuple[Output, ...]:
    row = partial(_row, sequence)
    return (
        row(
            "time",
            "",
            "T2starmap",
            "s",
            "Effective transverse relaxation time T2*.",
            View(colour_map="navia", limits=(0.0, 0.1), label="T2* [s]"),
        ),
        row(
            "time_sd",
            "sd",
            "T2starmap",
            "s",
            "Standard deviation of T2* from the residuals, or from the noise where there are none.",
            View(colour_map="viridis", limits=(0.0, 0.02), label="SD of T2* [s]"),
        ),
        row(
            "rate",
            "",
            "R2starmap",
            "1/s",
            "Effective transverse relaxation rate R2* = 1/T2*.",
            View(colour_map="navia_r", limits=(0.0, 100.0), label="R2* [1/s]"),
        ),
        row(
            "amplitude",
            "",
            "M0map",
            "arbitrary",
            "Signal at zero echo time, with T1 weighting and coil sensitivity, in units of the images.",
            M0_VIEW,
        ),
        row(
            "residual",
            "",
            "residualmap",
            "arbitrary",
            "Root mean square of the residuals, corrected for the number of unknowns, in units of the images.",
            View(colour_map="viridis", limits=None, label="residual [a.u.]"),
            in_bids=False,
        ),
        _status(sequence),
    )


ANATOMY = "anatomy"
"""What stands in the column of sequences for brain and tissues."""

BRAIN_AND_TISSUES = (
    Output(
        sequence=ANATOMY,
        quantity="brain",
        desc="brain",
        suffix="mask",
        units="arbitrary",
        description="Brain with its fluid.",
        view=View(colour_map="grey", limits=(0.0, 1.0), label="brain"),
    ),
    Output(
        sequence=ANATOMY,
        quantity="tissue",
        desc="tissue",
        suffix="dseg",
        units="arbitrary",
        description="The likeliest tissue; the codes are in dseg.tsv at the root.",
        view=View(colour_map="tab10", limits=(0.0, 10.0), label="tissue"),
    ),
    *(
        Output(
            sequence=ANATOMY,
            quantity=f"probability_{tissue.abbreviation}",
            desc=None,
            label=tissue.abbreviation,
            suffix="probseg",
            units="1",
            description=f"Probability of {tissue.meaning}.",
            view=View(colour_map="grey", limits=(0.0, 1.0), label=f"probability of {tissue.meaning}"),
        )
        for tissue in TISSUES
    ),
)

BY_SEQUENCE = {
    INVERSION_RECOVERY.name: _of_inversion_recovery,
    SELECTIVE_INVERSION_RECOVERY.name: _of_selective_inversion_recovery,
    MP2RAGE.name: _of_readouts,
    MULTI_ECHO.name: _of_echoes,
    VARIABLE_FLIP_ANGLE.name: _of_flip_angles,
}
"""What makes the rows of each sequence; a test holds it equal to the table of sequences."""

OUTPUTS = (*(row for name in NAMES for row in BY_SEQUENCE[sequence_of(name).name](name)), *BRAIN_AND_TISSUES)

CALIBRATED = ("calibrated", "calibrated_sd", "outside_training")
"""Quantities that a calibration adds to those of a run."""

SLOW = ("slow", "slow_sd")
"""Quantities that a tissue prior adds to those of a run."""

OF_POOLS = ("share", "share_sd")
"""Quantities of the pool of macromolecules, or of its fast component."""

OF_TRANSMIT = ("transmit", "transmit_extrapolated")
"""Quantities of the transmit field, of runs that a map of it enters."""

CONDITIONS = {
    "share": "IRT1: where a fast component is fitted; SIR: where there are two pools",
    "share_sd": "with `--sir-pools 2`, the default",
    "robust_uni": "not from UNIT1 alone, or UNIT1 and the last magnitude",
    "amplitude": "not of MP2RAGE from UNIT1 alone",
    **dict.fromkeys(OF_TRANSMIT, "where a map of B1+ enters"),
    **dict.fromkeys(CALIBRATED, "with `--calibration`"),
    **dict.fromkeys(SLOW, "with `--mt-prior tissue`, at 3 T and 7 T"),
    **{row.quantity: "where a brain is found, and not with `--maps-only`" for row in BRAIN_AND_TISSUES},
    "probability_SGM": "as these, where the template of TemplateFlow is there",
}
"""When there is a map of a quantity that is not always there."""

IN_REFERENCE_SPACE = ("time", "time_sd", "rate", *CALIBRATED, *SLOW)
"""Quantities of what is compared with inversion recovery that are also written in the space of inversion recovery."""


def outputs_of(sequence: str) -> tuple[Output, ...]:
    """Return the rows of one sequence."""
    return tuple(row for row in OUTPUTS if row.sequence == sequence)


def by_quantity(sequence: str) -> dict[str, Output]:
    """Return the rows of one sequence by their quantity."""
    return {row.quantity: row for row in outputs_of(sequence)}
