"""Every form of an MP2RAGE run becomes the same numbers, and none is taken for what it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from bids_t1.bids.discover import find
from bids_t1.bids.load_readouts import load_readouts
from bids_t1.data.errors import InvalidInputError
from bids_t1.data.protocol import Protocol
from bids_t1.data.sidecar import Sidecar
from tests.bids.small_readouts import (
    TIMES,
    readouts,
    stored_uni,
    uni_of,
    write_readouts,
    write_uni,
)
from tests.small_bids import write_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bids_t1.data.acquisition import ReadoutSeries

SIEMENS = {"Manufacturer": "Siemens", "ConversionSoftware": "dcm2niix"}


def load(dataset: Path, **fields: object) -> ReadoutSeries:
    (acquisition,) = find(dataset, "01").runs
    return load_readouts(acquisition, Protocol({"MP2RAGE": Sidecar("protocol.toml", fields)} if fields else {}))


def refused(dataset: Path, message: str, **fields: object) -> None:
    with pytest.raises(InvalidInputError, match=message):
        load(dataset, **fields)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("parts", [("mag", "phase"), (None, "phase"), ("real", "imag"), ("mag", "real", "imag")])
def test_two_parts_make_the_complex_images(tmp_path: Path, n: int, parts: Sequence[str | None]) -> None:
    write_readouts(write_root(tmp_path), readouts(n), parts)
    write_uni(tmp_path, stored_uni(uni_of(readouts())))
    series = load(tmp_path)
    assert (series.form, series.uni, series.warnings) == ("complex", None, ())
    assert series.readouts is not None
    assert series.readouts.dtype == np.complex64
    np.testing.assert_allclose(series.readouts, readouts(n), rtol=1e-5, atol=1e-2)
    assert [metadata.seconds("InversionTime") for metadata in series.sidecars] == list(TIMES[:n])
    assert len(series.sources) == 2 * n


def test_unit1_joins_the_magnitudes(tmp_path: Path) -> None:
    write_readouts(write_root(tmp_path), readouts(), ("mag",))
    write_uni(tmp_path, stored_uni(uni_of(readouts())))
    series = load(tmp_path)
    assert (series.form, series.warnings) == ("UNIT1 and magnitudes", ())
    assert series.readouts is not None
    assert series.uni is not None
    np.testing.assert_allclose(series.readouts, np.abs(readouts()), rtol=1e-5)
    np.testing.assert_allclose(series.uni, uni_of(readouts()), atol=1 / 8190)
    assert [path.name.split("_", 1)[1] for path in series.sources] == [
        "inv-1_part-mag_MP2RAGE.nii.gz",
        "inv-2_part-mag_MP2RAGE.nii.gz",
        "UNIT1.nii.gz",
    ]
