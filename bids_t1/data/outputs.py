"""The one table of every map that is written: names, units, sidecars and views follow from its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """IRT1, SIR, MEGRE, MP2RAGE, or MP3RAGE for three and more readouts; `ANATOMY` for brain and tissues."""

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


R1_VIEW = View(colour_map="lipari_r", limits=(0.0, 3.0), label="R1 [1/s]")
M0_VIEW = View(colour_map="grey", limits=None, label="M0 [a.u.]")
STATUS_VIEW = View(colour_map="tab10", limits=(0.0, 10.0), label="status")
SD_VIEW = View(colour_map="viridis", limits=(0.0, 0.2), label="SD of T1 [s]")
UNI_VIEW = View(colour_map="grey", limits=(-0.5, 0.5), label="UNI")
T1_VIEW = View(colour_map="lipari", limits=(0.0, 3.0), label="T1 [s]")

INVERSION_RECOVERY = (
    Output(
        sequence="IRT1",
        quantity="time",
        desc="IRT1",
        suffix="T1map",
        units="s",
        description="Longitudinal relaxation time T1.",
        view=T1_VIEW,
    ),
    Output(
        sequence="IRT1",
        quantity="time_sd",
        desc="IRT1sd",
        suffix="T1map",
        units="s",
        description="Standard deviation of T1 from the residuals; covers both choices of sign where two are likely.",
        view=SD_VIEW,
    ),
    Output(
        sequence="IRT1",
        quantity="rate",
        desc="IRT1",
        suffix="R1map",
        units="1/s",
        description="Longitudinal relaxation rate R1 = 1/T1.",
        view=R1_VIEW,
    ),
    Output(
        sequence="IRT1",
        quantity="amplitude",
        desc="IRT1",
        suffix="M0map",
        units="arbitrary",
        description="Equilibrium magnetisation M0, with coil sensitivity and T2 decay, in units of the images.",
        view=M0_VIEW,
    ),
    Output(
        sequence="IRT1",
        quantity="ratio",
        desc="IRT1",
        suffix="efficiencymap",
        units="1",
        description="Apparent inversion efficiency kappa = 1 - cos(inversion angle): 2 for an ideal inversion.",
        view=View(colour_map="viridis", limits=(1.5, 2.1), label="inversion efficiency"),
        in_bids=False,
    ),
    Output(
        sequence="IRT1",
        quantity="share",
        desc="IRT1fast",
        suffix="sharemap",
        units="1",
        description="Fast over slow component of the recovery, a map of macromolecules, where a fast one is fitted.",
        view=View(colour_map="viridis", limits=(0.0, 0.2), label="fast over slow component"),
        in_bids=False,
    ),
    Output(
        sequence="IRT1",
        quantity="residual",
        desc="IRT1",
        suffix="residualmap",
        units="arbitrary",
        description="Root mean square of the residuals, corrected for the number of unknowns, in units of the images.",
        view=View(colour_map="viridis", limits=None, label="residual [a.u.]"),
        in_bids=False,
    ),
    Output(
        sequence="IRT1",
        quantity="relative_error",
        desc="IRT1",
        suffix="relativeerrormap",
        units="1",
        description="Norm of the residuals over the norm of the measurements.",
        view=View(colour_map="viridis", limits=(0.0, 0.2), label="relative error"),
        in_bids=False,
    ),
    Output(
        sequence="IRT1",
        quantity="status",
        desc="IRT1status",
        suffix="dseg",
        units="arbitrary",
        description="Why a voxel has, or has not, an estimate; the codes are in desc-IRT1status_dseg.tsv.",
        view=STATUS_VIEW,
    ),
)


def _of_readouts(sequence: str) -> tuple[Output, ...]:
    """Return the rows of a sequence of gradient-echo readouts after one inversion."""

    def row(  # noqa: PLR0913, PLR0917 - the columns of the table
        quantity: str, what: str, suffix: str, units: str, description: str, view: View, datatype: str = "anat"
    ) -> Output:
        desc = sequence + what
        return Output(
            sequence=sequence,
            quantity=quantity,
            desc=desc,
            suffix=suffix,
            units=units,
            description=description,
            view=view,
            datatype=datatype,
        )

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
            "Look-up of T1 from UNI, without noise model; for comparison.",
            replace(T1_VIEW, label="look-up of T1 [s]"),
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
        row(
            "status",
            "status",
            "dseg",
            "arbitrary",
            f"Why a voxel has, or has not, an estimate; the codes are in desc-{sequence}status_dseg.tsv.",
            STATUS_VIEW,
        ),
    )


POOL_RATIO_VIEW = View(colour_map="viridis", limits=(0.0, 0.25), label="pool size ratio")

SELECTIVE_INVERSION_RECOVERY = (
    Output(
        sequence="SIR",
        quantity="time",
        desc="SIR",
        suffix="T1map",
        units="s",
        description="Longitudinal relaxation time of free water, 1/R1f: without exchange, where two pools are fitted.",
        view=T1_VIEW,
    ),
    Output(
        sequence="SIR",
        quantity="time_sd",
        desc="SIRsd",
        suffix="T1map",
        units="s",
        description="Standard deviation of T1 from the residuals, or from the noise where there are none; covers both "
        "choices of sign where two are likely.",
        view=SD_VIEW,
    ),
    Output(
        sequence="SIR",
        quantity="rate",
        desc="SIR",
        suffix="R1map",
        units="1/s",
        description="Longitudinal relaxation rate of free water, R1f.",
        view=R1_VIEW,
    ),
    Output(
        sequence="SIR",
        quantity="share",
        desc="SIR",
        suffix="poolratiomap",
        units="1",
        description="Pool size ratio: protons of macromolecules over those of free water.",
        view=POOL_RATIO_VIEW,
        in_bids=False,
    ),
    Output(
        sequence="SIR",
        quantity="share_sd",
        desc="SIRsd",
        suffix="poolratiomap",
        units="1",
        description="Standard deviation of the pool size ratio.",
        view=replace(POOL_RATIO_VIEW, limits=(0.0, 0.1), label="SD of the pool size ratio"),
        in_bids=False,
    ),
    Output(
        sequence="SIR",
        quantity="amplitude",
        desc="SIR",
        suffix="M0map",
        units="arbitrary",
        description="Equilibrium magnetisation of free water, with coil sensitivity and T2 decay, in units of the "
        "images.",
        view=M0_VIEW,
    ),
    Output(
        sequence="SIR",
        quantity="ratio",
        desc="SIR",
        suffix="efficiencymap",
        units="1",
        description="What the inversion makes of the magnetisation of free water, Sf: -1 for an ideal inversion.",
        view=View(colour_map="viridis", limits=(-1.1, -0.5), label="inversion, Sf"),
        in_bids=False,
    ),
    *(
        replace(row, sequence="SIR", desc=str(row.desc).replace("IRT1", "SIR"), description=described)
        for row in INVERSION_RECOVERY
        for described in (row.description.replace("IRT1", "SIR"),)
        if row.quantity in {"residual", "relative_error", "status"}
    ),
)

MULTI_ECHO = (
    Output(
        sequence="MEGRE",
        quantity="time",
        desc="MEGRE",
        suffix="T2starmap",
        units="s",
        description="Effective transverse relaxation time T2*.",
        view=View(colour_map="navia", limits=(0.0, 0.1), label="T2* [s]"),
    ),
    Output(
        sequence="MEGRE",
        quantity="time_sd",
        desc="MEGREsd",
        suffix="T2starmap",
        units="s",
        description="Standard deviation of T2* from the residuals, or from the noise where there are none.",
        view=View(colour_map="viridis", limits=(0.0, 0.02), label="SD of T2* [s]"),
    ),
    Output(
        sequence="MEGRE",
        quantity="rate",
        desc="MEGRE",
        suffix="R2starmap",
        units="1/s",
        description="Effective transverse relaxation rate R2* = 1/T2*.",
        view=View(colour_map="navia_r", limits=(0.0, 100.0), label="R2* [1/s]"),
    ),
    Output(
        sequence="MEGRE",
        quantity="amplitude",
        desc="MEGRE",
        suffix="M0map",
        units="arbitrary",
        description="Signal at zero echo time, with T1 weighting and coil sensitivity, in units of the images.",
        view=M0_VIEW,
    ),
    Output(
        sequence="MEGRE",
        quantity="residual",
        desc="MEGRE",
        suffix="residualmap",
        units="arbitrary",
        description="Root mean square of the residuals, corrected for the number of unknowns, in units of the images.",
        view=View(colour_map="viridis", limits=None, label="residual [a.u.]"),
        in_bids=False,
    ),
    Output(
        sequence="MEGRE",
        quantity="status",
        desc="MEGREstatus",
        suffix="dseg",
        units="arbitrary",
        description="Why a voxel has, or has not, an estimate; the codes are in desc-MEGREstatus_dseg.tsv.",
        view=STATUS_VIEW,
    ),
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

OUTPUTS = (
    *INVERSION_RECOVERY,
    *SELECTIVE_INVERSION_RECOVERY,
    *_of_readouts("MP2RAGE"),
    *_of_readouts("MP3RAGE"),
    *MULTI_ECHO,
    *BRAIN_AND_TISSUES,
)

CALIBRATED = ("calibrated", "calibrated_sd", "outside_training")
"""Quantities that a calibration adds to those of a run."""

IN_REFERENCE_SPACE = ("time", "time_sd", "rate", *CALIBRATED)
"""Quantities of MP2RAGE and MP3RAGE that are also written in the space of inversion recovery."""


def outputs_of(sequence: str) -> tuple[Output, ...]:
    """Return the rows of one sequence."""
    return tuple(row for row in OUTPUTS if row.sequence == sequence)
