"""What is read in one go of the commonest files is what pydicom reads of them; everything else is left to it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from bids_t1.dicom.reading import plain
from bids_t1.dicom.reading.plain import read_plain
from tests.dicom.identified import everywhere
from tests.dicom.scanner_files import COLUMNS, PHILIPS_SCALE, ROWS, SIEMENS, write_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.uid import UID

CHARACTER_SET, PIXELS = 0x00080005, 0x7FE00010


@pytest.fixture
def file(tmp_path: Path) -> Path:
    empty = {"SliceLocation": None, "ImageComments": ""}
    return write_slice(tmp_path / "file", 100, SIEMENS | everywhere() | {PHILIPS_SCALE: 0.25} | empty)


def test_the_same_is_read_as_pydicom_reads(file: Path) -> None:
    read, expected = read_plain(BytesIO(file.read_bytes()), pixels=True), dcmread(file)
    assert read is not None
    assert len(read.dataset.keys()) > 20
    assert read.n_rest == 0
    tags = set(expected.keys()) - {CHARACTER_SET}  # pydicom has looked at it already
    assert set(read.dataset.keys()) - {CHARACTER_SET} == tags
    assert [read.dataset.get_item(tag) for tag in tags] == [expected.get_item(tag) for tag in tags]
    assert read.dataset == expected
    assert read.dataset.file_meta == expected.file_meta
    assert read.dataset.original_encoding == expected.original_encoding


def test_reading_ends_before_the_pixels_and_counts_what_is_left(file: Path) -> None:
    read = read_plain(BytesIO(file.read_bytes()), pixels=False)
    assert read is not None
    assert PIXELS not in read.dataset
    assert read.n_rest == 12 + 2 * ROWS * COLUMNS


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, RLELossless])
def test_what_says_that_it_is_encoded_otherwise_is_left_to_pydicom(file: Path, syntax: UID) -> None:
    plainly = ExplicitVRLittleEndian.encode()
    assert is_left(file.read_bytes().replace(plainly, syntax[: len(plainly)].encode()))


def test_implicit_kinds_of_values_are_left_to_pydicom(file: Path) -> None:
    dataset = dcmread(file)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert is_left(_saved(dataset))


@pytest.mark.parametrize("lost", [1, 40, 2 * ROWS * COLUMNS + 13])
def test_a_file_that_is_cut_within_an_attribute_is_left_to_pydicom(file: Path, lost: int) -> None:
    assert is_left(file.read_bytes()[:-lost])


def test_a_file_without_preamble_and_one_out_of_order_are_left_to_pydicom(file: Path) -> None:
    content = file.read_bytes()
    assert is_left(content[132:])
    assert is_left(content + content[-(12 + 2 * ROWS * COLUMNS) :])
    assert is_left(b"")


def test_an_unknown_kind_of_value_is_left_to_pydicom(file: Path) -> None:
    content = file.read_bytes()
    place = content.index(b"CS", 400)
    assert is_left(content[:place] + b"QQ" + content[place + 2 :])


def test_a_sequence_of_undefined_length_is_left_to_pydicom(file: Path) -> None:
    dataset = dcmread(file)
    dataset.ReferencedImageSequence = [Dataset()]
    assert not is_left(_saved(dataset))
    dataset["ReferencedImageSequence"].is_undefined_length = True
    assert is_left(_saved(dataset))


def test_a_large_file_is_left_to_pydicom(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "LARGEST", file.stat().st_size - 1)
    assert is_left(file.read_bytes())


def is_left(content: bytes) -> bool:
    """Tell whether nothing is found, and the file is at its beginning again."""
    file = BytesIO(content)
    return read_plain(file, pixels=True) is None and file.tell() == 0


def _saved(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
