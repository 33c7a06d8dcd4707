"""Cases of NIfTI images of inversion recovery: the compressed stream, the header, the voxels."""

from __future__ import annotations

import bz2
import gzip
import zlib
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from tests.corpus.case import Case, Place, Wanted
from tests.corpus.mutations import (
    affine,
    all_headers,
    as_type,
    big_endian,
    bomb,
    change_voxels,
    empty,
    flipped,
    flipped_stored,
    folder,
    header,
    in_place_of_image,
    link_to,
    members,
    noise,
    pipe,
    plain,
    resaved,
    saturated,
    stream,
    to_itself,
    trailer,
    voxels,
    zeros_gzipped,
    zeros_outside,
)

if TYPE_CHECKING:
    from tests.corpus.mutations import Voxels

FINE, WARNED, FAILED, TOLD = Wanted.FINE, Wanted.WARNED, Wanted.FAILED, Wanted.TOLD

NAME = r"sub-02_inv-3_IRT1\.nii\.gz"

SHEAR = np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
TURN = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def _other_data(place: Place) -> None:
    """Give every image the voxels of the first one."""
    first = place.images[0].read_bytes()
    for image in place.images:
        image.write_bytes(first)


def _mirrored(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Store the first axis the other way round; every voxel stays where it is."""
    turn = np.diag([-1.0, 1, 1, 1])
    turn[0, 3] = image.shape[0] - 1
    return nib.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine @ turn)


def _first(place: Place, change: Voxels) -> None:
    change_voxels(place.images[0], change)


def _phases(place: Place, change: Voxels) -> None:
    for path in place.images:
        if "part-phase" in path.name:
            change_voxels(path, change)


STREAMS = (
    Case("ir", "stream", "one byte of the middle flipped", stream(flipped(0.5)), FAILED, NAME),
    *(
        Case("ir", "stream", f"8 bytes flipped at {share:.0%}", stream(flipped(share, 8)), FAILED, NAME)
        for share in (0.1, 0.3, 0.7, 0.9, 0.97)
    ),
    Case("ir", "stream", "stored voxels damaged", stream(flipped_stored), FAILED, NAME),
    Case("ir", "stream", "last 8 bytes cut", stream(lambda found: found[:-8]), FAILED, NAME),
    Case("ir", "stream", "last 4 bytes cut", stream(lambda found: found[:-4]), FAILED, NAME),
    Case("ir", "stream", "last byte cut", stream(lambda found: found[:-1]), FAILED, NAME),
    Case("ir", "stream", "half of it cut", stream(lambda found: found[: len(found) // 2]), FAILED, NAME),
    Case("ir", "stream", "wrong checksum", stream(trailer(crc=1)), FAILED, NAME),
    Case("ir", "stream", "wrong length", stream(trailer(length=1)), FAILED, NAME),
    Case("ir", "stream", "only a header", stream(lambda found: found[:10]), FAILED, NAME),
    Case("ir", "stream", "no byte", in_place_of_image(empty), FAILED, NAME),
    Case("ir", "stream", "junk", stream(lambda _: b"junk" * 500), FAILED, NAME),
    Case("ir", "stream", "junk behind it", stream(lambda found: found + b"junk"), FAILED, NAME),
    Case("ir", "stream", "zeros behind it", stream(lambda found: found + bytes(512)), FINE),
    Case("ir", "stream", "three members", stream(members), FINE),
    Case("ir", "stream", "three members, the last one damaged", stream(lambda found: trailer(crc=1)(members(found))),
         FAILED, NAME),
    Case("ir", "stream", "compressed twice", stream(gzip.compress), FAILED, NAME),
    Case("ir", "stream", "zlib, not gzip", stream(lambda found: zlib.compress(gzip.decompress(found))), FAILED, NAME),
    Case("ir", "stream", "bzip2, not gzip", stream(lambda found: bz2.compress(gzip.decompress(found))), FAILED, NAME),
    Case("ir", "stream", "not compressed", stream(gzip.decompress), FAILED, NAME),
    Case("ir", "stream", "named .nii", plain, FINE),
    Case("ir", "stream", "300 MB of zeros behind the voxels",
         stream(lambda found: zeros_gzipped(300_000_000, gzip.decompress(found))), FAILED, NAME),
    Case("ir", "stream", "no voxels behind the header", stream(lambda found: gzip.compress(gzip.decompress(found)[:352])),
         FAILED, NAME),
    Case("ir", "stream", "one voxel too few", stream(lambda found: gzip.compress(gzip.decompress(found)[:-4])), FAILED, NAME),
    Case("ir", "stream", "a folder", in_place_of_image(folder), TOLD, NAME),
    Case("ir", "stream", "a pipe", in_place_of_image(pipe), FAILED, NAME),
    Case("ir", "stream", "a link to nothing", in_place_of_image(link_to("../.git/annex/none")), FAILED, NAME),
    Case("ir", "stream", "a link to itself", in_place_of_image(to_itself), FAILED, NAME),
    Case("ir", "stream", "a link to /dev/zero", in_place_of_image(link_to("/dev/zero")), FAILED, NAME),
)  # fmt: skip

MEMORY = (
    Case("ir", "memory", "2048 x 2048 x 1024 zeros", bomb(2048, 2048, 1024), FAILED, NAME),
    Case("ir", "memory", "1024 x 1024 x 512 zeros", bomb(1024, 1024, 512), FAILED, NAME),
    Case("ir", "memory", "512 x 512 x 256 zeros", bomb(512, 512, 256), FAILED, NAME),
    Case("ir", "memory", "dims 32767^3", header(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]), FAILED, NAME),
    Case("ir", "memory", "dims 32767^3 in every image", all_headers(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]), FAILED,
         r"nii\.gz"),
    Case("ir", "memory", "7 dims of 32767", header(dim=[7] + [32767] * 7), FAILED, NAME),
    Case("ir", "memory", "7 dims of 32767 in every image", all_headers(dim=[7] + [32767] * 7), FAILED, r"nii\.gz"),
    Case("ir", "memory", "twice the slices", header(dim=[3, 23, 30, 8, 1, 1, 1, 1]), FAILED, NAME),
)  # fmt: skip

HEADERS = (
    Case("ir", "header", "int16 of float32 voxels", header(datatype=4, bitpix=16), FAILED, NAME),
    Case("ir", "header", "uint8 of float32 voxels", header(datatype=2, bitpix=8), FAILED, NAME),
    Case("ir", "header", "int32 of float32 voxels", header(datatype=8, bitpix=32), FAILED, NAME),
    Case("ir", "header", "float64 of float32 voxels", header(datatype=64, bitpix=64), FAILED, NAME),
    Case("ir", "header", "int16 in every image", all_headers(datatype=4, bitpix=16), FAILED, r"nii\.gz"),
    Case("ir", "header", "unknown data type", header(datatype=999), FAILED, NAME),
    Case("ir", "header", "complex64", as_type("complex64"), FAILED, NAME),
    Case("ir", "header", "bitpix that does not fit", header(bitpix=8), FINE),
    Case("ir", "header", "wrong magic", header(magic=b"abc"), FAILED, NAME),
    Case("ir", "header", "wrong size of header", header(sizeof_hdr=100), FINE),
    Case("ir", "header", "no dimension", header(dim=[0] * 8), FAILED, NAME),
    Case("ir", "header", "9 dimensions", header(dim=[9, 23, 30, 4, 1, 1, 1, 1]), FAILED, NAME),
    Case("ir", "header", "negative dimension", header(dim=[3, -23, 30, 4, 1, 1, 1, 1]), FAILED, NAME),
    Case("ir", "header", "2 dimensions", header(dim=[2, 23, 120, 1, 1, 1, 1, 1]), FAILED, NAME),
    Case("ir", "header", "other grid of as many voxels", header(dim=[3, 30, 23, 4, 1, 1, 1, 1]), FAILED, NAME),
    Case("ir", "header", "4 dimensions, one volume", header(dim=[4, 23, 30, 4, 1, 1, 1, 1]), FINE),
    Case("ir", "header", "5 dimensions, one volume", header(dim=[5, 23, 30, 4, 1, 1, 1, 1]), FINE),
    Case("ir", "header", "two volumes", resaved(lambda image: nib.concat_images([image, image])), FAILED, NAME),
    Case("ir", "header", "vox_offset inf", header(vox_offset=np.inf), FAILED, NAME),
    Case("ir", "header", "vox_offset NaN", header(vox_offset=np.nan), FAILED, NAME),
    Case("ir", "header", "vox_offset negative", header(vox_offset=-352), FAILED, NAME),
    Case("ir", "header", "vox_offset beyond the end", header(vox_offset=1e9), FAILED, NAME),
    Case("ir", "header", "vox_offset 16 bytes further", header(vox_offset=368), FAILED, NAME),
    Case("ir", "header", "scl_slope 0", header(scl_slope=0, scl_inter=0), FINE),
    Case("ir", "header", "scl_slope NaN", header(scl_slope=np.nan, scl_inter=np.nan), FINE),
    Case("ir", "header", "scl_slope inf", header(scl_slope=np.inf), FAILED, NAME),
    Case("ir", "header", "scl_slope -1", header(scl_slope=-1, scl_inter=0), FAILED, NAME),
    Case("ir", "header", "scl_inter -1e6", header(scl_slope=1, scl_inter=-1e6), FAILED, NAME),
    Case("ir", "header", "scl_slope 1024 in every image", all_headers(scl_slope=1024, scl_inter=0), FINE),
    Case("ir", "header", "affine of zeros", all_headers(srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4, sform_code=1), FAILED, r"nii\.gz"),
    Case("ir", "header", "affine of one zero row",
         affine(lambda found: np.vstack([found[0], found[0], found[2], found[3]])), FAILED, r"nii\.gz"),
    Case("ir", "header", "NaN in sform", all_headers(srow_x=[np.nan] * 4, sform_code=1), FAILED, r"nii\.gz"),
    Case("ir", "header", "NaN in sform of one image", header(srow_x=[np.nan] * 4, sform_code=1), FAILED, NAME),
    Case("ir", "header", "infinite sform", all_headers(srow_x=[np.inf, 0, 0, 0], sform_code=1), FAILED, r"nii\.gz"),
    Case("ir", "header", "1 mm further than the others", affine(lambda found: found + np.eye(4, k=3), every=False), FAILED,
         "inv-3"),
    Case("ir", "header", "first axis reversed in one image",
         affine(lambda found: found @ np.diag([-1.0, 1, 1, 1]), every=False), FAILED, "inv-3"),
    Case("ir", "header", "sform code 0", all_headers(sform_code=0), FINE),
    Case("ir", "header", "both codes 0", all_headers(sform_code=0, qform_code=0), WARNED, "nothing of orientation"),
    Case("ir", "header", "qfac 0", all_headers(pixdim=[0, 8, 8, 8, 0, 0, 0, 0]), FINE),
    Case("ir", "header", "pixdim 0", all_headers(pixdim=[1, 0, 0, 0, 0, 0, 0, 0], sform_code=0, qform_code=0), FAILED,
         r"nii\.gz.*pixdim"),
    Case("ir", "header", "pixdim 0 of slices, without sform", all_headers(pixdim=[1, 8, 8, 0, 0, 0, 0, 0], sform_code=0, qform_code=1),
         FAILED, r"nii\.gz.*pixdim"),
    Case("ir", "header", "pixdim 0 beside an sform", all_headers(pixdim=[1, 0, 0, 0, 0, 0, 0, 0], sform_code=1), FINE),
    Case("ir", "header", "scl_slope -inf in every image", all_headers(scl_slope=-np.inf), FAILED, r"nii\.gz.*scl_slope"),
    Case("ir", "header", "pixdim NaN", all_headers(pixdim=[1, np.nan, 8, 8, 0, 0, 0, 0], sform_code=0, qform_code=1), FAILED,
         r"nii\.gz"),
    Case("ir", "header", "units not said", all_headers(xyzt_units=0), FINE),
    Case("ir", "header", "strange cal_max and slice codes", all_headers(cal_max=np.inf, slice_code=99, slice_end=-7), FINE),
    Case("ir", "header", "description that is no text", all_headers(descrip=b"\xff\xfe<b>\x00"), FINE),
)  # fmt: skip

HELD = (
    Case("ir", "valid", "as it is", lambda _: None, FINE),
    Case("ir", "valid", "big-endian", big_endian, FINE),
    Case("ir", "valid", "NIfTI-2", resaved(nib.Nifti2Image.from_image, every=True), FINE),
    Case("ir", "valid", "float64", as_type("float64", every=True), FINE),
    Case("ir", "valid", "float64 in one image", as_type("float64"), FINE),
    Case("ir", "valid", "oblique", affine(lambda found: TURN @ found), FINE),
    Case("ir", "valid", "sheared", affine(lambda found: SHEAR @ found), FINE),
    Case("ir", "valid", "left-handed", resaved(_mirrored, every=True), FINE),
    Case("ir", "valid", "slices 1 mm thin", affine(lambda found: found @ np.diag([1, 1, 0.125, 1])), FINE),
    Case("ir", "valid", "voxels times 1024", voxels(lambda data: data * np.float32(1024), every=True), FINE),
    Case("ir", "valid", "voxels times 1e6", voxels(lambda data: data * np.float32(1e6), every=True), FINE),
    Case("ir", "valid", "voxels times 1e-6", voxels(lambda data: data * np.float32(1e-6), every=True), FINE),
    Case("ir", "valid", "voxels times 1e15", voxels(lambda data: data * np.float32(1e15), every=True), FINE),
)  # fmt: skip

VOXELS = (
    Case("ir", "voxels", "one image all zero", voxels(np.zeros_like), TOLD, NAME),
    Case("ir", "voxels", "first image all zero", lambda place: _first(place, np.zeros_like), TOLD,
         r"inv-1_IRT1\.nii\.gz"),
    Case("ir", "voxels", "every image all zero", voxels(np.zeros_like, every=True), FAILED, "zero|0"),
    Case("ir", "voxels", "one image constant", voxels(lambda data: np.full_like(data, 100)), TOLD, "inv-3"),
    Case("ir", "voxels", "every image constant", voxels(lambda data: np.full_like(data, 100), every=True), FAILED,
         "sub-02"),
    Case("ir", "voxels", "every image the same", _other_data, FAILED, "sub-02"),
    Case("ir", "voxels", "nothing but noise", voxels(noise, every=True), FAILED, "sub-02"),
    Case("ir", "voxels", "one image nothing but noise", voxels(noise), TOLD, "inv-3|leaves .* unexplained"),
    Case("ir", "voxels", "one image negative", voxels(np.negative), TOLD, "(?i)inv-3.*negative|negative.*inv-3"),
    Case("ir", "voxels", "every image negative", voxels(np.negative, every=True), TOLD, "negative"),
    Case("ir", "voxels", "half of the voxels saturated", voxels(saturated(0.5), every=True), TOLD, "(?i)saturat|largest value"),
    Case("ir", "voxels", "NaN in one image", voxels(lambda data: np.full_like(data, np.nan)), FAILED, "sub-02"),
    Case("ir", "voxels", "NaN in every image", voxels(lambda data: np.full_like(data, np.nan), every=True), FAILED, "sub-02"),
    Case("ir", "voxels", "infinity in one image", voxels(lambda data: np.full_like(data, np.inf)), FAILED, "sub-02"),
    Case("ir", "voxels", "NaN outside of the head", lambda place: zeros_outside(place, np.nan), FINE, lost=0.1),
    Case("ir", "voxels", "times 1e-20", voxels(lambda data: data * np.float32(1e-20), every=True), FINE),
    Case("ir", "voxels", "times 1e-36", voxels(lambda data: data * np.float32(1e-36), every=True), FINE),
    Case("ir", "voxels", "times 1e33", voxels(lambda data: data * np.float32(1e33), every=True), FINE),
    Case("ir", "voxels", "zero outside of the head", zeros_outside, FINE, lost=0.1),
    Case("ir of 3", "documented", "zero outside of the head", zeros_outside, WARNED, "two choices of sign"),
    Case("ir of 3, no noise", "documented", "as it is", lambda _: None, FINE),
    Case("ir of 3, no noise", "documented", "zero outside of the head", zeros_outside, WARNED, "two choices of sign"),
    Case("ir of 3", "documented", "only a few voxels of the head",
         voxels(lambda data: np.where(np.arange(data.size).reshape(data.shape) % 97 == 0, data, 0), every=True), WARNED, "two choices of sign"),
    Case("ir complex", "voxels", "phase all zero",
         lambda place: _phases(place, np.zeros_like), TOLD, "phase"),
    Case("ir complex", "voxels", "phase in degrees", lambda place: _phases(place, lambda data: data * np.float32(57.3)),
         TOLD, "phase"),
    Case("ir complex", "voxels", "phase all NaN", lambda place: _phases(place, lambda data: data * np.float32(np.nan)),
         TOLD, "phase"),
    Case("ir complex", "valid", "as it is", lambda _: None, FINE),
)  # fmt: skip

CASES = (*HELD, *STREAMS, *MEMORY, *HEADERS, *VOXELS)
