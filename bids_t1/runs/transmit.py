"""The transmit field that enters a run: which map, what stands for it where there is none, and what is told of both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.transmit.field import load_given_transmit_field, load_transmit_field
from bids_t1.bids.volumes import completed_whole
from bids_t1.estimation.posterior.posterior import TransmitPrior
from bids_t1.runs.common import uris

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.data.acquisition import Acquisition, TransmitField, TransmitImages
    from bids_t1.data.estimate import PosteriorEstimate
    from bids_t1.data.grid import Grid
    from bids_t1.settings import Settings


def transmit_field_of(
    candidates: Sequence[TransmitImages], acquisition: Acquisition, grid: Grid, settings: Settings
) -> TransmitField | None:
    """Return the map of the transmit field to use: the one given, none where so asked, else that of the dataset."""
    if settings.readouts.b1_map is not None:
        return load_given_transmit_field(settings.readouts.b1_map, grid, acquisition)
    if settings.readouts.no_b1:
        return None
    completed = [
        replace(
            images,
            files=completed_whole(images.files, settings.protocol, images.suffix),
        )
        for images in candidates
    ]
    return load_transmit_field(completed, acquisition, grid)


def transmit_prior(settings: Settings) -> TransmitPrior:
    """Return what stands for the transmit field where no map tells it, cut off at two SD."""
    mean, sd = settings.readouts.b1_prior
    return TransmitPrior(mean=mean, sd=sd, range=(round(max(0.2, mean - 2 * sd), 6), round(mean + 2 * sd, 6)))


def record_of_transmit_field(
    estimate: PosteriorEstimate, field: TransmitField | None, images: Sequence[Path], raw: Path, settings: Settings
) -> dict[str, object]:
    """Say from which files a run comes, which transmit field entered, and over what it was integrated elsewhere."""
    of_field = () if field is None else tuple(path for path in field.sources if path.is_relative_to(raw))
    record: dict[str, object] = {"Sources": uris((*images, *of_field), raw, settings)}
    fitted = np.isfinite(estimate.mean)
    unknown = fitted if estimate.transmit is None else fitted & ~np.isfinite(estimate.transmit)
    if field is not None:
        record["TransmitField"] = {
            "Source": ", ".join(uris(field.sources, raw, settings)),
            "Method": field.method,
            "Scaling": field.scaling,
            "VoxelsWithout": int(unknown.sum()),
            "SD": settings.readouts.b1_map_sd,
        }
    if unknown.any():
        prior = transmit_prior(settings)
        record["TransmitFieldPrior"] = {"Mean": prior.mean, "SD": prior.sd, "Range": list(prior.range)}
    return record
