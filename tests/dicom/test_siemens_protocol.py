"""The numbers that Siemens writes between ASCCONV BEGIN and END: read where certain, left open where not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread

from bids_t1.dicom.header import Header
from bids_t1.dicom.reading.slices import read_file
from bids_t1.dicom.vendors.siemens_protocol import read_protocol
from tests.dicom.scanner_files import CSA_SERIES, MP2RAGE, asc_conv, protocol_lines, write_volume
from tests.real_data import real_data

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.dicom.vendors import Readouts


def readouts(folder: Path, lines: dict[str, object], **attributes: Any) -> Readouts | None:
    (file, _) = write_volume(folder, 700, MP2RAGE | {CSA_SERIES: asc_conv(lines)} | attributes, series=1)
    return read_file(file).slices[0].readouts


@pytest.mark.parametrize(
    ("code", "share", "shots"),
    [
        ("0x1", 4 / 8, (0, 88)),
        ("0x2", 5 / 8, (22, 88)),
        ("0x4", 6 / 8, (44, 88)),
        ("0x8", 7 / 8, (66, 88)),
        ("16", 1, (88, 88)),
    ],
)
def test_slice_partial_fourier_shortens_the_way_to_the_centre(
    tmp_path: Path, code: str, share: float, shots: tuple[float, float]
) -> None:
    lines = protocol_lines() | {"sKSpace.ucSlicePartialFourier": code, "sFastImaging.lTurboFactor": round(176 * share)}
    found = readouts(tmp_path, lines)
    assert found is not None
    assert (found.shots, found.caveats) == (shots, ())


def test_an_odd_number_of_partitions_has_halves(tmp_path: Path) -> None:
    lines = protocol_lines(sKSpace__lPartitions=225, sFastImaging__lTurboFactor=225)
    found = readouts(tmp_path, lines)
    assert found is not None
    assert found.shots == (112.5, 112.5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sFastImaging.lTurboFactor": 88}, "176 partitions, slice partial Fourier 1 and turbo factor 88"),
        ({"sKSpace.unReordering": "0x2"}, "linear order"),
        ({"sKSpace.Reordering3D": 2, "sKSpace.unReordering": 1}, "linear order"),
        ({"sKSpace.ucSlicePartialFourier": "0x20"}, None),
        ({"sKSpace.lPartitions": 0}, None),
    ],
)
def test_shots_that_are_not_certain_are_left_open(
    tmp_path: Path, change: dict[str, object], reason: str | None
) -> None:
    found = readouts(tmp_path, protocol_lines() | change)
    assert found is not None
    assert found.shots is None
    assert found.inversion_times == (0.7, 2.5)
    assert [reason in caveat for caveat in found.caveats if reason] == ([True] if reason else [])


@pytest.mark.parametrize(("spacing", "expected"), [(6900, 0.0069), (7900, 0.0079), (8000, None), (540000, None)])
def test_the_echo_spacing_is_only_believed_where_the_readouts_have_room_for_it(
    tmp_path: Path, spacing: int, expected: float | None
) -> None:
    found = readouts(tmp_path, protocol_lines() | {"sFastImaging.lEchoSpacing": spacing})
    assert found is not None
    assert found.excitation_time == pytest.approx(expected)


def test_values_left_over_from_another_protocol_do_not_count(tmp_path: Path) -> None:
    lines = protocol_lines((700, 2500, 9000), (4, 5, 12)) | {"lInvContrasts": 2}
    found = readouts(tmp_path, lines)
    assert found is not None
    assert (found.inversion_times, found.flip_angles) == ((0.7, 2.5), (4, 5))


@pytest.mark.parametrize(
    ("change", "n_readouts"),
    [
        ({"lInvContrasts": None, "lContrasts": 2}, 2),
        ({"lInvContrasts": 1, "lContrasts": 2}, 2),
        ({"lInvContrasts": 1, "lContrasts": 1}, 1),
        ({"lInvContrasts": 1, "lContrasts": 4}, 1),
        ({"lInvContrasts": None, "lContrasts": None}, 1),
    ],
)
def test_contrasts_are_readouts_only_with_an_inversion_time_each(
    tmp_path: Path, change: dict[str, object], n_readouts: int
) -> None:
    lines = {key: value for key, value in (protocol_lines() | change).items() if value is not None}
    found = readouts(tmp_path, lines)
    assert found is not None
    assert len(found.inversion_times) == n_readouts


@pytest.mark.parametrize(
    "key", ["lInvContrasts", "lContrasts", "alTI[0]", "sKSpace.lPartitions", "sFastImaging.lEchoSpacing"]
)
@pytest.mark.parametrize("number", ["1e400", "9" * 400, "0x" + "f" * 300])
def test_numbers_without_end_are_not_read(tmp_path: Path, key: str, number: str) -> None:
    (file, _) = write_volume(
        tmp_path, 700, MP2RAGE | {CSA_SERIES: asc_conv(protocol_lines() | {key: number})}, series=1
    )
    assert read_file(file).problem is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no protocol at all",
        b"### ASCCONV BEGIN ###\nalTI[0] = 7",
        b"### ASCCONV BEGIN ###\nx = 1\n### ASCCONV END ###",
        b"### ASCCONV BEGIN ###\nalTI[0] = 1.2.3\n### ASCCONV END ###",
        b"### ASCCONV BEGIN ###\nalTI[0] = 7\nalTI[2] = 8\nalTI[1] = 9\n### ASCCONV END ###",
        b"### ASCCONV BEGIN ###\nalTI[%s] = 7\n### ASCCONV END ###" % (b"6" * 30),
    ],
)
def test_a_damaged_protocol_says_nothing_and_stops_nothing(tmp_path: Path, content: bytes) -> None:
    (file, _) = write_volume(tmp_path, 700, MP2RAGE | {CSA_SERIES: content}, series=1)
    (plane,) = read_file(file).slices
    assert (plane.readouts, plane.timing.inversion_time) == (None, 0.7)


@pytest.mark.parametrize(
    ("folder", "time", "partitions"),
    [
        (("dicom_vendors", "siemens", "anatomical", "001"), 2.2, 208),
        (("look_locker", "magnitude"), 0.26, 16),
    ],
    ids=["VB without private creators", "VE11"],
)
def test_protocols_of_real_scanners_are_read(folder: tuple[str, ...], time: float, partitions: int) -> None:
    path = min(real_data(*folder).iterdir())
    protocol = read_protocol(Header(dcmread(path)))
    assert protocol is not None
    assert (protocol.n_readouts, protocol.inversion_times) == (1, (time,))
    assert (protocol.partitions, protocol.slice_partial_fourier) == (partitions, 1)


@pytest.mark.parametrize(
    ("written", "voltage"), [("231.5", 231.5), ("0x10", 16.0), (0, None), ("-3", None), ("many", None), (None, None)]
)
def test_the_reference_voltage_is_read_where_it_is_a_number(
    tmp_path: Path, written: object, voltage: float | None
) -> None:
    lines = protocol_lines() | ({} if written is None else {"sTXSPEC.asNucleusInfo[0].flReferenceAmplitude": written})
    (file, _) = write_volume(tmp_path, 700, MP2RAGE | {CSA_SERIES: asc_conv(lines)}, series=1)
    assert read_file(file).slices[0].timing.reference_voltage == voltage


def test_shots_of_compressed_sensing_are_left_open(tmp_path: Path) -> None:
    found = readouts(tmp_path, protocol_lines() | {"tSequenceFileName": '""%CustomerSeq%\\cs_mp2rage""'})
    assert found is not None
    assert found.shots is None
    assert "n/2 come before" in found.caveats[0]
