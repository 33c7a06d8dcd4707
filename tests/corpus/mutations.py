"""What can be done to NIfTI images and sidecars. Each function returns what changes the data of a case."""

from __future__ import annotations

import gzip
import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from tests.corpus.case import Place, sidecar_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Change = Callable[[Place], object]
    Voxels = Callable[[NDArray[np.float32]], NDArray[Any]]

MISSING = object()
"""A field that is taken away."""

HEADER = 352
"""Bytes in front of the voxels."""


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    fields = json.loads(path.read_text(encoding="utf-8"))
    change(fields)
    path.write_text(json.dumps(fields), encoding="utf-8")


def _set(**changes: object) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        fields.update(changes)
        for key in [key for key, value in fields.items() if value is MISSING]:
            del fields[key]

    return change


def fields(**changes: object) -> Change:
    """Set fields of one sidecar."""
    return lambda place: rewrite(place.sidecar, _set(**changes))


def all_fields(**changes: object) -> Change:
    """Set fields of every sidecar."""

    def change(place: Place) -> None:
        for image in place.images:
            rewrite(sidecar_of(image), _set(**changes))

    return change


def scaled_fields(key: str, factor: float) -> Change:
    """Multiply a number in every sidecar."""

    def change(place: Place) -> None:
        for image in place.images:
            rewrite(sidecar_of(image), lambda found: found.update({key: found[key] * factor}))

    return change


def raw_value(key: str, text: str) -> Change:
    """Write a value that is no JSON, or that JSON writers of Python refuse, in place of the one there is."""

    def change(place: Place) -> None:
        rewrite(place.sidecar, _set(**{key: "HERE"}))
        sidecar_text(lambda found: found.replace('"HERE"', text))(place)

    return change


def sidecar_text(change: Callable[[str], str]) -> Change:
    """Change the text of one sidecar."""
    return lambda place: place.sidecar.write_text(change(place.sidecar.read_text(encoding="utf-8")), encoding="utf-8")


def sidecar_bytes(change: Callable[[bytes], bytes]) -> Change:
    return lambda place: place.sidecar.write_bytes(change(place.sidecar.read_bytes()))


def at_root(name: str, content: bytes) -> Change:
    """Write a file at the root of the dataset."""
    return lambda place: (place.bids_dir / name).write_bytes(content)


def each(*changes: Change) -> Change:
    """Do several things."""
    return lambda place: [change(place) for change in changes]


# The compressed stream.


def stream(change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of one compressed file."""
    return lambda place: place.image.write_bytes(change(place.image.read_bytes()))


def flipped(share: float, n_bytes: int = 1) -> Callable[[bytes], bytes]:
    """Flip bits at a share of the length."""

    def change(content: bytes) -> bytes:
        start = int(share * len(content))
        return (
            content[:start]
            + bytes(byte ^ 0x55 for byte in content[start : start + n_bytes])
            + content[start + n_bytes :]
        )

    return change


def flipped_stored(content: bytes) -> bytes:
    """Store the content without compression and damage voxels: the stream can be read to its end."""
    stored = bytearray(gzip.compress(gzip.decompress(content), compresslevel=0))
    for index in range(2000, len(stored) - 100, 40):
        stored[index] ^= 0x40
    return bytes(stored)


def members(content: bytes) -> bytes:
    """Write the same content as three members of a gzip file."""
    plain = gzip.decompress(content)
    return b"".join(gzip.compress(part) for part in (plain[:1000], plain[1000:5000], plain[5000:]))


def trailer(crc: int = 0, length: int = 0) -> Callable[[bytes], bytes]:
    """Change checksum and length at the end."""

    def change(content: bytes) -> bytes:
        found = struct.unpack("<II", content[-8:])
        return content[:-8] + struct.pack("<II", found[0] ^ crc, found[1] ^ length)

    return change


def zeros_gzipped(n_bytes: int, start: bytes = b"") -> bytes:
    """Return some bytes and zeros, compressed; of the zeros, one block is compressed and repeated."""
    block = 1 << 24
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = compress.compress(start) + compress.flush(zlib.Z_FULL_FLUSH)
    one = compress.compress(bytes(block)) + compress.flush(zlib.Z_FULL_FLUSH)
    again = compress.compress(bytes(block)) + compress.flush(zlib.Z_FULL_FLUSH)
    body = one + again * max(0, n_bytes // block - 1)
    crc = zlib.crc32(start)
    for _ in range(max(1, n_bytes // block)):
        crc = zlib.crc32(bytes(block), crc)
    length = (len(start) + block * max(1, n_bytes // block)) & 0xFFFFFFFF
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + head + body + compress.flush() + struct.pack("<II", crc, length)


def bomb(*shape: int) -> Change:
    """Give one image an honest header of many voxels, all zero."""

    def change(place: Place) -> None:
        header = nib.Nifti1Header()
        header.set_data_dtype(np.int16)
        header.set_data_shape(shape)
        header["vox_offset"], header["magic"], header["sform_code"] = HEADER, b"n+1", 1
        header["srow_x"], header["srow_y"], header["srow_z"] = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)
        start = header.binaryblock + bytes(HEADER - 348)
        place.image.write_bytes(zeros_gzipped(2 * int(np.prod(shape)), start))

    return change


# The header.


def header(**changes: object) -> Change:
    """Set fields of one header, as bytes, whatever they are; the voxels stay."""
    return lambda place: _rewrite_header(place.image, changes)


def all_headers(**changes: object) -> Change:
    """Set fields of every header."""

    def change(place: Place) -> None:
        for image in place.images:
            _rewrite_header(image, changes)

    return change


def _rewrite_header(path: Path, changes: dict[str, Any]) -> None:
    content = gzip.decompress(path.read_bytes())
    found = nib.Nifti1Header(content[:348], check=False)
    for key, value in changes.items():
        found[key] = value
    path.write_bytes(gzip.compress(found.binaryblock + content[348:], mtime=0))


def resaved(change: Callable[[nib.Nifti1Image], Any], *, every: bool = False) -> Change:
    """Write one image, or every one, in another way."""

    def resave(place: Place) -> None:
        for path in place.images if every else [place.image]:
            nib.save(change(nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))), path)

    return resave


def affine(change: Callable[[NDArray[np.float64]], NDArray[np.float64]], *, every: bool = True) -> Change:
    return resaved(lambda image: nib.Nifti1Image(_voxels(image), change(image.affine)), every=every)


def as_type(kind: str, *, every: bool = False) -> Change:
    """Store voxels in another type, rounded where it is one of whole numbers."""

    def change(image: nib.Nifti1Image) -> nib.Nifti1Image:
        data = _voxels(image)
        data = np.rint(data) if np.dtype(kind).kind in "iu" else data
        return nib.Nifti1Image(data.astype(kind), image.affine, dtype=kind)

    return resaved(change, every=every)


def big_endian(place: Place) -> None:
    for path in place.images:
        image = nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
        other = image.header.as_byteswapped(">" if image.header.endianness == "<" else "<")
        nib.save(nib.Nifti1Image(_voxels(image), image.affine, other), path)


def plain(place: Place) -> None:
    """Store every image without compression, named as such."""
    for path in place.images:
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


# The voxels.


def voxels(change: Voxels, *, every: bool = False) -> Change:
    """Change the voxels of one image, or of every one."""
    return resaved(lambda image: nib.Nifti1Image(change(_voxels(image)), image.affine), every=every)


def change_voxels(path: Path, change: Voxels) -> None:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
    nib.save(nib.Nifti1Image(change(_voxels(image)), image.affine), path)


def _voxels(image: nib.Nifti1Image) -> NDArray[np.float32]:
    return np.asarray(image.dataobj, np.float32)


def noise(data: NDArray[np.float32]) -> NDArray[np.float32]:
    rng = np.random.default_rng(len(data))
    return np.asarray(np.hypot(*rng.standard_normal((2, *data.shape))) * 20, np.float32)


def saturated(share: float) -> Voxels:
    """Cut off the brightest voxels of the head at the largest whole number of 16 bits."""

    def change(data: NDArray[np.float32]) -> NDArray[np.float32]:
        limit = np.quantile(data[data > data.max() / 10], 1 - share)
        return np.where(data > limit, 65535, data / limit * 65000).astype(np.uint16)

    return change


def zeros_outside(place: Place, value: float = 0) -> None:
    """Set the background of every image to zero, as skull stripping does, or to another value."""
    images = [nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes())) for path in place.images]
    brightest = np.max([_voxels(image) for image in images], axis=0)
    for path, image in zip(place.images, images, strict=True):
        data = np.where(brightest > brightest.max() / 5, _voxels(image), value)
        nib.save(nib.Nifti1Image(data.astype(np.float32), image.affine), path)


# Names, links and what is no file.


def renamed(old: str, new: str) -> Change:
    """Rename image and sidecar, replacing a part of the name."""

    def change(place: Place) -> None:
        for path in (place.image, place.sidecar):
            path.rename(path.with_name(path.name.replace(old, new)))

    return change


def image_called(new: str) -> Change:
    """Rename the image only, its ending replaced."""
    return lambda place: place.image.rename(place.image.with_name(place.image.name.replace(".nii.gz", new)))


def all_renamed(change: Callable[[str], str]) -> Change:
    """Rename every file of the participant."""

    def rename(place: Place) -> None:
        files = [path for path in sorted(place.bad.rglob("*")) if path.is_file()]
        for path in files:
            path.rename(path.with_name(f"{change(path.name)}.new"))
        for path in files:
            path.with_name(f"{change(path.name)}.new").rename(path.with_name(change(path.name)))

    return rename


def image_gone(place: Place) -> None:
    place.image.unlink()


def both_gone(place: Place) -> None:
    image = place.image
    sidecar_of(image).unlink()
    image.unlink()


def in_place_of_image(make: Callable[[Path], object]) -> Change:
    """Put something else where an image was."""

    def change(place: Place) -> None:
        path = place.image
        path.unlink()
        make(path)

    return change


def in_place_of_sidecar(make: Callable[[Path], object]) -> Change:
    def change(place: Place) -> None:
        path = place.sidecar
        path.unlink()
        make(path)

    return change


def root_thing(name: str, make: Callable[[Path], object]) -> Change:
    """Put something at the root of the dataset, in place of what there may be."""

    def change(place: Place) -> None:
        path = place.bids_dir / name
        path.unlink(missing_ok=True)
        make(path)

    return change


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def deep(n: int = 100_000) -> bytes:
    """Return JSON of arrays in arrays."""
    return b"[" * n + b"]" * n
