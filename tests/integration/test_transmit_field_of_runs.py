"""B1+ end to end: corrected by a map, integrated over without one, refused where it cannot be."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import command
from tests.integration.readouts import TISSUES, Measured, read, sampling_error, t1_sidecar, truth_of
from tests.small_bids import change_json, open_image, sidecar, write_image, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Finished

SCAN = ("--sequences", "MP2RAGE", "--slices", "4", "--b1-range", "0.7", "1.3")
EXACT = ("--inversion-efficiency-prior", "0.96", "0")
"""The efficiency that the phantom is played with: what is left is the transmit field."""

MAP = "sub-01/fmap/sub-01_TB1map.nii.gz"


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A head in a strong field, processed with its map of B1+."""
    folder = tmp_path_factory.mktemp("transmit")
    data = command.phantom(folder / "data", *SCAN)
    return command.Finished(data, folder / "out", command.participant(data, folder / "out", *EXACT))


@pytest.fixture(scope="module")
def uncorrected(corrected: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same without the map."""
    out_dir = tmp_path_factory.mktemp("no_transmit") / "out"
    return command.Finished(
        corrected.bids_dir, out_dir, command.participant(corrected.bids_dir, out_dir, "--no-b1", *EXACT)
    )


@pytest.mark.parametrize("tissue", TISSUES)
def test_with_a_map_t1_is_unbiased_and_intervals_cover(corrected: Finished, tissue: str) -> None:
    assert corrected.answer.code == 0, corrected.answer.said
    truth, measured = truth_of(corrected.bids_dir), Measured.read(corrected.out_dir)
    assert abs(truth.bias(tissue, measured)) < 0.005
    n = truth.voxels(tissue, measured).sum()
    assert truth.coverage(tissue, measured) > 0.95 - 4 * sampling_error(n)


def test_the_map_is_written_as_used(corrected: Finished) -> None:
    used = read(corrected.out_dir, "desc-MP2RAGE_TB1map", datatype="fmap")
    true = read(corrected.bids_dir / "derivatives" / "truth", "desc-truth_TB1map", datatype="fmap")
    brain = np.isin(truth_of(corrected.bids_dir).tissue, list(TISSUES.values()))
    known = brain & np.isfinite(used)
    assert known.sum() > 0.95 * brain.sum()
    assert np.abs(used - true)[known].max() < 0.01
    assert true[known].min() < 0.75
    assert true[known].max() > 1.25
    record = t1_sidecar(corrected.out_dir)["TransmitField"]
    assert record["Source"] == f"bids:raw:{MAP}"
    assert f"bids:raw:{MAP}" in t1_sidecar(corrected.out_dir)["Sources"]


@pytest.mark.parametrize("tissue", TISSUES)
def test_without_a_map_the_interval_widens_and_covers(corrected: Finished, uncorrected: Finished, tissue: str) -> None:
    assert uncorrected.answer.code == 0, uncorrected.answer.said
    truth = truth_of(corrected.bids_dir)
    with_map, without = Measured.read(corrected.out_dir), Measured.read(uncorrected.out_dir)
    where = truth.voxels(tissue, with_map) & without.known
    assert np.median(without.width[where] / with_map.width[where]) > 3
    # B1+ of the head lies well within its prior: the interval covers more than its share.
    assert truth.coverage(tissue, without) > 0.95


def test_without_a_map_the_prior_is_recorded_and_said(uncorrected: Finished) -> None:
    written = t1_sidecar(uncorrected.out_dir)
    assert written["TransmitFieldPrior"] == {"Mean": 1.0, "SD": 0.3, "Range": [0.4, 1.6]}
    assert "TransmitField" not in written
    assert not list(uncorrected.out_dir.rglob("*TB1map*"))
    assert "No map of the transmit field B1+ was used" in (uncorrected.out_dir / "sub-01.html").read_text()


def test_a_prior_without_width_is_the_nominal_field(corrected: Finished, tmp_path: Path) -> None:
    answer = command.participant(corrected.bids_dir, tmp_path / "out", "--no-b1", "--b1-prior", "1", "0", *EXACT)
    assert answer.code == 0, answer.said
    nominal, with_map = Measured.read(tmp_path / "out"), Measured.read(corrected.out_dir)
    true = read(corrected.bids_dir / "derivatives" / "truth", "desc-truth_TB1map", datatype="fmap")
    where = nominal.known & with_map.known & (np.abs(true - 1) < 0.01)
    assert where.sum() > 100
    assert np.median(np.abs(nominal.t1 - with_map.t1)[where] / with_map.sd[where]) < 0.5
    assert np.median(nominal.width[where] / with_map.width[where]) == pytest.approx(1, abs=0.05)
    # Elsewhere it is as wrong as software that knows no B1+: this is what the map is for.
    assert truth_of(corrected.bids_dir).coverage("fluid", nominal) < 0.5


def test_a_map_given_by_hand_is_the_same_as_that_of_the_dataset(corrected: Finished, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(corrected.bids_dir, data)
    for path in sorted((data / "sub-01" / "fmap").iterdir()):
        path.rename(tmp_path / path.name.replace("sub-01_TB1map", "field"))
    answer = command.participant(data, tmp_path / "out", "--b1-map", tmp_path / "field.nii.gz", *EXACT)
    assert answer.code == 0, answer.said
    own, given = (command.listing(folder / "sub-01") for folder in (corrected.out_dir, tmp_path / "out"))
    assert own.keys() == given.keys()
    assert all(own[name] == given[name] for name in own if name.endswith(".nii.gz"))
    assert t1_sidecar(tmp_path / "out")["TransmitField"]["Source"] == "field.nii.gz"


@pytest.mark.parametrize("unit", ["percent", "thousand", "angle"])
def test_every_unit_of_the_map_gives_the_same_t1(corrected: Finished, tmp_path: Path, unit: str) -> None:
    data = command.phantom(tmp_path / "data", *SCAN, "--b1-map", unit)
    assert command.participant(data, tmp_path / "out", *EXACT).code == 0
    ratio, other = Measured.read(corrected.out_dir), Measured.read(tmp_path / "out")
    assert (ratio.known == other.known).all()
    assert np.abs(other.t1 - ratio.t1)[ratio.known].max() < 1e-5
    scalings = {t1_sidecar(out_dir)["TransmitField"]["Scaling"] for out_dir in (corrected.out_dir, tmp_path / "out")}
    assert len(scalings) == 2


def test_the_nominal_angle_of_a_flip_angle_map_may_come_from_the_protocol_file(tmp_path: Path) -> None:
    data = command.phantom(tmp_path / "data", *SCAN, "--b1-map", "tfl")
    assert command.participant(data, tmp_path / "told").code == 0
    famp = next(data.rglob("*acq-famp*_TB1TFL.json"))
    angle = json.loads(famp.read_text())["FlipAngle"]
    change_json(famp, FlipAngle=None)
    refused = command.participant(data, tmp_path / "untold")
    assert refused.code == 16
    assert "FlipAngle" in refused.said
    protocol = tmp_path / "protocol.toml"
    protocol.write_text(f"[TB1TFL]\nFlipAngle = {angle}\n")
    assert command.participant(data, tmp_path / "given", "--protocol", protocol).code == 0
    told, given = (Measured.read(tmp_path / name) for name in ("told", "given"))
    np.testing.assert_array_equal(given.t1, told.t1)


def test_a_field_far_from_1_is_refused_for_its_run_and_others_go_on(tmp_path: Path) -> None:
    data = command.phantom(tmp_path / "data", "--sequences", "IRT1,MP2RAGE", "--participants", "2")
    image = open_image(data / MAP)
    write_image(data / MAP, 10 * np.asanyarray(image.dataobj), np.asarray(image.affine))
    answer = command.participant(data, tmp_path / "out")
    assert answer.code == 1
    assert "sub-01_TB1map.nii.gz: the median of its nonzero voxels is" in answer.said
    assert "expected 0.4 to 1.6: B1 far from 1. Give Units in the sidecar of the map" in answer.said
    done = {path.name for path in (tmp_path / "out").rglob("*_T1map.nii.gz")}
    assert {"sub-01_desc-IRT1_T1map.nii.gz", "sub-02_desc-MP2RAGE_T1map.nii.gz"} <= done
    assert "sub-01_desc-MP2RAGE_T1map.nii.gz" not in done
    assert not (tmp_path / "out" / "sub-01" / "fmap").exists()
    assert command.leftovers(tmp_path / "out") == []
    assert command.participant(data, tmp_path / "out", "--no-b1", "--participant-label", "01").code == 0


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"Units": "percent"}, 16, "is 0.0"),
        ({"Units": "furlong"}, 16, "Units is 'furlong'"),
        ({"Units": "degree"}, 16, "expected the nominal flip angle"),
    ],
)
def test_a_given_map_of_another_unit_is_refused(
    corrected: Finished, tmp_path: Path, fields: dict[str, object], code: int, message: str
) -> None:
    given = tmp_path / "field.nii.gz"
    shutil.copy(corrected.bids_dir / MAP, given)
    write_json(sidecar(given), fields)
    answer = command.participant(corrected.bids_dir, tmp_path / "out", "--b1-map", given)
    assert (answer.code, message in answer.said) == (code, True), answer.said
    assert not (tmp_path / "out" / "sub-01").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--no-b1", "--b1-map", "none.nii.gz"), 64, "--no-b1 and --b1-map contradict each other"),
        (("--b1-map", "none.nii.gz"), 66, "none.nii.gz: is no file; expected a map of the transmit field"),
        (("--b1-prior", "100", "30"), 64, "--b1-prior is 100 30; expected a mean of 0.4 to 1.6"),
        (("--b1-prior", "1", "-0.1"), 64, "--b1-prior is 1 -0.1"),
        (("--b1-prior", "nan", "0"), 64, "--b1-prior is nan 0"),
        (("--noise-sd", "0"), 64, "--noise-sd is 0; expected a number above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_written(
    corrected: Finished, tmp_path: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    answer = command.participant(corrected.bids_dir, tmp_path / "out", *options)
    assert (answer.code, message in answer.said) == (code, True), answer.said
    assert not (tmp_path / "out").exists()
