"""Nobody is named: not by what is written or said, nor by what a killed process leaves behind."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom import dcmread

from bids_t1.data.errors import NoInputError
from bids_t1.dicom.convert import Destination, convert
from bids_t1.dicom.reading.slices import read_file
from bids_t1.dicom.reading.volumes import assemble
from bids_t1.dicom.writing.extract import lay_out
from bids_t1.dicom.writing.survey import survey
from tests.dicom.identified import TYPED, VENDORS, everywhere, told, told_below
from tests.dicom.scanner_files import PHILIPS_SCALE, SIEMENS, TIMES, write_enhanced, write_set, write_volume

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "Weber_Eva-Maria_22.11.1939"


def copies(source: Path, folder: Path) -> list[Path]:
    """Lay out the volumes of a folder as for dcm2niix."""
    found = survey(source)
    volumes, _ = assemble(plane for content in found.contents for plane in content.slices)
    for number, volume in enumerate(volumes):
        (folder / str(number)).mkdir(parents=True)
        lay_out(volume, folder / str(number), found.identifying)
    return sorted(folder.rglob("*.dcm"))


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_a_copy_for_dcm2niix_names_nobody_and_keeps_pixels_and_geometry(
    source: Path, tmp_path: Path, vendor: str
) -> None:
    files = write_volume(source, 400.0, VENDORS[vendor] | everywhere() | {PHILIPS_SCALE: 0.25}, series=1)
    assert len(told(files[0].read_bytes())) > 10
    made = copies(source, tmp_path / "copies")
    assert len(made) == len(files)
    assert told_below(tmp_path / "copies") == []
    for before, after in zip(files, made, strict=True):
        old, new = dcmread(before), dcmread(after)
        assert new.PixelData == old.PixelData
        for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "InversionTime", "FlipAngle"):
            assert new[key].value == old[key].value
        assert new.private_block(0x2005, PHILIPS_SCALE[1])[0x0E].value == 0.25
        assert not any(keyword in new for keyword in ("PatientName", "AcquisitionTime", "StudyDate", "StationName"))


def test_a_copy_of_packed_implicit_or_bare_files_names_nobody(source: Path, tmp_path: Path) -> None:
    (packed, bare) = write_volume(source, 400.0, SIEMENS | everywhere(), series=1)
    packed.write_bytes(gzip.compress(packed.read_bytes()))
    bare.write_bytes(bare.read_bytes()[132:])
    made = copies(source, tmp_path / "copies")
    assert len(made) == 2
    assert told_below(tmp_path / "copies") == []


def test_a_copy_of_an_enhanced_file_names_nobody_and_holds_its_frames(source: Path, tmp_path: Path) -> None:
    frames = [
        {"time": time, "place": place, "value": 100 * rank, "index": rank}
        for rank, time in enumerate(TIMES)
        for place in (0, 1)
    ]
    names = {key: value for key, value in everywhere().items() if key != "MREchoSequence"}
    path = write_enhanced(source / "one", frames, shared_attributes=names, ImageComments=TYPED, PatientComments=TYPED)
    made = copies(source, tmp_path / "copies")
    assert told_below(tmp_path / "copies") == []
    whole = dcmread(path).pixel_array
    assert np.array_equal(np.concatenate([dcmread(file).pixel_array for file in made]), whole)


def test_slices_without_numbers_of_their_own_are_numbered(source: Path, tmp_path: Path) -> None:
    write_volume(source, 400.0, SIEMENS | {"InstanceNumber": 1}, series=1)
    made = copies(source, tmp_path / "copies")
    assert [dcmread(path).InstanceNumber for path in made] == [1, 2]
    assert len({dcmread(path).SOPInstanceUID for path in made}) == 2


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_nothing_written_or_said_names_the_patient(
    source: Path, tmp_path: Path, vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    planted = VENDORS[vendor] | everywhere()
    write_set(source, planted)
    (broken, *_) = write_volume(source, 9999.0, planted, series=9)
    broken.with_name("Weber.Eva-Maria.dcm").write_bytes(broken.read_bytes()[:400])
    with caplog.at_level("DEBUG"):
        record = convert(source, Destination(tmp_path / "raw", "01"), tmp_path / "work")
    assert told("\n".join([json.dumps(asdict(record), ensure_ascii=False), *caplog.messages])) == []
    for path in (tmp_path / "raw").rglob("*.nii.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    assert told_below(tmp_path / "raw") == []
    assert {note.description for note in record.series} == {"ir_se"}


def test_an_error_names_neither_patient_nor_folder(source: Path, tmp_path: Path) -> None:
    write_volume(source / "Weber", 50.0, SIEMENS | everywhere(), series=1)
    with pytest.raises(NoInputError, match="series 1 ir_se") as failure:
        convert(source, Destination(tmp_path / "raw", "01"), tmp_path / "work")
    assert told(str(failure.value)) == []


FREE_TEXT = {
    "Li Bo ir": {"PatientName": "Li^Bo", "PatientID": "P7", "ProtocolName": "libo P7_t1"},
    "ir Schmidt 0815 Charite": {"PatientName": "ANON^1", "PatientID": "0815"},
    "Mueller Muller 22.11.1939 ir": {"PatientName": "Müller^Jörg", "PatientBirthDate": "19391122"},
    "ir head sag": {"PatientName": "Head^Sag"},
    "ir\x1bWeber\n山田": {"ProtocolName": "ir\r\nWeber"},
}
"""Headers by the description of their series."""


@pytest.mark.parametrize("description", FREE_TEXT)
def test_free_text_leaves_by_known_words_only(source: Path, tmp_path: Path, description: str) -> None:
    header: dict[str, Any] = {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": description}
    write_set(source, SIEMENS | header | FREE_TEXT[description])
    record = convert(source, Destination(tmp_path / "raw", "01"), tmp_path / "work")
    sidecars = [json.loads(path.read_text()) for path in (tmp_path / "raw").rglob("*IRT1.json")]
    assert {sidecar["SeriesDescription"] for sidecar in sidecars} == {"ir"}
    assert {sidecar.get("ProtocolName", "ir") for sidecar in sidecars} <= {"ir", "t1"}
    assert {note.description for note in record.series} == {"ir"}


_KILLED = """
import sys
from pathlib import Path
import bids_t1.dicom.writing.dcm2niix as step
from bids_t1.dicom.convert import Destination, convert
step.dcm2niix_binary = lambda: sys.argv[4]
source, raw, work = map(Path, sys.argv[1:4])
convert(source, Destination(raw, "01"), work)
"""


@pytest.mark.parametrize(
    "kind",
    ["packed", pytest.param("classic", marks=pytest.mark.slow), pytest.param("enhanced", marks=pytest.mark.slow)],
)
def test_a_killed_conversion_leaves_no_header_that_names_anybody(source: Path, tmp_path: Path, kind: str) -> None:
    if kind == "enhanced":
        frames = [{"time": time, "place": 0, "value": 9, "index": rank} for rank, time in enumerate(TIMES)]
        write_enhanced(source / "one", frames, PatientComments=TYPED)
    else:
        write_set(source, SIEMENS | everywhere())
    for path in source.iterdir() if kind == "packed" else ():
        path.write_bytes(gzip.compress(path.read_bytes()))
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep 60\n")
    program.chmod(0o755)
    out = tmp_path / "out"
    arguments = [source, out / "raw", out / "work", program]
    process = subprocess.Popen([sys.executable, "-c", _KILLED, *map(str, arguments)], start_new_session=True)
    while not (tmp_path / "begun").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(out.rglob("*.dcm"))) > 0
    assert told_below(out) == []


def test_what_a_file_is_instead_of_an_image_is_told_in_words_of_the_standard(source: Path) -> None:
    (file, _) = write_volume(source, 400.0, SIEMENS | {"SOPClassUID": "1.2.3.19391122"}, series=1)
    assert read_file(file).problem == "no MR image (unknown kind)"
