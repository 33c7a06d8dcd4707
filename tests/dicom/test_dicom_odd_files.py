"""Odd, damaged and hostile files beside good ones: each is left out or read, and told."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from bids_t1.data.errors import NoInputError
from bids_t1.dicom.convert import Destination, convert
from bids_t1.dicom.reading.files import found_instead
from bids_t1.dicom.reading.slices import read_file
from tests.dicom.scanner_files import PHILIPS, PHILIPS_SCALE, SIEMENS, TIMES, write_enhanced, write_set, write_volume

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.writing.record import Conversion

ZEROS = b"\0" * 128 + b"DICM" + bytes(2**26)


def run(tmp_path: Path) -> Conversion:
    return convert(tmp_path / "dicom", Destination(tmp_path / "raw", "01"), tmp_path / "work")


def smallest(tmp_path: Path) -> list[float]:
    images = sorted((tmp_path / "raw").rglob("*.nii.gz"))
    return [float(np.asarray(nib.nifti1.Nifti1Image.from_filename(path).get_fdata()).min()) for path in images]


NUMBERS = ("MagneticFieldStrength", "EchoTime", "FlipAngle", "SeriesNumber", "InstanceNumber", "AcquisitionNumber")


@pytest.mark.parametrize("value", [b"nan ", b"inf ", b"1e400 "])
@pytest.mark.parametrize("attribute", NUMBERS)
def test_numbers_that_are_not_finite_are_ignored_and_told(tmp_path: Path, attribute: str, value: bytes) -> None:
    (path, _) = write_volume(tmp_path / "dicom", TIMES[0], SIEMENS, series=1)
    dataset = dcmread(path)
    kind = dataset[attribute].VR if attribute in dataset else "IS"
    setattr(dataset, attribute, 1)
    raw = path.read_bytes()
    dataset.save_as(path)
    written = str(int(dataset[attribute].value)).encode()
    raw = path.read_bytes()
    tag = dataset[attribute].tag
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + kind.encode()
    place = raw.index(head)
    length = int.from_bytes(raw[place + 6 : place + 8], "little")
    assert raw[place + 8 : place + 8 + len(written)] == written
    path.write_bytes(raw[: place + 6] + len(value).to_bytes(2, "little") + value + raw[place + 8 + length :])
    assert read_file(path).odd == {attribute}


def test_a_value_that_is_ignored_is_told_with_its_series(tmp_path: Path) -> None:
    write_set(tmp_path / "dicom", SIEMENS)
    for path in (tmp_path / "dicom").iterdir():
        raw = path.read_bytes()
        place = raw.index(b"\x18\x00\x87\x00DS")
        path.write_bytes(raw[: place + 6] + b"\x04\x00nan " + raw[place + 8 + raw[place + 6] :])
    record = run(tmp_path)
    assert "series 1: MagneticFieldStrength holds no finite number" in record.warnings[0]
    assert smallest(tmp_path) == [100, 200, 300, 400]


@pytest.mark.parametrize("text", ["ir\x1b$B", "two\nlines", "a\ttab", 'quote" and \\', "\x01\x02"])
def test_control_characters_in_free_text_do_no_harm(tmp_path: Path, text: str) -> None:
    write_set(tmp_path / "dicom", SIEMENS | {"SeriesDescription": text, "ProtocolName": text})
    run(tmp_path)
    sidecars = sorted((tmp_path / "raw").rglob("*IRT1.json"))
    assert [json.loads(path.read_text())["InversionTime"] for path in sidecars] == [0.05, 0.4, 1.1, 2.5]


def test_nesting_without_end_is_unreadable(tmp_path: Path) -> None:
    write_set(tmp_path / "dicom", SIEMENS)
    (path, _) = write_volume(tmp_path / "dicom", TIMES[0], SIEMENS, series=9)
    raw = path.read_bytes()
    opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    place = raw.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(raw[:place] + opened * 3000 + raw[place:])
    assert len(run(tmp_path).written) == 8


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"BitsAllocated": 12}, "BitsAllocated is 12; expected 8, 16 or 32"),
        ({"SamplesPerPixel": 3}, "SamplesPerPixel is 3"),
        ({"BitsAllocated": 8}, "96 bytes of pixels; expected 48 with 8 bits allocated for each"),
        ({"Rows": 60000, "Columns": 60000}, "GiB of pixels in one file"),
        ({"BitsStored": 99}, "BitsStored is 99; expected 1 to 16"),
        ({"RescaleSlope": 0}, "RescaleSlope is 0"),
        (PHILIPS | {PHILIPS_SCALE: 0.0}, "(2005,xx0E) is 0"),
        (PHILIPS | {PHILIPS_SCALE: float("nan")}, "(2005,xx0E) is no finite number"),
    ],
)
def test_pixels_in_another_layout_are_left_out_with_a_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    write_set(tmp_path / "dicom", SIEMENS)
    write_volume(tmp_path / "dicom", 3000.0, SIEMENS | change, series=9)
    assert reason in run(tmp_path).series[-1].outcome


@pytest.mark.parametrize("told", [1, 7, 9, 800])
def test_a_wrong_number_of_frames_is_told(tmp_path: Path, told: int) -> None:
    frames = [{"time": time, "place": place, "value": 100, "index": 1} for time in TIMES for place in (0, 1)]
    path = write_enhanced(tmp_path / "one", frames, NumberOfFrames=told)
    assert read_file(path).problem == f"NumberOfFrames is {told}, but 8 frames are described"


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_transfer_syntaxes_without_codec_are_read(tmp_path: Path, syntax: UID) -> None:
    write_set(tmp_path / "dicom", SIEMENS)
    for path in (tmp_path / "dicom").iterdir():
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dcmwrite(path, dataset)
        if path.name.endswith("1"):
            path.write_bytes(gzip.compress(path.read_bytes()))
    assert len(run(tmp_path).written) == 8
    assert smallest(tmp_path) == [100, 200, 300, 400]


def test_frames_of_a_deflated_file_are_cut_out(tmp_path: Path) -> None:
    frames = [{"time": time, "place": place, "value": time, "index": 1} for time in TIMES for place in (0, 1)]
    path = write_enhanced(tmp_path / "dicom" / "one", frames)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    run(tmp_path)
    assert smallest(tmp_path) == list(TIMES)


def test_an_unknown_transfer_syntax_is_named(tmp_path: Path) -> None:
    (path, _) = write_volume(tmp_path, TIMES[0], SIEMENS, series=1)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.113619.5.2")
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    assert "transfer syntax 1.2.840.113619.5.2" in (read_file(path).problem or "")


@pytest.mark.parametrize("bomb", ["gzip of zeros", "plain zeros", "deflated zeros", "long attribute"])
def test_files_that_grow_without_end_are_left_out(tmp_path: Path, bomb: str) -> None:
    write_set(tmp_path / "dicom", SIEMENS)
    (path, _) = write_volume(tmp_path / "dicom", 3000.0, SIEMENS, series=9)
    raw = path.read_bytes()
    pixels = raw.index(b"\xe0\x7f\x10\x00")
    if bomb == "gzip of zeros":
        path.write_bytes(gzip.compress(ZEROS, 1))
    elif bomb == "plain zeros":
        path.write_bytes(ZEROS)
    elif bomb == "long attribute":
        path.write_bytes(raw[:pixels] + b"\x29\x00\x10\x10OB\0\0\0\0\0\x40" + raw[pixels:])
    else:
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(path)
        length = 144 + int.from_bytes(path.read_bytes()[140:144], "little")
        stream = zlib.compressobj(1, zlib.DEFLATED, -15)
        path.write_bytes(path.read_bytes()[:length] + stream.compress(bytes(2**27)) + stream.flush())
    record = run(tmp_path)
    assert len(record.written) == 8
    assert "1 DICOM files cannot be read and are left out" in record.warnings[0]


def test_pipes_are_never_opened(tmp_path: Path) -> None:
    write_set(tmp_path / "dicom", SIEMENS)
    os.mkfifo(tmp_path / "dicom" / "IM0")
    (tmp_path / "dicom" / "zero").symlink_to("/dev/zero")
    (tmp_path / "dicom" / "annexed").symlink_to("nowhere")
    record = run(tmp_path)
    assert len(record.written) == 8
    assert "2 pipes, sockets or devices, never opened" in record.warnings[0]
    assert "1 link to content that is not there" in record.warnings[0]


def test_what_lies_in_a_folder_without_dicom_is_told_without_names(tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    folder.mkdir()
    with zipfile.ZipFile(folder / "Nightingale.zip", "w") as archive:
        archive.writestr("IM1", "pixels")
    (folder / "tar.gz").write_bytes(gzip.compress(bytes(257) + b"ustar" + bytes(250)))
    (folder / "IM2").write_bytes(b"")
    (folder / "notes.txt").write_text("nothing")
    expected = "2 archives (unpack them), 1 empty file, 1 other file"
    assert found_instead(folder) == expected
    with pytest.raises(NoInputError, match="no DICOM file found, but 2 archives"):
        run(tmp_path)


def test_an_empty_group_of_a_frame_is_no_crash(tmp_path: Path) -> None:
    frames = [{"time": time, "place": place, "value": 100, "index": 1} for time in TIMES for place in (0, 1)]
    path = write_enhanced(tmp_path / "dicom" / "one", frames)
    dataset = dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence[7] = Dataset()
    dataset.save_as(path)
    record = run(tmp_path)
    assert len(record.written) == 6


def test_a_frame_that_is_not_described_is_told(tmp_path: Path) -> None:
    frames = [{"time": time, "place": place, "value": 100, "index": 1} for time in TIMES for place in (0, 1)]
    path = write_enhanced(tmp_path / "one", frames)
    dataset = dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence[7] = Dataset()
    dataset.save_as(path)
    assert "PerFrameFunctionalGroupsSequence" in read_file(path).odd
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(path)
    assert "its frames are not described" in (read_file(path).problem or "")


def test_a_damaged_gzip_file_beside_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(b"\0" * 128 + b"DICM" + bytes(1000))[:-20])
    assert found_instead(tmp_path, noteworthy=True) == "1 gzip file that cannot be unpacked (copy it again)"
