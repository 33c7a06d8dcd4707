"""Cases of files and folders: images that are left out, labels, links, the root of the dataset, sourcedata."""

from __future__ import annotations

import bz2
import gzip
import os
import re
import shutil
import zipfile
from typing import TYPE_CHECKING

from tests.corpus.case import BAD, Case, Place, Wanted, sidecar_of
from tests.corpus.mutations import (
    all_renamed,
    at_root,
    both_gone,
    deep,
    each,
    empty,
    folder,
    image_called,
    image_gone,
    link_to,
    pipe,
    renamed,
    root_thing,
    to_itself,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FINE, TOLD, FAILED, REFUSED = Wanted.FINE, Wanted.TOLD, Wanted.FAILED, Wanted.REFUSED

INV_3 = r"inv-3"


def _image_and(make: Callable[[Path], object]) -> Callable[[Place], object]:
    return lambda place: make(place.image)


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        archive.writestr(path.name, path.read_bytes())
    path.unlink()


def _bzipped(path: Path) -> None:
    path.with_suffix(".bz2").write_bytes(bz2.compress(gzip.decompress(path.read_bytes())))
    path.unlink()


def _copy(name: str) -> Callable[[Path], object]:
    """Copy an image beside itself, under a name with another ending."""
    return lambda path: shutil.copy2(path, path.with_name(path.name.replace(".nii.gz", name)))


def _copy_elsewhere(path: Path) -> None:
    (path.parent.parent / "perf").mkdir()
    shutil.copy2(path, path.parent.parent / "perf" / path.name)


def _spelt_twice(path: Path) -> None:
    for found in (path, sidecar_of(path)):
        shutil.copy2(found, found.with_name(found.name.replace("inv-3", "inv-03")))


def _both_endings(path: Path) -> None:
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))


LEFT_OUT = (
    Case("ir", "left out", "called .nii.gz.part", image_called(".nii.gz.part"), TOLD, INV_3),
    Case("ir", "left out", "called .NII.GZ", image_called(".NII.GZ"), TOLD, INV_3),
    Case("ir", "left out", "called .nii.GZ", image_called(".nii.GZ"), TOLD, INV_3),
    Case("ir", "left out", "called .nii.gz~", image_called(".nii.gz~"), TOLD, INV_3),
    Case("ir", "left out", "called .img", image_called(".img"), TOLD, INV_3),
    Case("ir", "left out", "called .mgz", image_called(".mgz"), TOLD, INV_3),
    Case("ir", "left out", "zipped", _image_and(_zipped), TOLD, INV_3),
    Case("ir", "left out", "bzip2", _image_and(_bzipped), TOLD, INV_3),
    Case("ir", "left out", "suffix irt1", renamed("_IRT1", "_irt1"), TOLD, INV_3),
    Case("ir", "left out", "suffix irt1 of the image only",
         _image_and(lambda path: path.rename(path.with_name(path.name.replace("IRT1", "irt1")))), TOLD, INV_3),
    Case("ir", "left out", "suffix T1w", renamed("_IRT1", "_T1w"), TOLD, INV_3),
    Case("ir", "left out", "entity INV-3", renamed("_inv-3", "_INV-3"), TOLD, "INV-3|inv-3"),
    Case("ir", "left out", "image gone, sidecar there", image_gone, TOLD, INV_3),
    Case("ir", "left out", "image and sidecar gone", both_gone, TOLD, INV_3),
    Case("ir", "left out", "sidecar gone", lambda place: place.sidecar.unlink(), TOLD, INV_3 + ".*InversionTime"),
    Case("ir", "left out", "only part-phase of it", renamed("_IRT1", "_part-phase_IRT1"), TOLD, INV_3),
    Case("ir", "left out", "only part-mag of it", renamed("_IRT1", "_part-mag_IRT1"), FINE),
    Case("ir", "left out", "only part-real of it", renamed("_IRT1", "_part-real_IRT1"), TOLD, INV_3),
    Case("ir", "left out", "its name lacks inv", renamed("_inv-3", ""), TOLD, "IRT1"),
    Case("ir", "left out", "run-2 of it only", renamed("_inv-3", "_run-2_inv-3"), TOLD, INV_3 + "|run-2"),
    Case("ir", "left out", "acq-x of it only", renamed("_inv-3", "_acq-x_inv-3"), TOLD, INV_3 + "|acq-x"),
    Case("ir", "left out", "inv-30 instead", renamed("_inv-3", "_inv-30"), TOLD, "inv-"),
    Case("ir", "left out", "inv-0 instead", renamed("_inv-3", "_inv-0"), TOLD, "inv-"),
    Case("ir", "left out", "inv-three instead", renamed("_inv-3", "_inv-three"), TOLD, "inv-three"),
    Case("ir", "left out", "inv-3 and inv-03", _image_and(_spelt_twice), TOLD, "inv-3|inv-03"),
    Case("ir", "left out", ".nii and .nii.gz of it", _image_and(_both_endings), TOLD, "inv-3"),
    Case("ir", "left out", "an unknown entity", renamed("_inv-3", "_foo-1_inv-3"), TOLD, "sub-02_foo-1_inv-3"),
    Case("ir", "left out", "a copy beside it, as file managers name it", _image_and(_copy(" (1).nii.gz")), TOLD, r"\(1\)"),
    *(
        Case("ir", "left out", f"a copy beside it, {ending}", _image_and(_copy(ending)), TOLD, re.escape(ending))
        for ending in (" - Copy.nii.gz", "__dup-01.nii.gz", "_ph.nii.gz", ".1.nii.gz", "(2).nii")
    ),
    Case("ir", "left out", "a copy before it, as file managers name it",
         _image_and(lambda path: shutil.copy2(path, path.with_name(f"Copy of {path.name}"))), TOLD, "Copy of"),
    Case("ir", "left out", "a hidden copy beside it", _image_and(lambda path: shutil.copy2(path, path.with_name(f"._{path.name}"))),
         FINE),
    Case("ir", "left out", "a copy in another folder of the participant",
         _image_and(_copy_elsewhere),
         TOLD, INV_3),
    Case("ir", "valid", "inv-01 to inv-04", all_renamed(lambda name: name.replace("_inv-", "_inv-0")), FINE),
    Case("ir", "valid", "inv-2 to inv-5", all_renamed(lambda name: name.replace("inv-4", "inv-5").replace("inv-3", "inv-4")
         .replace("inv-2", "inv-3").replace("inv-1", "inv-2")), TOLD, "inv-1"),
    Case("ir", "valid", "text files beside the images", _image_and(lambda path: (path.parent / "notes.txt").write_text("x")), FINE),
)  # fmt: skip


def _called(name: str) -> Callable[[Place], object]:
    """Rename the folder of the participant and all its files."""

    def change(place: Place) -> None:
        all_renamed(lambda found: found.replace(BAD, name))(place)
        place.bad.rename(place.bids_dir / name)

    return change


def _folder_called(name: str | bytes) -> Callable[[Place], object]:
    """Rename the folder only."""
    return lambda place: place.bad.rename(place.bids_dir / os.fsdecode(name))


def _another(name: str, files: bool = True) -> Callable[[Place], object]:
    """Copy the participant under another label, its files renamed or not."""

    def change(place: Place) -> None:
        other = place.bids_dir / name
        shutil.copytree(place.bad, other)
        for path in [path for path in other.rglob("*") if path.is_file() and files]:
            path.rename(path.with_name(path.name.replace(BAD, name)))

    return change


def _replaced_by(make: Callable[[Path], object]) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        shutil.rmtree(place.bad)
        make(place.bad)

    return change


def _anat_is(make: Callable[[Path], object]) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        shutil.rmtree(place.bad / "anat")
        make(place.bad / "anat")

    return change


def _own_and_session(place: Place) -> None:
    """Half of the images in a session, half outside."""
    (place.bad / "ses-1" / "anat").mkdir(parents=True)
    for path in place.images[2:]:
        for found in (path, sidecar_of(path)):
            found.rename(place.bad / "ses-1" / "anat" / found.name.replace("_inv", "_ses-1_inv"))


def _elsewhere(place: Place) -> None:
    """Keep the folder elsewhere, and link to it."""
    place.bad.rename(place.aside / BAD)
    place.bad.symlink_to(place.aside / BAD)


def _zip_inside(path: Path) -> None:
    path.mkdir()
    (path / "sub-02.zip").write_bytes(b"PK\3\4" + bytes(100))


LABELS = (
    Case("ir", "label", "a dash in the label", _called("sub-bad-x"), FAILED, "sub-bad-x.*label"),
    Case("ir", "label", "a bracket in the label", _called("sub-b(a"), FAILED, r"sub-b\(a.*label"),
    Case("ir", "label", "Arabic digits", _called("sub-\u0660\u0662"), FAILED, "label"),
    Case("ir", "label", "a line break in the label", _called("sub-a\nb"), FAILED, "label"),
    Case("ir", "label", "a letter with an accent", _called("sub-é"), FAILED, "label"),
    Case("ir", "label", "no label", _called("sub-"), FAILED, "label"),
    Case("ir", "label", "not UTF-8", _folder_called(b"sub-\xff\xfe"), FAILED, "label"),
    Case("ir", "label", "images of another label in its folder", _folder_called("sub-03"), FAILED, "sub-02"),
    Case("ir", "label", "a copy that was not renamed", _another("sub-03", files=False), FINE, "sub-03", code=1),
    Case("ir", "label", "a link to the other participant", _replaced_by(link_to("sub-01")), FAILED, "sub-01"),
    Case("ir", "label", "labels that differ in case", each(_another("sub-AB"), _another("sub-ab")), FINE, "sub-ab.*sub-AB|sub-AB.*sub-ab"),
    Case("ir", "label", "a link to its folder elsewhere",
         _elsewhere, FINE),
    Case("ir", "label", "half of the images in a session", _own_and_session, FAILED, "sub-02"),
    Case("ir", "nothing", "anat is a file", _anat_is(empty), FAILED, "sub-02"),
    Case("ir", "nothing", "anat is empty", _anat_is(folder), FAILED, "sub-02"),
    Case("ir", "nothing", "anat is a link to nothing", _anat_is(link_to("none")), FAILED, "sub-02"),
    Case("ir", "nothing", "the folder is empty", _replaced_by(folder), FAILED, "sub-02"),
    Case("ir", "nothing", "the folder is a file", _replaced_by(empty), FAILED, "sub-02"),
    Case("ir", "nothing", "the folder is a link to nothing", _replaced_by(link_to("none")), FAILED, "sub-02"),
    Case("ir", "nothing", "the folder is a link to itself", _replaced_by(to_itself), FAILED, "sub-02"),
    Case("ir", "nothing", "the folder is a pipe", _replaced_by(pipe), FAILED, "sub-02"),
    Case("ir", "nothing", "a zip file in its place",
         _replaced_by(_zip_inside), FAILED, "sub-02"),
)  # fmt: skip


ROOT = tuple(
    Case("ir", "root", f"{name} is {words}", root_thing(name, make), FINE, names)
    for name, words, make, names in (
        ("participants.json", "a link to nothing", link_to(".git/annex/objects/none"), ""),
        ("participants.json", "a link to itself", to_itself, ""),
        ("participants.json", "a pipe", pipe, ""),
        ("participants.json", "a folder", folder, ""),
        ("participants.json", "arrays 100000 deep", lambda path: path.write_bytes(deep()), ""),
        ("participants.json", "cut", lambda path: path.write_bytes(b'{"a":'), ""),
        ("participants.tsv", "a link to nothing", link_to("none"), ""),
        ("participants.tsv", "not UTF-8", lambda path: path.write_bytes(b"\xff\xfe\t\n"), ""),
        ("dwi.bval", "a link to nothing", link_to(".git/annex/objects/none"), ""),
        ("dataset_description.json", "a link to nothing", link_to("none"), "dataset_description"),
        ("dataset_description.json", "a link to itself", to_itself, "dataset_description"),
        ("dataset_description.json", "a pipe", pipe, "dataset_description"),
        ("dataset_description.json", "a folder", folder, "dataset_description"),
        ("dataset_description.json", "arrays 100000 deep", lambda path: path.write_bytes(deep()), "dataset_description"),
        ("dataset_description.json", "a list", lambda path: path.write_bytes(b"[]"), "dataset_description"),
        ("dataset_description.json", "empty", empty, "dataset_description"),
        ("dataset_description.json", "not UTF-8", lambda path: path.write_bytes(b'{"Name": "\xff"}'), "dataset_description"),
        ("dataset_description.json", "with a mark of byte order",
         lambda path: path.write_bytes(b'\xef\xbb\xbf{"Name": "a", "BIDSVersion": "1.10.0"}'), ""),
        ("dataset_description.json", "missing", lambda _: None, "dataset_description"),
        (".bidsignore", "a folder", folder, ""),
        ("code", "a link to the root", link_to("."), ""),
    )
)  # fmt: skip

INHERITED = (
    Case("ir", "root", "inherited EchoTime", at_root("IRT1.json", b'{"EchoTime": 0.02}'), FINE),
    Case("ir", "root", "inherited by suffix, cut", at_root("IRT1.json", b"{"), FAILED, r"IRT1\.json", code=16),
    Case("ir", "root", "inherited by suffix, 100000 deep", at_root("IRT1.json", deep()), FAILED, r"IRT1\.json", code=16),
    Case("ir", "root", "inherited by suffix, a link to nothing", root_thing("IRT1.json", link_to("none")), FAILED,
         r"IRT1\.json", code=16),
)  # fmt: skip


def _conflict(place: Place) -> None:
    """DICOM files inside and outside of a session, of a participant whose images are there already."""
    for name in ("a.dcm", "ses-1/b.dcm"):
        _dicom(place.bids_dir / "sourcedata" / BAD / name)


def _dicom(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM" + bytes(40))


def _sources(*names: str) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        for name in names:
            _dicom(place.bids_dir / "sourcedata" / name / "a.dcm")

    return change


def _source_thing(name: str, make: Callable[[Path], object]) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        path = place.bids_dir / "sourcedata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)

    return change


def _many(n: int) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        (place.bad / "func").mkdir()
        for number in range(n):
            (place.bad / "func" / f"{BAD}_task-x_run-{number}_events.tsv").touch()

    return change


SOURCEDATA = (
    Case("ir", "sourcedata", "DICOM inside and outside of a session", _conflict, FINE),
    Case("ir", "sourcedata", "two folders of one label", _sources("sub-02", "sub-0_2"), FINE),
    Case("ir", "sourcedata", "a folder without a letter", _sources("sub-___"), FINE, "no letter", code=1),
    Case("ir", "sourcedata", "a pipe", _source_thing(f"{BAD}/pipe", pipe), FINE),
    Case("ir", "sourcedata", "a link to nothing", _source_thing(f"{BAD}/link", link_to("none")), FINE),
    Case("ir", "sourcedata", "a link to itself", _source_thing(f"{BAD}", to_itself), FINE),
    Case("ir", "sourcedata", "junk", _source_thing(f"{BAD}/a.dcm", lambda path: path.write_bytes(b"\x1f\x8bjunk")), FINE),
    Case("ir", "slow index", "1000 tables of events", _many(1000), FINE),
    Case("ir", "slow index", "5000 tables of events", _many(5000), FINE),
)  # fmt: skip

CASES = (*LEFT_OUT, *LABELS, *ROOT, *INHERITED, *SOURCEDATA)
