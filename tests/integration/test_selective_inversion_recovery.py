"""Selective inversion recovery from files to maps: delays from sidecars, protocol file and lists of one 4D file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.linalg import expm

from tests import command
from tests.small_bids import AFFINE, change_json, open_image, sidecar, write_image, write_json, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TI, TD = (0.015, 0.015, 0.278, 1.007), (0.684, 4.121, 2.730, 0.010)
T1, POOL_RATIO = 1 / 1.1, 0.15
SHAPE = (24, 24, 6)
INSIDE = (slice(4, -4), slice(4, -4), slice(None))


def two_pools(sf: float = -0.95, k: float = 12.5, sm: float = 0.83) -> list[float]:
    """Free magnetisation at each readout, by matrix exponentials."""
    r1, f = 1 / T1, POOL_RATIO
    flow = np.array([[-r1 - k * f, k, r1], [k * f, -r1 - k, r1 * f], [0.0, 0.0, 0.0]])
    pulse = np.diag([sf, sm, 1.0])
    return [
        float((expm(flow * ti) @ pulse @ expm(flow * td) @ [0.0, 0.0, 1.0])[0]) for ti, td in zip(TI, TD, strict=True)
    ]


def images(snr: float = 100) -> NDArray[np.complex128]:
    """A block of white matter in air."""
    rng = np.random.default_rng(1)
    stack = np.zeros((4, *SHAPE))
    stack[(slice(None), *INSIDE)] = 1000 * np.array(two_pools())[:, None, None, None]
    noise = rng.normal(0, 1000 / snr, (2, *stack.shape))
    return np.asarray(stack + noise[0] + 1j * noise[1])


def made(folder: Path, part: str | None = None, *, delays: bool = True) -> Path:
    """Write the images one by one, each with its times."""
    dataset = write_root(folder / "data")
    parts = ("mag", "phase") if part == "complex" else (part,)
    for path in write_run(dataset, times=TI, images=images(), parts=parts):
        number = int(path.name.split("inv-")[1][0]) - 1
        change_json(sidecar(path), RepetitionTime=0.981, RecoveryTime=TD[number] if delays else None)
    return dataset


def values(out_dir: Path, name: str) -> NDArray[np.floating[Any]]:
    return np.asarray(open_image(out_dir / "sub-01" / "anat" / f"sub-01_{name}.nii.gz").dataobj)[INSIDE]


def require_truth(out_dir: Path) -> None:
    assert np.median(values(out_dir, "desc-SIR_R1map")) == pytest.approx(1 / T1, rel=0.03)
    assert np.median(values(out_dir, "desc-SIR_poolratiomap")) == pytest.approx(POOL_RATIO, rel=0.15)
    t1, sd = values(out_dir, "desc-SIR_T1map"), values(out_dir, "desc-SIRsd_T1map")
    assert (np.abs(t1 - T1) < 1.96 * sd).mean() > 0.9


@pytest.mark.parametrize("part", [None, "real", "complex"])
def test_four_images_with_their_delays_give_r1_of_free_water_and_the_pool_ratio(
    tmp_path: Path, part: str | None
) -> None:
    dataset, out_dir = made(tmp_path, part), tmp_path / "out"
    answer = command.participant(dataset, out_dir)
    assert answer.code == 0, answer.said
    require_truth(out_dir)
    record = json.loads((out_dir / "sub-01/anat/sub-01_desc-SIR_T1map.json").read_text())
    assert record["RecoveryTimes"] == [0.684, 4.121, 2.73, 0.01]
    assert (record["ExchangeRate"], record["MacromolecularSaturation"]) == (12.5, 0.83)
    page = (out_dir / "sub-01.html").read_text()
    assert "Selective inversion recovery" in page
    assert "T1 is 1/R1f" in page
    assert "*_poolratiomap.*" in (out_dir / ".bidsignore").read_text().split()


def test_equal_inversion_times_without_delays_are_refused_and_the_field_to_give_is_named(tmp_path: Path) -> None:
    answer = command.participant(made(tmp_path, delays=False), tmp_path / "out")
    assert answer.code != 0
    assert "both have InversionTime 0.015 s" in answer.said
    assert "RecoveryTime [s]" in answer.said


def test_a_delay_that_one_image_lacks_is_asked_for(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    change_json(dataset / "sub-01/anat/sub-01_inv-3_IRT1.json", RecoveryTime=None)
    answer = command.participant(dataset, tmp_path / "out")
    assert answer.code != 0
    assert "sub-01_inv-3_IRT1.json: RecoveryTime is missing" in answer.said


def protocol(folder: Path, **fields: object) -> Path:
    path = folder / "protocol.json"
    write_json(path, {"SIR": fields})
    return path


def test_the_protocol_file_may_give_the_delays_in_the_order_of_the_images(tmp_path: Path) -> None:
    file = protocol(tmp_path, InversionTime=TI, RecoveryTime=TD)
    answer = command.participant(made(tmp_path, delays=False), tmp_path / "out", "--protocol", file)
    assert answer.code == 0, answer.said
    require_truth(tmp_path / "out")


def test_a_table_of_other_inversion_times_leaves_a_run_as_it_is(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    write_run(dataset)
    file = protocol(tmp_path, InversionTime=TI, RecoveryTime=TD)
    answer = command.participant(dataset, tmp_path / "out", "--protocol", file)
    assert answer.code == 0, answer.said
    assert list((tmp_path / "out").rglob("*desc-IRT1_T1map.nii.gz"))


def test_values_of_no_inversion_and_no_tissue_are_told_although_four_images_fit_anything(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    path = dataset / "sub-01/anat/sub-01_inv-2_IRT1.nii.gz"
    write_image(path, (1.3 * np.asarray(open_image(path).dataobj)).astype(np.float32))
    answer = command.participant(dataset, tmp_path / "out")
    assert answer.code == 0, answer.said
    assert "The typical voxel has an inversion to -1." in answer.said


def test_slices_of_unlike_times_are_told(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    for path in dataset.rglob("*.json"):
        if "inv-" in path.name:
            change_json(path, SliceTiming=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    answer = command.participant(dataset, tmp_path / "out")
    assert "SliceTiming differs between slices. InversionTime and RecoveryTime are taken as the same" in answer.said


def folded(folder: Path, **fields: object) -> Path:
    """Write all images into one file."""
    dataset = write_root(folder / "data")
    path = dataset / "sub-01" / "anat" / "sub-01_IRT1.nii.gz"
    write_image(path, np.moveaxis(np.abs(images()), 0, -1).astype(np.float32))
    write_json(sidecar(path), {"MagneticFieldStrength": 3, "RepetitionTime": 0.981, **fields})
    return dataset


def test_a_4d_file_with_its_times_in_lists_is_read_volume_by_volume(tmp_path: Path) -> None:
    answer = command.participant(folded(tmp_path, InversionTime=TI, RecoveryTime=TD), tmp_path / "out")
    assert answer.code == 0, answer.said
    require_truth(tmp_path / "out")
    record = json.loads((tmp_path / "out/sub-01/anat/sub-01_desc-SIR_T1map.json").read_text())
    assert record["Sources"] == ["bids:raw:sub-01/anat/sub-01_IRT1.nii.gz"]


def test_a_4d_file_may_have_its_times_in_the_protocol_file(tmp_path: Path) -> None:
    file = protocol(tmp_path, InversionTime=TI, RecoveryTime=TD)
    answer = command.participant(folded(tmp_path, InversionTime=0.015), tmp_path / "out", "--protocol", file)
    assert answer.code == 0, answer.said
    require_truth(tmp_path / "out")


def test_a_list_that_is_not_one_per_volume_is_refused(tmp_path: Path) -> None:
    answer = command.participant(folded(tmp_path, InversionTime=TI[1:], RecoveryTime=TD), tmp_path / "out")
    assert answer.code != 0
    assert "InversionTime has 3 numbers and sub-01_IRT1.nii.gz 4 volumes" in answer.said


def test_a_4d_file_of_plain_inversion_recovery_gives_what_its_volumes_give(tmp_path: Path) -> None:
    single, several = write_root(tmp_path / "single"), write_root(tmp_path / "several")
    paths = write_run(single)
    stack = np.stack([np.asarray(open_image(path).dataobj) for path in paths], axis=-1)
    path = several / "sub-01" / "anat" / "sub-01_IRT1.nii.gz"
    write_image(path, stack, AFFINE)
    times = [json.loads(sidecar(one).read_text())["InversionTime"] for one in paths]
    write_json(sidecar(path), {"InversionTime": times, "RepetitionTime": 8.0, "MagneticFieldStrength": 3})
    maps = []
    for dataset in (single, several):
        answer = command.participant(dataset, tmp_path / f"{dataset.name}_out")
        assert answer.code == 0, answer.said
        (found,) = (tmp_path / f"{dataset.name}_out").rglob("*desc-IRT1_T1map.nii.gz")
        maps.append(np.asarray(open_image(found).dataobj))
    np.testing.assert_array_equal(maps[0], maps[1])


def test_one_pool_says_what_its_t1_is(tmp_path: Path) -> None:
    answer = command.participant(made(tmp_path), tmp_path / "out", "--sir-pools", "1")
    assert answer.code == 0, answer.said
    assert "Fitted with one pool" in answer.said
    assert not list((tmp_path / "out").rglob("*poolratiomap*"))
