"""The one table of every map that is written: names, units, sidecars and views follow from its rows."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Suffix of the raw images it comes from."""

    quantity: str
    """Attribute of `Estimate`."""

    desc: str
    suffix: str
    units: str
    description: str
    view: View
    datatype: str = "anat"
    in_bids: bool = True
    """Whether the suffix is known to BIDS; files of others are listed in .bidsignore."""


T1_VIEW = View(colour_map="lipari", limits=(0.0, 3.0), label="T1 [s]")

OUTPUTS = (
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
        view=View(colour_map="viridis", limits=(0.0, 0.2), label="SD of T1 [s]"),
    ),
    Output(
        sequence="IRT1",
        quantity="rate",
        desc="IRT1",
        suffix="R1map",
        units="1/s",
        description="Longitudinal relaxation rate R1 = 1/T1.",
        view=View(colour_map="lipari_r", limits=(0.0, 3.0), label="R1 [1/s]"),
    ),
    Output(
        sequence="IRT1",
        quantity="amplitude",
        desc="IRT1",
        suffix="M0map",
        units="arbitrary",
        description="Equilibrium magnetisation M0, with coil sensitivity and T2 decay, in units of the images.",
        view=View(colour_map="grey", limits=None, label="M0 [a.u.]"),
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
        view=View(colour_map="tab10", limits=(0.0, 7.0), label="status"),
    ),
)


def outputs_of(sequence: str) -> tuple[Output, ...]:
    """Return the rows of one sequence."""
    return tuple(row for row in OUTPUTS if row.sequence == sequence)
