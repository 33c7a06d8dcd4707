"""Cases of scanner files: classic and enhanced DICOM."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from pydicom import config, dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from tests.corpus.case import Case, Place, Wanted
from tests.corpus.mutations import empty, folder, link_to, pipe, to_itself, zeros_gzipped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Edit = Callable[[Dataset], object]

FINE, WARNED, FAILED, TOLD, REFUSED = Wanted.FINE, Wanted.WARNED, Wanted.FAILED, Wanted.TOLD, Wanted.REFUSED


def edited(edit: Edit, *, files: str = "") -> Callable[[Place], object]:
    """Change the headers of files; of those with a word in their path."""

    def change(place: Place) -> None:
        for path in place.files:
            if files in str(path):
                _edit(path, edit)

    return change


def _edit(path: Path, edit: Edit) -> None:
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        header = dcmread(path)
        edit(header)
        header.save_as(path, enforce_file_format=False)
    finally:
        config.settings.writing_validation_mode = before


def values(**changes: Any) -> Edit:
    """Set attributes, without a check of their values; None removes one."""

    def edit(header: Dataset) -> None:
        for key, value in changes.items():
            if value is None:
                header.pop(key, None)
            else:
                setattr(header, key, value)

    return edit


def text_number(keyword: str, text: str) -> Edit:
    """Write a number as text that no number has."""

    def edit(header: Dataset) -> None:
        header.add_new(keyword, "LO", text)

    return edit


def in_bytes(change: Callable[[bytes], bytes], *, files: str = "") -> Callable[[Place], object]:
    """Change the bytes of files."""
    return lambda place: [path.write_bytes(change(path.read_bytes())) for path in place.files if files in str(path)]


def syntax(uid: UID, *, endian: bool = False) -> Callable[[Place], object]:
    """Write every file in another transfer syntax."""

    def change(place: Place) -> None:
        for path in place.files:
            header = dcmread(path)
            if endian:
                header.PixelData = header.pixel_array.astype(">u2").tobytes()
            header.file_meta.TransferSyntaxUID = uid
            header.save_as(path) if not endian else dcmwrite(path, header, implicit_vr=False, little_endian=False)

    return change


def _gzipped(place: Place) -> None:
    for path in place.files:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def compressed(place: Place) -> None:
    """Write every file with run-length encoding."""
    for path in place.files:
        header = dcmread(path)
        header.compress(RLELossless, generate_instance_uid=False)
        header.save_as(path)


def _lies_compressed(header: Dataset) -> None:
    header.file_meta.TransferSyntaxUID = JPEG2000Lossless
    header.PixelData = encapsulate([b"no picture"])
    header["PixelData"].is_undefined_length = True


def replaced(*makers: Callable[[Path], object]) -> Callable[[Place], object]:
    """Put other things in place of all files."""

    def change(place: Place) -> None:
        shutil.rmtree(place.bad)
        place.bad.mkdir()
        for number, make in enumerate(makers):
            make(place.bad / f"thing{number}")

    return change


def beside(name: str, make: Callable[[Path], object]) -> Callable[[Place], object]:
    """Put something beside the files."""
    return lambda place: make(place.bad / name)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        archive.writestr("IM_0001.dcm", bytes(128) + b"DICM")


def _tar(path: Path) -> None:
    with tarfile.open(path.with_suffix(".tar.gz"), "w:gz") as archive:
        found = tarfile.TarInfo("IM_0001.dcm")
        found.size = 132
        archive.addfile(found, io.BytesIO(bytes(128) + b"DICM"))


def _text(path: Path) -> None:
    path.write_text("no images here")


def _second_person(place: Place) -> None:
    """Put the other participant's examination beside this one's."""
    shutil.copytree(place.bids_dir / "sub-01" / "dicom", place.bad / "other")
    for path in sorted((place.bad / "other").rglob("*.dcm")):
        _edit(path, values(PatientID="P-2", PatientName="Other^Person", StudyInstanceUID="1.2.3.99"))


def _twice(place: Place) -> None:
    for path in place.files:
        shutil.copy2(path, path.with_name("again_" + path.name))


def _nested(n: int) -> Edit:
    """Put sequences into each other."""

    def edit(header: Dataset) -> None:
        inner = Dataset()
        for _ in range(n):
            outer = Dataset()
            outer.ReferencedImageSequence = [inner]
            inner = outer
        header.ReferencedImageSequence = [inner]

    return edit


def _nested_bytes(content: bytes) -> bytes:
    """Put 3000 sequences of undefined length into each other, in front of everything else."""
    opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    start = content.index(b"\x08\x00", 132 + 12)
    return content[:start] + opened * 3000 + closed * 3000 + content[start:]


def _first_file(edit: Edit) -> Callable[[Place], object]:
    return lambda place: _edit(place.files[0], edit)


def _gone(n: int) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        for path in place.files[:n]:
            path.unlink()

    return change


def _folder_called(name: str) -> Callable[[Place], object]:
    return lambda place: place.bad.rename(place.bids_dir / name)


LEFT = r"(?i)series 0*[3-6]|cannot be read|left out"
"""How it is said that images of a series are not used."""

TI_3 = "TI1200"
"""Files of one inversion time."""

PATIENTS = (
    Case("dicom", "patients", "one series of another patient",
         edited(values(PatientID="P-2", PatientName="Other^Person", PatientBirthDate="19700101"), files=TI_3), FAILED,
         "(?i)patient"),
    Case("dicom", "patients", "another PatientID only", edited(values(PatientID="P-2"), files=TI_3), FAILED, "(?i)patient"),
    Case("dicom", "patients", "another birth date only", edited(values(PatientBirthDate="19700101"), files=TI_3), FAILED,
         "(?i)patient|birth"),
    Case("dicom", "patients", "one series of another study", edited(values(StudyInstanceUID="1.2.3.99"), files=TI_3), TOLD,
         "(?i)stud|examination"),
    Case("dicom", "patients", "one series of another frame of reference",
         edited(values(FrameOfReferenceUID="1.2.3.98"), files=TI_3), TOLD, "(?i)frame|position|moved"),
    Case("dicom", "patients", "two examinations in one folder", _second_person, FAILED, "(?i)patient|examination"),
    Case("dicom", "patients", "one file of another patient", _first_file(values(PatientID="P-2")), FAILED, "(?i)patient"),
    Case("enhanced", "patients", "one file of another patient", _first_file(values(PatientID="P-2")), FAILED, "(?i)patient"),
    Case("dicom", "patients", "no PatientID anywhere", edited(values(PatientID=None, PatientName=None)), FINE),
    Case("dicom", "patients", "PatientID empty in every file", edited(values(PatientID="", PatientName="")), FINE),
)  # fmt: skip

ATTRIBUTES = (
    Case("dicom", "attribute", "line break in SeriesDescription", edited(values(SeriesDescription="ir\nse" * 9)), FINE),
    Case("dicom", "attribute", "ESC in ProtocolName", edited(values(ProtocolName="ir\x1b(Bse")), FINE),
    Case("dicom", "attribute", "bell and quote in ProtocolName", edited(values(ProtocolName='i\x07r"\\x')), FINE),
    Case("dicom", "attribute", "SeriesDescription of another alphabet",
         edited(values(SpecificCharacterSet="ISO_IR 192", SeriesDescription="山田 Größe")), FINE),
    Case("dicom", "attribute", "character set unknown", edited(values(SpecificCharacterSet="ISO_IR 999")), FINE),
    Case("dicom", "attribute", "MagneticFieldStrength NaN", edited(text_number("MagneticFieldStrength", "nan")), FINE),
    Case("dicom", "attribute", "MagneticFieldStrength inf", edited(text_number("MagneticFieldStrength", "inf")), FINE),
    Case("dicom", "attribute", "MagneticFieldStrength a word", edited(text_number("MagneticFieldStrength", "three")), FINE),
    Case("dicom", "attribute", "SeriesNumber 1e400", edited(text_number("SeriesNumber", "1e400")), FINE),
    Case("dicom", "attribute", "SeriesNumber inf in one", _first_file(text_number("SeriesNumber", "inf")), TOLD, LEFT),
    Case("dicom", "attribute", "SeriesNumber missing", edited(values(SeriesNumber=None)), FINE),
    Case("dicom", "attribute", "InstanceNumber inf", edited(text_number("InstanceNumber", "inf")), FINE),
    Case("dicom", "attribute", "InstanceNumber NaN", edited(text_number("InstanceNumber", "nan")), FINE),
    Case("dicom", "attribute", "AcquisitionNumber inf", edited(text_number("AcquisitionNumber", "inf")), FINE),
    Case("dicom", "attribute", "InstanceNumber all the same", edited(values(InstanceNumber=1)), FINE),
    Case("dicom", "attribute", "InversionTime NaN", edited(text_number("InversionTime", "nan"), files=TI_3), TOLD, LEFT),
    Case("dicom", "attribute", "InversionTime 1e-300", edited(text_number("InversionTime", "1e-300"), files=TI_3), FAILED,
         "InversionTime|inversion time"),
    Case("dicom", "attribute", "InversionTime in seconds", edited(lambda h: setattr(h, "InversionTime", h.InversionTime / 1000)),
         FAILED, "(?i)inversion time"),
    Case("dicom", "attribute", "RepetitionTime missing", edited(values(RepetitionTime=None)), WARNED, "(?i)repetition ?time"),
    Case("dicom", "attribute", "RepetitionTime inf", edited(text_number("RepetitionTime", "inf")), WARNED, "(?i)repetition ?time"),
    Case("dicom", "attribute", "EchoTime missing", edited(values(EchoTime=None)), FINE),
    Case("dicom", "attribute", "no UIDs of series and study",
         edited(values(SeriesInstanceUID=None, StudyInstanceUID=None, FrameOfReferenceUID=None)), FAILED, "sub-02.*read"),
    Case("dicom", "attribute", "Manufacturer missing", edited(values(Manufacturer=None)), FINE),
    Case("dicom", "attribute", "Manufacturer of markup", edited(values(Manufacturer="<script>Siemens</script>")), FINE),
    Case("dicom", "attribute", "ImageType missing", edited(values(ImageType=None)), FINE),
    Case("dicom", "attribute", "PixelSpacing 0", edited(values(PixelSpacing=[0, 0])), TOLD, LEFT),
    Case("dicom", "attribute", "PixelSpacing NaN", edited(text_number("PixelSpacing", "nan")), TOLD, LEFT),
    Case("dicom", "attribute", "ImageOrientationPatient of zeros", edited(values(ImageOrientationPatient=[0] * 6)), TOLD,
         LEFT),
    Case("dicom", "attribute", "ImageOrientationPatient missing in one", _first_file(values(ImageOrientationPatient=None)),
         TOLD, LEFT),
    Case("dicom", "attribute", "all slices at one place", edited(values(ImagePositionPatient=[0, 0, 0])), TOLD, LEFT),
    Case("dicom", "attribute", "all slices at one place, and nothing else said of it",
         edited(values(ImagePositionPatient=[0, 0, 0], SliceLocation=None)), TOLD, LEFT),
    Case("dicom", "attribute", "all slices of one series at one place",
         edited(values(ImagePositionPatient=[0, 0, 0]), files=TI_3), TOLD, LEFT),
    Case("dicom", "attribute", "InversionTime missing in one series", edited(values(InversionTime=None), files=TI_3), TOLD, LEFT),
    Case("dicom", "attribute", "nested 60 deep", edited(_nested(60)), FINE),
    Case("dicom", "attribute", "nested 3000 deep in bytes", in_bytes(_nested_bytes, files=TI_3), TOLD, LEFT),
)  # fmt: skip


def _double(header: Dataset) -> None:
    header.BitsStored, header.HighBit = 16, 15
    header.PixelData = (2 * header.pixel_array).astype("<u2").tobytes()


def _halved(header: Dataset) -> None:
    """Store twice the values, and say that each stands for half."""
    _double(header)
    header.RescaleSlope, header.RescaleIntercept = "0.5", 0


def _doubled(header: Dataset) -> None:
    """Store twice the values, and say so in the scale of Philips."""
    _double(header)
    _private_slope(header, 2.0)


def _private_slope(header: Dataset, factor: float) -> None:
    """Change the scale that Philips keeps in (2005,100E), of one slice only."""
    block = header.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    before = block[0x0E].value if 0x0E in block else 1.0
    block.add_new(0x0E, "FL", float(before) * factor)


PIXELS = (
    Case("dicom", "pixels", "BitsAllocated 12 in one series", edited(values(BitsAllocated=12), files=TI_3), TOLD,
         "(?i)bits ?allocated"),
    Case("dicom", "pixels", "BitsAllocated 8", edited(values(BitsAllocated=8)), TOLD, LEFT),
    Case("dicom", "pixels", "BitsAllocated 32 in one series", edited(values(BitsAllocated=32), files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "BitsStored inf", edited(text_number("BitsStored", "inf")), TOLD, LEFT),
    Case("dicom", "pixels", "BitsStored 99", edited(values(BitsStored=99)), TOLD, LEFT),
    Case("dicom", "pixels", "Rows too large", edited(values(Rows=60000), files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "Rows 0", edited(values(Rows=0), files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "Rows missing", edited(values(Rows=None), files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "no PixelData", edited(values(PixelData=None), files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "PixelData cut", in_bytes(lambda found: found[:-300], files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "one file cut in the header", in_bytes(lambda found: found[:400], files="IM_0005"), TOLD, LEFT),
    Case("dicom", "pixels", "one slice missing", _gone(1), TOLD, "(?i)slice"),
    Case("dicom", "pixels", "two series missing", _gone(8), FAILED, "at least 3 inversion times"),
    Case("dicom", "pixels", "three samples a pixel", edited(values(SamplesPerPixel=3), files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "one series all zero",
         edited(lambda h: setattr(h, "PixelData", bytes(len(h.PixelData))), files=TI_3), FAILED, "only zeros"),
    Case("dicom", "pixels", "RescaleSlope 0 in one series", edited(values(RescaleSlope=0, RescaleIntercept=0), files=TI_3),
         TOLD, LEFT),
    Case("dicom", "pixels", "RescaleSlope NaN", edited(text_number("RescaleSlope", "nan"), files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "RescaleSlope 1/2 in one slice, whose values are doubled", _first_file(_halved), FINE),
    Case("philips", "pixels", "RescaleSlope NaN", edited(text_number("RescaleSlope", "nan"), files=TI_3), TOLD, LEFT),
    Case("philips", "pixels", "private scale slope 0", edited(lambda header: _private_slope(header, 0.0), files=TI_3), TOLD, LEFT),
    Case("dicom", "pixels", "JPEG 2000 that is none", edited(_lies_compressed, files=TI_3), TOLD, LEFT),
    Case("philips", "valid", "as it is", lambda _: None, FINE),
    Case("ge", "valid", "as it is", lambda _: None, FINE),
    Case("philips", "pixels", "private scale slope twice as large in one slice, as its values",
         _first_file(_doubled), FINE, "(?i)slope"),
)  # fmt: skip


SYNTAX = (
    Case("dicom", "valid", "as it is", lambda _: None, FINE),
    Case("dicom", "valid", "implicit VR", syntax(ImplicitVRLittleEndian), FINE),
    Case("dicom", "valid", "big-endian", syntax(ExplicitVRBigEndian, endian=True), FINE),
    Case("dicom", "valid", "run-length encoded", compressed, FINE),
    Case("dicom", "valid", "gzipped files", _gzipped, FINE),
    Case("dicom", "syntax", "deflated", syntax(DeflatedExplicitVRLittleEndian), FINE),
    Case("dicom", "syntax", "said to be deflated and is not", edited(lambda h: setattr(
        h.file_meta, "TransferSyntaxUID", DeflatedExplicitVRLittleEndian), files=TI_3), FINE),
    Case("dicom", "syntax", "unknown transfer syntax", edited(lambda h: setattr(
        h.file_meta, "TransferSyntaxUID", "1.2.3.4"), files=TI_3), TOLD, LEFT),
    Case("dicom", "valid", "every file twice", _twice, FINE),
    Case("dicom", "valid", "files without preamble", in_bytes(lambda found: found[132:]), FINE),
    Case("dicom", "valid", "other SOPInstanceUIDs", edited(lambda h: setattr(h, "SOPInstanceUID", generate_uid())), FINE),
    Case("dicom", "valid", "names with a line break and 250 characters", lambda place: [
        path.rename(path.with_name("a\n" + "x" * 200 + path.name)) for path in place.files], FINE),
)  # fmt: skip


def _text_and_nothing(place: Place) -> None:
    _text(place.bad / "a.txt")
    empty(place.bad / "b.dcm")


BESIDE = (
    Case("dicom", "beside", "a pipe", beside("pipe", pipe), FINE),
    Case("dicom", "beside", "a link to nothing", beside("link", link_to("none")), FINE),
    Case("dicom", "beside", "a link to itself", beside("link", to_itself), FINE),
    Case("dicom", "beside", "a link to the folder above", beside("link", link_to("..")), FINE),
    Case("dicom", "beside", "text and an empty file",
         _text_and_nothing, FINE),
    Case("dicom", "beside", "1 GB of zeros, gzipped", beside("a.gz", lambda path: path.write_bytes(zeros_gzipped(1 << 30))), FINE),
    Case("dicom", "beside", "1 GB of zeros, gzipped, called DICOM",
         beside("a.dcm.gz", lambda path: path.write_bytes(zeros_gzipped(1 << 30, bytes(128) + b"DICM"))), WARNED, "cannot be read"),
    Case("dicom", "beside", "gzip damaged", beside("a.dcm.gz", lambda path: path.write_bytes(
        gzip.compress(bytes(128) + b"DICM" + bytes(1000))[:-20])), WARNED, "cannot be unpacked"),
    Case("dicom", "beside", "junk after DICM", beside("a.dcm", lambda path: path.write_bytes(
        bytes(128) + b"DICM" + b"\xff" * 3000)), WARNED, "cannot be read"),
    Case("dicom", "beside", "a zlib bomb as a deflated file", beside("a.dcm", lambda path: path.write_bytes(
        _deflated_bomb())), WARNED, "cannot be read"),
    Case("dicom", "nothing", "only a zip file", replaced(_zip), FAILED, "sub-02"),
    Case("dicom", "nothing", "only a tar.gz file", replaced(_tar), FAILED, "sub-02"),
    Case("dicom", "nothing", "only empty files", replaced(empty, empty), FAILED, "sub-02"),
    Case("dicom", "nothing", "only text", replaced(_text), FAILED, "sub-02"),
    Case("dicom", "nothing", "only an empty folder", replaced(folder), FAILED, "sub-02"),
    Case("dicom", "nothing", "only a pipe", replaced(pipe), FAILED, "sub-02"),
    Case("dicom", "nothing", "only links to nothing", replaced(link_to("none")), FAILED, "sub-02"),
    Case("dicom", "nothing", "only DICM", replaced(lambda path: path.write_bytes(bytes(128) + b"DICM")), FAILED, "sub-02"),
    Case("dicom", "label", "folder without an ASCII letter", _folder_called("sub-山田"), FAILED, "label"),
    Case("dicom", "label", "two folders of one label",
         lambda place: shutil.copytree(place.bad, place.bids_dir / "sub-0_2"), FAILED, "sub-02|sub-0_2"),
    Case("dicom", "label", "files inside and outside of a session",
         lambda place: shutil.copytree(place.files[0].parent, place.bad / "ses-1"), FAILED, "ses-"),
)  # fmt: skip


def _deflated_bomb() -> bytes:
    """Return a file of the deflated transfer syntax whose data set unpacks to 1 GB of zeros."""
    header = Dataset()
    header.SOPClassUID, header.Modality = UID("1.2.840.10008.5.1.4.1.1.4"), "MR"
    header.ensure_file_meta()
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID, header.file_meta.MediaStorageSOPInstanceUID = (
        header.SOPClassUID,
        UID("1.2.3"),
    )
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    plain = stream.getvalue()
    pressed = zlib.compressobj(9, zlib.DEFLATED, -15)
    length = int.from_bytes(plain[140:144], "little")
    body = 144 + length
    content = zlib.decompress(plain[body:], -15) + b"\xe0\x7f\x10\0OW\0\0" + (1 << 30).to_bytes(4, "little")
    packed = pressed.compress(content)
    packed += b"".join(pressed.compress(bytes(1 << 24)) for _ in range(64)) + pressed.flush()
    return plain[:body] + packed


def _frames(edit: Callable[[Any], object]) -> Edit:
    """Change the functional groups of the frames."""
    return lambda header: edit(header.PerFrameFunctionalGroupsSequence)


def _scale(frames: Any) -> None:
    """Give the frames of one file different scales of their pixels."""
    for number, frame in enumerate(frames):
        scale = Dataset()
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = 1 + number, 0, "US"
        frame.PixelValueTransformationSequence = [scale]


def _half(header: Dataset) -> None:
    """Leave half of the frames out of the pixels."""
    header.PixelData = header.PixelData[: len(header.PixelData) // 2]


def _last_group(frames: Any) -> None:
    frames[-1] = Dataset()


def _no_group(frames: Any) -> None:
    for number in range(len(frames)):
        frames[number] = Dataset()


def _one_place(frames: Any) -> None:
    for frame in frames:
        frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 0]


def _no_inversion(frames: Any) -> None:
    for frame in frames:
        del frame.MRModifierSequence


def _legacy(header: Dataset) -> None:
    """Make it a legacy converted object, as converters of classic files do."""
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4.4")


ENHANCED = (
    Case("enhanced", "valid", "as it is", lambda _: None, FINE),
    Case("enhanced philips", "valid", "as it is", lambda _: None, FINE),
    Case("enhanced", "frames", "frames missing", edited(_frames(lambda found: found.pop()), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "NumberOfFrames lies", edited(values(NumberOfFrames=400), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "NumberOfFrames 0", edited(values(NumberOfFrames=0), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "NumberOfFrames missing", edited(values(NumberOfFrames=None), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "an empty frame group", edited(_frames(_last_group), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "every frame group of one file empty", edited(_frames(_no_group), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "all frames at one place", edited(_frames(_one_place)), TOLD, LEFT),
    Case("enhanced", "frames", "inversion missing in one file", edited(_frames(_no_inversion), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "no frame groups", edited(values(PerFrameFunctionalGroupsSequence=None), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "no shared groups", edited(values(SharedFunctionalGroupsSequence=None), files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "half of the pixels", edited(_half, files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "cut", in_bytes(lambda found: found[: len(found) * 3 // 4], files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "cut in the header", in_bytes(lambda found: found[:900], files=TI_3), TOLD, LEFT),
    Case("enhanced", "frames", "frames of different scale", edited(_frames(_scale)), TOLD, "(?i)slope|scal"),
    Case("enhanced philips", "frames", "frames missing", edited(_frames(lambda found: found.pop()), files=TI_3), TOLD, LEFT),
    Case("enhanced philips", "frames", "legacy converted", edited(_legacy), FINE),
    Case("enhanced", "frames", "legacy converted", edited(_legacy), FINE),
    Case("enhanced", "valid", "gzipped files", _gzipped, FINE),
)  # fmt: skip


def _in_folder(name: str) -> Callable[[Place], object]:
    """Put the files into a folder of that name, and nothing that can be measured beside them."""

    def change(place: Place) -> None:
        _gone(8)(place)
        (place.bad / "dicom").rename(place.bad / name)

    return change


def _person(name: str, words: str, **others: str) -> Callable[[Place], object]:
    """Give the patient a name, and words of it to the free text."""
    return edited(values(
        SpecificCharacterSet="ISO_IR 192", PatientName=name, SeriesDescription=words, ProtocolName=words, **others
    ))  # fmt: skip


PRIVACY = (
    Case("dicom", "privacy", "folder called after the patient, nothing usable", _in_folder("Nachtigall_Florence_18200512"), FAILED,
         "sub-02", never="nachtigall|florence|18200512"),
    Case("dicom", "privacy", "a name of two letters", _person("Li^Bo", "t1 Li Bo ir"), FINE, never=r"\bli bo\b"),
    Case("dicom", "privacy", "a name of Chinese characters", _person("Yamada^Tarou=山田^太郎", "山田太郎 t1"), FINE,
         never="山田|太郎|yamada|tarou"),
    Case("dicom", "privacy", "a name with its umlaut written out", _person("Müller^Jörg", "Mueller Joerg t1"), FINE,
         never="mueller|joerg|müller|jörg"),
    Case("dicom", "privacy", "a birth date with dots", _person("Weber^Eva", "t1 22.11.1939", PatientBirthDate="19391122"), FINE,
         never=r"22\.11\.1939"),
    Case("dicom", "privacy", "the description kept the name that the header lost", _person("ANON", "Schmidt Charite t1"), FINE,
         never="schmidt|charite"),
    Case("dicom", "privacy", "a name in what else is free text",
         edited(values(PatientName="Weber^Eva", SequenceName="weber_eva", ScanOptions="WEBER", BodyPartExamined="WEBER",
                       ManufacturerModelName="Weber", SoftwareVersions="weber 7", ReceiveCoilName="Weber")), FINE,
         options=("-vv",), never="weber"),
    Case("enhanced", "privacy", "a name with its umlaut written out", _person("Müller^Jörg", "Mueller Joerg t1"), FINE,
         never="mueller|joerg|müller|jörg"),
)  # fmt: skip

CASES = (*PRIVACY, *SYNTAX, *PATIENTS, *ATTRIBUTES, *PIXELS, *BESIDE, *ENHANCED)
