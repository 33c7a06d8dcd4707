"""Cases of MP2RAGE, UNIT1, transmit fields and multi-echo gradient echoes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.corpus.case import BAD, Case, Place, Wanted, sidecar_of
from tests.corpus.mutations import (
    MISSING,
    all_fields,
    bomb,
    change_voxels,
    deep,
    fields,
    flipped,
    flipped_stored,
    header,
    image_gone,
    noise,
    raw_value,
    renamed,
    rewrite,
    scaled_fields,
    sidecar_text,
    stream,
    trailer,
    voxels,
    zeros_outside,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.corpus.mutations import Voxels

FINE, WARNED, FAILED, TOLD = Wanted.FINE, Wanted.WARNED, Wanted.FAILED, Wanted.TOLD

NAME = r"sub-02_.*MP2RAGE"
"""The image that most cases change is the magnitude of the second readout."""


def _parts(word: str, change: Voxels) -> Callable[[Place], object]:
    """Change the voxels of the images with a word in their names."""

    def apply(place: Place) -> None:
        for path in place.images:
            if word in path.name:
                change_voxels(path, change)

    return apply


def _same_readouts(place: Place) -> None:
    """Give the second readout the voxels of the first one."""
    for path in place.images:
        if "inv-1" in path.name:
            shutil.copy2(path, path.with_name(path.name.replace("inv-1", "inv-2")))


def _swapped_readouts(place: Place) -> None:
    for path in [path for path in place.images if "inv-1" in path.name]:
        other = path.with_name(path.name.replace("inv-1", "inv-2"))
        kept = path.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(kept)


def _b1(change: Callable[[Path], object]) -> Callable[[Place], object]:
    """Change the map of the transmit field."""
    return lambda place: change(place.bad / "fmap" / f"{BAD}_TB1map.nii.gz")


def _b1_voxels(change: Voxels) -> Callable[[Place], object]:
    return _b1(lambda path: change_voxels(path, change))


def _b1_fields(**changes: object) -> Callable[[Place], object]:
    return _b1(lambda path: rewrite(sidecar_of(path), lambda found: found.update(changes)))


MP2RAGE = (
    Case("mp2rage", "valid", "as it is", lambda _: None, FINE),
    Case("mp2rage", "value", "InversionTime missing", fields(InversionTime=MISSING), FAILED, NAME + ".*InversionTime"),
    Case("mp2rage", "value", "InversionTime in ms", scaled_fields("InversionTime", 1e3), FAILED, "InversionTime"),
    Case("mp2rage", "value", "InversionTime 1e-300", fields(InversionTime=1e-300), FAILED, NAME + ".*InversionTime"),
    Case("mp2rage", "value", "all InversionTime the same", all_fields(InversionTime=0.7), FAILED, "InversionTime"),
    Case("mp2rage", "value", "FlipAngle missing", all_fields(FlipAngle=MISSING), FAILED, "FlipAngle"),
    Case("mp2rage", "value", "FlipAngle 0", all_fields(FlipAngle=0), FAILED, "FlipAngle"),
    Case("mp2rage", "value", "FlipAngle negative", all_fields(FlipAngle=-4), FAILED, "FlipAngle"),
    Case("mp2rage", "value", "FlipAngle in radians", scaled_fields("FlipAngle", np.pi / 180), FAILED, "FlipAngle"),
    Case("mp2rage", "value", "FlipAngle 400", all_fields(FlipAngle=400), FAILED, "FlipAngle"),
    Case("mp2rage", "value", "FlipAngle 1e-9", all_fields(FlipAngle=1e-9), FAILED, "FlipAngle"),
    Case("mp2rage", "value", "RepetitionTimeExcitation 1e-12", all_fields(RepetitionTimeExcitation=1e-12), FAILED,
         "RepetitionTimeExcitation"),
    Case("mp2rage", "value", "RepetitionTimeExcitation in ms", all_fields(RepetitionTimeExcitation=6.9), FAILED,
         "RepetitionTimeExcitation"),
    Case("mp2rage", "value", "RepetitionTimePreparation missing", all_fields(RepetitionTimePreparation=MISSING), FAILED,
         "RepetitionTimePreparation"),
    Case("mp2rage", "value", "RepetitionTimePreparation 0.5", all_fields(RepetitionTimePreparation=0.5), FAILED,
         "RepetitionTimePreparation"),
    Case("mp2rage", "value", "RepetitionTimePreparation 1e-9", all_fields(RepetitionTimePreparation=1e-9), FAILED,
         "RepetitionTimePreparation"),
    Case("mp2rage", "value", "NumberShots missing", all_fields(NumberShots=MISSING), FAILED, "NumberShots"),
    Case("mp2rage", "value", "NumberShots negative", all_fields(NumberShots=[-88, 88]), FAILED, "NumberShots"),
    Case("mp2rage", "value", "NumberShots of texts", all_fields(NumberShots=["88", "88"]), FAILED, "NumberShots"),
    Case("mp2rage", "value", "NumberShots 1e9", all_fields(NumberShots=1e9), FAILED, "sub-02_.*MP2RAGE"),
    Case("mp2rage", "value", "NumberShots inf", raw_value("NumberShots", "[1e999, 3]"), FAILED, "NumberShots"),
    Case("mp2rage", "value", "NumberShots of three", all_fields(NumberShots=[1, 2, 3]), FAILED, "NumberShots"),
    Case("mp2rage", "value", "NumberShots nested", all_fields(NumberShots=[[88, 88]]), FAILED, "NumberShots"),
    Case("mp2rage", "value", "Units of the phase missing", all_fields(Units=MISSING), TOLD, "phase"),
    Case("mp2rage", "value", "Units of the phase a list", all_fields(Units=["rad"]), TOLD, "Units|phase"),
    Case("mp2rage", "value", "MagneticFieldStrength NaN", raw_value("MagneticFieldStrength", "NaN"), FINE),
    Case("mp2rage", "json", "FlipAngle twice", sidecar_text(lambda text: text.replace("{", '{"FlipAngle": 90,', 1)), FAILED,
         NAME + ".*FlipAngle"),
    Case("mp2rage", "json", "arrays 100000 deep", lambda place: place.sidecar.write_bytes(deep()), FAILED, NAME),
    Case("mp2rage", "stream", "one byte flipped", stream(flipped(0.5)), FAILED, NAME),
    Case("mp2rage", "stream", "wrong checksum", stream(trailer(crc=1)), FAILED, NAME),
    Case("mp2rage", "stream", "stored voxels damaged", stream(flipped_stored), FAILED, NAME),
    Case("mp2rage", "header", "int16 of float32 voxels", header(datatype=4, bitpix=16), FAILED, NAME),
    Case("mp2rage", "memory", "1024 x 1024 x 512 zeros", bomb(1024, 1024, 512), FAILED, NAME),
    Case("mp2rage", "left out", "image gone, sidecar there", image_gone, TOLD, "sub-02.*inv-2"),
    Case("mp2rage", "left out", "suffix mp2rage", renamed("_MP2RAGE", "_mp2rage"), TOLD, "inv-2"),
    Case("mp2rage", "voxels", "phase all zero", _parts("part-phase", np.zeros_like), TOLD, "phase"),
    Case("mp2rage", "voxels", "phase of one readout all zero", _parts("inv-2_part-phase", np.zeros_like), TOLD, "phase|no likelier than under noise"),
    Case("mp2rage", "voxels", "phase all NaN", _parts("part-phase", lambda data: data * np.nan), TOLD, "phase"),
    Case("mp2rage", "voxels", "phase in degrees", _parts("part-phase", lambda data: data * np.float32(57.2958)), TOLD, "phase"),
    Case("mp2rage", "voxels", "one magnitude all zero", _parts("inv-2_part-mag", np.zeros_like), TOLD, "inv-2_part-mag"),
    Case("mp2rage", "voxels", "magnitudes negative", _parts("part-mag", np.negative), TOLD, "negative"),
    Case("mp2rage", "voxels", "magnitudes constant", _parts("part-mag", lambda data: np.full_like(data, 100)), TOLD, "part-mag"),
    Case("mp2rage", "voxels", "everything zero", voxels(np.zeros_like, every=True), FAILED, "sub-02"),
    Case("mp2rage", "voxels", "everything NaN", voxels(lambda data: data * np.nan, every=True), FAILED, "sub-02"),
    Case("mp2rage", "voxels", "the two readouts the same", _same_readouts, FAILED, "inv-1.*inv-2|inv-2.*inv-1"),
    Case("mp2rage", "voxels", "the two readouts swapped", _swapped_readouts, TOLD, "inv-1|readout"),
    Case("mp2rage mag", "voxels", "zero outside of the head", zeros_outside, WARNED, "two separate values of T1"),
    Case("mp2rage", "valid", "voxels times 1024", _parts("part-mag", lambda data: data * np.float32(1024)), FINE),
    Case("mp2rage", "voxels", "times 1e-20", _parts("part-mag", lambda data: data * np.float32(1e-20)), FINE),
)  # fmt: skip

FIELDS = (
    Case("mp2rage", "field", "IntendedFor a number", _b1_fields(IntendedFor=7), TOLD, "IntendedFor"),
    Case("mp2rage", "field", "IntendedFor nested", _b1_fields(IntendedFor=[["a"], {}]), TOLD, "IntendedFor"),
    Case("mp2rage", "field", "IntendedFor of nothing there", _b1_fields(IntendedFor="bids::sub-02/anat/none.nii.gz"), TOLD, "TB1map"),
    Case("mp2rage", "field", "Units odd", _b1_fields(Units=["%"]), TOLD, "TB1map"),
    Case("mp2rage", "field", "all zero", _b1_voxels(np.zeros_like), TOLD, "TB1map"),
    Case("mp2rage", "field", "all NaN", _b1_voxels(lambda data: data * np.nan), TOLD, "TB1map"),
    Case("mp2rage", "field", "negative", _b1_voxels(np.negative), TOLD, "TB1map"),
    Case("mp2rage", "field", "in percent, not said", _b1_voxels(lambda data: data * 100), TOLD, "TB1map"),
    Case("mp2rage", "field", "constant 1e9", _b1_voxels(lambda data: np.full_like(data, 1e9)), TOLD, "TB1map"),
    Case("mp2rage", "field", "damaged", _b1(lambda path: path.write_bytes(trailer(crc=1)(path.read_bytes()))), TOLD, "TB1map"),
    Case("mp2rage", "field", "empty", _b1(lambda path: path.write_bytes(b"")), TOLD, "TB1map"),
    Case("mp2rage", "field", "gone, sidecar there", _b1(Path.unlink), TOLD, "TB1map"),
    Case("mp2rage", "field", "sidecar 100000 deep", _b1(lambda path: sidecar_of(path).write_bytes(deep())), TOLD, "TB1map"),
)  # fmt: skip

UNI = (
    Case("unit1 and mag", "valid", "as it is", lambda _: None, FINE),
    Case("unit1 and mag", "value", "UNIT1Scaling a list", lambda place: _uni(place, UNIT1Scaling=[1, 2]), TOLD, "UNIT1Scaling"),
    Case("unit1 and mag", "value", "UNIT1Scaling a table", lambda place: _uni(place, UNIT1Scaling={}), TOLD, "UNIT1Scaling"),
    Case("unit1 and mag", "value", "UNIT1Scaling NaN", lambda place: _uni(place, UNIT1Scaling=float("nan")), TOLD, "UNIT1Scaling"),
    Case("unit1 and mag", "voxels", "UNIT1 all zero", _parts("UNIT1", np.zeros_like), TOLD, "UNIT1"),
    Case("unit1 and mag", "voxels", "UNIT1 constant", _parts("UNIT1", lambda data: np.full_like(data, 2048)), TOLD, "UNIT1"),
    Case("unit1 and mag", "voxels", "UNIT1 of half the range", _parts("UNIT1", lambda data: data / 2), TOLD, "UNIT1"),
    Case("unit1 and mag", "voxels", "UNIT1 as float64", _parts("UNIT1", lambda data: data.astype(np.float64)), FINE),
    Case("unit1 and mag", "voxels", "UNIT1 of another unit", _parts("UNIT1", lambda data: data * 1000), TOLD, "UNIT1"),
    Case("unit1 and mag", "stream", "UNIT1 damaged", lambda place: _uni_bytes(place, trailer(crc=1)), TOLD, "UNIT1"),
)  # fmt: skip


def _uni(place: Place, **changes: object) -> None:
    rewrite(place.bad / "anat" / f"{BAD}_UNIT1.json", lambda found: found.update(changes))


def _uni_bytes(place: Place, change: Callable[[bytes], bytes]) -> None:
    path = place.bad / "anat" / f"{BAD}_UNIT1.nii.gz"
    path.write_bytes(change(path.read_bytes()))


ECHO = r"sub-02_echo-3_MEGRE"


def _same_echoes(place: Place) -> None:
    first = place.images[0].read_bytes()
    for image in place.images:
        image.write_bytes(first)


ECHOES = (
    Case("megre", "valid", "as it is", lambda _: None, FINE),
    Case("megre of 2", "documented", "as it is", lambda _: None, FINE),
    Case("megre of 2", "documented", "zero outside of the head", zeros_outside, FINE),
    Case("megre of 2", "documented", "only a few voxels",
         voxels(lambda data: np.where(np.arange(data.size).reshape(data.shape) % 97 == 0, data, 0), every=True), WARNED, "have no estimate"),
    Case("megre of 2", "documented", "one echo missing", image_gone, FAILED, "echo"),
    Case("megre", "value", "EchoTime missing", fields(EchoTime=MISSING), FAILED, ECHO + ".*EchoTime"),
    Case("megre", "value", "EchoTime in ms", scaled_fields("EchoTime", 1e3), FAILED, "EchoTime"),
    Case("megre", "value", "EchoTime in kiloseconds", scaled_fields("EchoTime", 1e-3), FAILED, "EchoTime"),
    Case("megre", "value", "EchoTime 1e-300", fields(EchoTime=1e-300), FAILED, ECHO + ".*EchoTime"),
    Case("megre", "value", "EchoTime as another one", fields(EchoTime=0.004), FAILED, "EchoTime"),
    Case("megre", "value", "EchoTime a text", fields(EchoTime="0.02"), FAILED, ECHO + ".*EchoTime"),
    Case("megre", "json", "EchoTime twice", sidecar_text(lambda text: text.replace("{", '{"EchoTime": 0.5,', 1)), FAILED, ECHO),
    Case("megre", "voxels", "every echo the same", _same_echoes, FAILED, "sub-02"),
    Case("megre", "voxels", "nothing but noise", voxels(noise, every=True), FAILED, "sub-02"),
    Case("megre", "voxels", "every echo constant", voxels(lambda data: np.full_like(data, 100), every=True), FAILED, "sub-02"),
    Case("megre", "voxels", "one echo all zero", voxels(np.zeros_like), TOLD, ECHO),
    Case("megre", "voxels", "one echo negative", voxels(np.negative), TOLD, ECHO + ".*negative"),
    Case("megre", "voxels", "times 1e-20", voxels(lambda data: data * np.float32(1e-20), every=True), FINE),
    Case("megre", "valid", "voxels times 1024", voxels(lambda data: data * np.float32(1024), every=True), FINE),
    Case("megre", "stream", "wrong checksum", stream(trailer(crc=1)), FAILED, ECHO),
    Case("megre", "left out", "image gone, sidecar there", image_gone, TOLD, "echo-3"),
    Case("megre", "left out", "suffix megre", renamed("_MEGRE", "_megre"), TOLD, "echo-3"),
    Case("megre", "memory", "1024 x 1024 x 512 zeros", bomb(1024, 1024, 512), FAILED, ECHO),
)  # fmt: skip


CASES = (*MP2RAGE, *FIELDS, *UNI, *ECHOES)
