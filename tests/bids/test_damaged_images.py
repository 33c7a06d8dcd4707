"""Files of images that are damaged or declare what they do not hold: refused by name, before memory is taken."""

from __future__ import annotations

import gzip
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_t1.bids.discover import find
from bids_t1.bids.images import read_header, read_volume
from bids_t1.bids.load import load_series
from bids_t1.data.errors import BidsT1Error, InputOutputError, InvalidInputError
from bids_t1.runs.common import require_memory
from tests.small_bids import AFFINE, SHAPE, write_image, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

VALUES = np.random.default_rng(3).normal(1000, 200, SHAPE).astype(np.float32)
DATA = nib.Nifti1Image(VALUES, AFFINE).to_bytes()
HEADER = 352
DIMS, DATATYPE, EDGES, VOX_OFFSET, SLOPE, UNITS, CODES = 40, 70, 80, 108, 112, 123, 252
"""Where these stand in a header of NIfTI-1 [bytes]."""

WHOLE = gzip.compress(DATA)


def stored(data: bytes) -> bytes:
    """Compress without compression, so that single voxels can be damaged."""
    return gzip.compress(data, compresslevel=0)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def patched(place: int, kind: str, *values: float) -> bytes:
    """Write other values into the header."""
    data = bytearray(DATA)
    struct.pack_into(f"<{kind}", data, place, *values)
    return bytes(data)


def test_what_follows_was_read_before(tmp_path: Path) -> None:
    for name, content in (("a.nii.gz", WHOLE), ("b.nii", DATA), ("c.nii.gz", stored(DATA))):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_volume(tmp_path / name).values, VALUES)


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[:-8],
        WHOLE[:-4],
        WHOLE[:-1],
        flipped(WHOLE, -6),
        flipped(WHOLE, -2),
        flipped(WHOLE, len(WHOLE) // 2),
        flipped(stored(DATA), len(stored(DATA)) - 100),
        stored(DATA)[: len(stored(DATA)) // 2],
        WHOLE + b"behind",
        WHOLE + flipped(gzip.compress(b""), -6),
        gzip.compress(DATA + b"\0"),
        gzip.compress(DATA) + gzip.compress(b"more"),
        gzip.compress(DATA[:-1]),
        gzip.compress(DATA[:HEADER]),
        gzip.compress(DATA[:300]),
        b"",
    ],
    ids=[
        "without its last 8 bytes",
        "without its length",
        "without its last byte",
        "wrong checksum",
        "wrong length",
        "a bit of the stream",
        "a bit of a stored block",
        "half a file",
        "bytes behind the last member",
        "a member of nothing, damaged",
        "a byte behind the voxels",
        "a member behind the voxels",
        "a byte of the voxels missing",
        "no voxels",
        "half a header",
        "empty",
    ],
)
def test_a_damaged_gzip_stream_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image.nii.gz").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"^image\.nii\.gz: .*expected a complete file"):
        read_volume(tmp_path / "image.nii.gz")


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(DATA[:400]) + gzip.compress(DATA[400:]),
        gzip.compress(b"") + WHOLE + gzip.compress(b""),
        WHOLE + b"\0" * 512,
    ],
    ids=["two members", "empty members", "padding with zeros, as of a tape"],
)
def test_what_gzip_allows_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image.nii.gz").write_bytes(content)
    np.testing.assert_array_equal(read_volume(tmp_path / "image.nii.gz").values, VALUES)


@pytest.mark.parametrize("content", [DATA[:-1], DATA[:HEADER], DATA + b"\0", DATA + DATA])
def test_a_plain_file_that_is_not_as_long_as_its_header_says_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image.nii").write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"image\.nii: has {len(content)} bytes, and its header declares"):
        read_header(tmp_path / "image.nii")


@pytest.mark.parametrize(("code", "bits", "kind"), [(4, 16, "int16"), (64, 64, "float64"), (2, 8, "uint8")])
def test_a_header_that_gives_numbers_another_size_is_refused(tmp_path: Path, code: int, bits: int, kind: str) -> None:
    content = patched(DATATYPE, "2h", code, bits)
    (tmp_path / "image.nii.gz").write_bytes(gzip.compress(content))
    with pytest.raises(InvalidInputError, match="expected a complete file"):
        read_volume(tmp_path / "image.nii.gz")
    (tmp_path / "image.nii").write_bytes(content)
    with pytest.raises(InvalidInputError, match=f"declares {HEADER + VALUES.size * np.dtype(kind).itemsize}"):
        read_volume(tmp_path / "image.nii")


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize(
    "content",
    [
        patched(DIMS, "4h", 3, 32767, 32767, 32767),
        patched(DIMS, "8h", 7, *[32767] * 7),
        patched(DIMS, "4h", 3, -8, 8, 2),
        patched(DIMS, "4h", 3, 0, 8, 2),
        patched(DIMS, "h", -3),
        patched(DIMS, "h", 300),
        patched(VOX_OFFSET, "f", np.inf),
        patched(VOX_OFFSET, "f", np.nan),
        patched(VOX_OFFSET, "f", -400.0),
        patched(VOX_OFFSET, "f", 1e30),
        patched(DATATYPE, "2h", 0, 0),
    ],
)
def test_a_header_that_cannot_be_is_refused_without_a_voxel_read(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"image.{ending}"
    path.write_bytes(gzip.compress(content) if ending == "nii.gz" else content)
    with pytest.raises(InvalidInputError, match=rf"^image\.{ending}: "):
        read_header(path)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, HEADER + 20), st.integers(0, 255)), min_size=1, max_size=4),
    st.sampled_from(["nii", "nii.gz"]),
)
def test_any_damage_of_a_header_ends_in_an_expected_failure(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]], ending: str
) -> None:
    data = bytearray(DATA)
    for place, value in damage:
        data[place] = value
    path = tmp_path_factory.getbasetemp() / f"any.{ending}"
    path.write_bytes(gzip.compress(data, 1) if ending == "nii.gz" else data)
    # Whatever is raised beyond the family of expected failures ends the test.
    with suppress(BidsT1Error):
        volume = read_volume(path, 10**6)
        assert volume.values.shape == volume.grid.shape


def bomb() -> bytes:
    """8 GB of zeros under an honest header, in members that are made once."""
    image = nib.Nifti1Image(np.zeros((1, 1, 1), np.int16), AFFINE)
    image.header.set_data_shape((2048, 2048, 1024))
    member = gzip.compress(bytes(2**26), compresslevel=9, mtime=0)
    return gzip.compress(image.header.binaryblock + bytes(4)) + member * (2 * 2048 * 2048 * 1024 // 2**26)


@pytest.fixture(scope="module")
def explosive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bomb") / "image.nii.gz"
    path.write_bytes(bomb())
    return path


def run_of(dataset: Path, explosive: Path, bad: slice) -> Path:
    for image in write_run(write_root(dataset))[bad]:
        image.unlink()
        image.symlink_to(explosive)
    return dataset


def test_the_grid_of_a_huge_image_is_compared_before_its_voxels_are_read(tmp_path: Path, explosive: Path) -> None:
    dataset = run_of(tmp_path, explosive, slice(2, 3))
    (acquisition,) = find(dataset, "01").runs
    with pytest.raises(InvalidInputError, match=r"inv-3_IRT1\.nii\.gz: its grid is 2048 x 2048 x 1024 voxels"):
        load_series(acquisition)


def test_memory_is_asked_for_before_it_is_taken(tmp_path: Path, explosive: Path) -> None:
    dataset = run_of(tmp_path, explosive, slice(None))
    (acquisition,) = find(dataset, "01").runs
    asked: list[int] = []

    def refuse(n_bytes: int) -> None:
        asked.append(n_bytes)
        raise InputOutputError("too much")

    with pytest.raises(InputOutputError, match="too much"):
        load_series(acquisition, None, refuse)
    assert asked == [(5 * 4 + 2) * 2**32]


def test_without_a_limit_what_is_free_is_the_limit(tmp_path: Path) -> None:
    (acquisition,) = find(run_of(tmp_path, tmp_path, slice(0)), "01").runs
    require_memory(acquisition, None, 2, 10**6)
    with pytest.raises(InputOutputError, match=r"sub-01_IRT1: needs \d+ MB, and may take \d+ \(--mem-mb"):
        require_memory(acquisition, None, 2, 10**15)


def test_a_huge_mask_or_map_beside_a_run_is_refused_before_it_is_read(explosive: Path) -> None:
    with pytest.raises(InvalidInputError, match="declares 2048 x 2048 x 1024 voxels; expected at most"):
        read_volume(explosive, 512**3)


AFFINES: dict[int, NDArray[np.float64]] = {1: np.diag([2e-3, 2e-3, 3e-3, 1]), 3: np.diag([2e3, 2e3, 3e3, 1])}
"""Of the same voxels, in metres and micrometres."""


@pytest.mark.parametrize("unit", [1, 3])
@pytest.mark.parametrize("of_time", [0, 8, 16, 24])
def test_metres_and_micrometres_become_millimetres(tmp_path: Path, unit: int, of_time: int) -> None:
    image = nib.Nifti1Image(VALUES, AFFINES[unit])
    image.header["xyzt_units"] = unit + of_time
    nib.save(image, tmp_path / "image.nii.gz")
    grid = read_volume(tmp_path / "image.nii.gz").grid
    np.testing.assert_allclose(grid.affine, AFFINE, rtol=1e-6)
    np.testing.assert_allclose(grid.voxel_sizes, (2, 2, 3), rtol=1e-6)


@pytest.mark.parametrize("unit", [0, 2, 5])
def test_an_unknown_unit_is_millimetres_as_is_custom(tmp_path: Path, unit: int) -> None:
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header["xyzt_units"] = unit
    nib.save(image, tmp_path / "image.nii.gz")
    np.testing.assert_allclose(read_header(tmp_path / "image.nii.gz").grid.affine, AFFINE)


def test_images_of_a_run_may_have_different_units(tmp_path: Path) -> None:
    images = write_run(write_root(tmp_path))
    stored_image = nib.Nifti1Image.from_filename(images[1])
    other = nib.Nifti1Image(np.asanyarray(stored_image.dataobj), AFFINES[3])
    other.header.set_xyzt_units("micron")
    nib.save(other, images[1])
    (acquisition,) = find(tmp_path, "01").runs
    np.testing.assert_allclose(load_series(acquisition).grid.affine, AFFINE)


@pytest.mark.parametrize(("unit", "edge"), [(1, 2.0), (2, 0.002), (0, 0.002), (3, 2.0)])
def test_voxels_of_an_impossible_size_are_refused(tmp_path: Path, unit: int, edge: float) -> None:
    image = nib.Nifti1Image(VALUES, np.diag([edge, edge, edge, 1]))
    image.header["xyzt_units"] = unit
    nib.save(image, tmp_path / "image.nii.gz")
    with pytest.raises(InvalidInputError, match=rf"xyzt_units {unit}\); expected 0\.01 to 100 mm"):
        read_header(tmp_path / "image.nii.gz")


def test_a_name_is_told_of_a_file_that_is_no_image(tmp_path: Path) -> None:
    write_image(tmp_path / "image.nii.gz", VALUES)
    (tmp_path / "image.nii.gz").write_bytes(b"no image")
    with pytest.raises(InvalidInputError, match=r"^image\.nii\.gz: cannot be read as NIfTI"):
        read_header(tmp_path / "image.nii.gz")


def unplaced(*edges: float) -> bytes:
    """Write distances of voxels beside no orientation at all."""
    data = bytearray(patched(EDGES, "3f", *edges))
    struct.pack_into("<2h", data, CODES, 0, 0)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (patched(SLOPE, "f", np.inf), r"^a\.nii: the factor of its voxels is inf"),
        (patched(SLOPE, "f", -np.inf), r"^a\.nii: the factor of its voxels is -inf"),
        (unplaced(2, 2, 0), r"^a\.nii: its voxels measure 2 x 2 x 0 .pixdim."),
        (unplaced(0, 0, 0), r"^a\.nii: its voxels measure 0 x 0 x 0 .pixdim."),
    ],
)
def test_numbers_of_a_header_that_would_be_replaced_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InvalidInputError, match=told):
        read_header(tmp_path / "a.nii")


def test_sizes_of_zero_beside_an_affine_are_no_matter(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(patched(EDGES, "3f", 0, 0, 0))
    np.testing.assert_array_equal(read_header(tmp_path / "a.nii").grid.affine, AFFINE)


def test_images_that_do_not_say_where_the_head_lies_are_read_with_a_warning(tmp_path: Path) -> None:
    for path in write_run(write_root(tmp_path)):
        data = bytearray(gzip.decompress(path.read_bytes()))
        struct.pack_into("<2h", data, CODES, 0, 0)
        path.write_bytes(gzip.compress(data))
    (run,) = find(tmp_path, "01").runs
    (warning,) = load_series(run).warnings
    assert "inv-1_IRT1.nii.gz and 4 more: the header says nothing of orientation" in warning
