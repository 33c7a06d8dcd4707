"""Conversion keeps times, signs and scales, publishes whole folders only, and names nobody."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from bids_t1.data.codec import decode
from bids_t1.data.errors import CannotCreateOutputError, InputOutputError, InvalidInputError, NoInputError
from bids_t1.data.protocol import Protocol
from bids_t1.dicom.convert import Destination, convert
from bids_t1.dicom.writing.dcm2niix import dcm2niix_binary
from bids_t1.dicom.writing.record import Conversion
from tests import validator
from tests.dicom.scanner_files import (
    GE,
    GE_IMAGE_TYPE,
    PHILIPS,
    PHILIPS_SCALE,
    SECRETS,
    SIEMENS,
    TIMES,
    write_enhanced,
    write_set,
    write_volume,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "dicom"


@pytest.fixture
def raw_dir(tmp_path: Path) -> Path:
    return tmp_path / "out" / "sourcedata" / "raw"


def run(source: Path, raw_dir: Path, protocol: Protocol | None = None, **options: Any) -> Conversion:
    destination = Destination(raw_dir, **{"participant": "01", **options})
    return convert(source, destination, raw_dir.parents[2] / "work", protocol or Protocol())


def values(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(nib.nifti1.Nifti1Image.from_filename(path).get_fdata())


def sidecars(raw_dir: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(raw_dir.rglob("*IRT1.json"))}


@pytest.mark.parametrize("one_series", [False, True])
def test_every_inversion_time_gets_its_own_image(source: Path, raw_dir: Path, one_series: bool) -> None:
    write_set(source, SIEMENS, times=TIMES[::-1], one_series=one_series)
    record = run(source, raw_dir)
    found = sidecars(raw_dir)
    assert list(found) == [f"sub-01_inv-{rank}_IRT1" for rank in (1, 2, 3, 4)]
    assert [entry["InversionTime"] for entry in found.values()] == [time / 1000 for time in TIMES]
    for entry in found.values():
        timing = [entry[key] for key in ("RepetitionTime", "EchoTime", "FlipAngle", "MagneticFieldStrength")]
        assert timing == [6.0, 0.01, 90.0, 3.0]
    smallest = [values(path).min() for path in sorted(raw_dir.rglob("*.nii.gz"))]
    assert smallest == [400, 300, 200, 100]  # written in falling order of inversion time
    assert len(record.written) == 8
    assert all((raw_dir / name).is_file() for name in record.written)


def test_the_result_is_valid_bids(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS)
    run(source, raw_dir)
    run(source, raw_dir, participant="sub-02", session="ses-a")
    assert validator.errors(raw_dir) == []
    assert {path.name for path in raw_dir.iterdir()} == {
        "dataset_description.json",
        "README",
        "sub-01",
        "sub-02",
    }
    assert (raw_dir / "sub-02" / "ses-a" / "anat" / "sub-02_ses-a_inv-1_IRT1.nii.gz").is_file()


def test_philips_images_are_in_units_of_signal(source: Path, raw_dir: Path) -> None:
    for index, time in enumerate(TIMES):
        scales = {"RescaleSlope": 1.0 + index, PHILIPS_SCALE: 0.1 * (index + 1)}
        write_volume(source, time, PHILIPS | scales, series=index, value=100 * (index + 1))
    run(source, raw_dir)
    smallest = [values(path).min() for path in sorted(raw_dir.rglob("*.nii.gz"))]
    np.testing.assert_allclose(smallest, [1000] * 4, rtol=1e-4)  # pixel / scale slope


def test_philips_images_without_the_scale_slope_are_warned_about(source: Path, raw_dir: Path) -> None:
    write_set(source, PHILIPS)
    assert "(2005,100E) is absent" in " ".join(run(source, raw_dir).warnings)


def test_the_four_parts_of_ge_are_told_apart_in_one_series(source: Path, raw_dir: Path) -> None:
    signed = GE | {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    for code, value in enumerate((500, 3095, -500, -20)):
        for time in TIMES:
            write_volume(source, time, signed | {GE_IMAGE_TYPE: code}, series=1, value=value)
    run(source, raw_dir)
    smallest = {
        part: values(raw_dir / f"sub-01/anat/sub-01_inv-1_part-{part}_IRT1.nii.gz").min()
        for part in ("mag", "phase", "real", "imag")
    }
    assert smallest == {"mag": 500, "phase": pytest.approx(3.095), "real": -500, "imag": -20}
    assert sidecars(raw_dir)["sub-01_inv-1_part-phase_IRT1"]["Units"] == "rad"


def test_a_phase_of_unknown_unit_is_called_arbitrary(source: Path, raw_dir: Path) -> None:
    signed = GE | {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    for code, value in enumerate((500, 8000)):
        for time in TIMES:
            write_volume(source, time, signed | {GE_IMAGE_TYPE: code}, series=1, value=value)
    run(source, raw_dir)
    assert sidecars(raw_dir)["sub-01_inv-1_part-phase_IRT1"]["Units"] == "arbitrary"
    assert values(raw_dir / "sub-01/anat/sub-01_inv-1_part-phase_IRT1.nii.gz").min() == 8000


@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 2, "RescaleIntercept": -4096}])
def test_siemens_real_images_are_signed(source: Path, raw_dir: Path, rescale: dict[str, int]) -> None:
    real = SIEMENS | {"ImageType": ["ORIGINAL", "PRIMARY", "R", "ND"]} | rescale
    for index, time in enumerate(TIMES):
        write_volume(source, time, real, series=index, value=2048 - 100)
    run(source, raw_dir)
    image = values(raw_dir / "sub-01/anat/sub-01_inv-1_part-real_IRT1.nii.gz")
    assert image.min() == -100 * (2 if rescale else 1)


def test_frames_of_an_enhanced_file_are_split_by_time_and_part(source: Path, raw_dir: Path) -> None:
    frames = [
        {
            "time": time,
            "place": place,
            "component": component,
            "value": 100 * rank + 1000 * part,
            "index": rank,
        }
        for rank, time in enumerate(TIMES)
        for part, component in enumerate(("MAGNITUDE", "REAL"))
        for place in (1, 0)
    ]
    write_enhanced(source / "one.dcm", frames, RescaleSlope="1", RescaleIntercept="-4096")
    record = run(source, raw_dir)
    found = sidecars(raw_dir)
    assert len(found) == 8
    assert [found[f"sub-01_inv-{n}_part-real_IRT1"]["InversionTime"] for n in (1, 2, 3, 4)] == [
        time / 1000 for time in TIMES
    ]
    for rank in range(4):
        for part, entity in enumerate(("mag", "real")):
            image = values(raw_dir / f"sub-01/anat/sub-01_inv-{rank + 1}_part-{entity}_IRT1.nii.gz")
            assert image.shape[2] == 2
            assert image.min() == 100 * rank + 1000 * part - 4096
    assert record.series[0].outcome == "kept as part-mag part-real IRT1, inversion time 50, 400, 1100, 2500 ms"
    assert found["sub-01_inv-1_part-mag_IRT1"]["RepetitionTime"] == 6.0


def test_compressed_frames_are_split_without_decoding(source: Path, raw_dir: Path) -> None:
    frames = [
        {"time": time, "place": place, "value": 100 * rank, "index": rank}
        for rank, time in enumerate(TIMES)
        for place in (0, 1)
    ]
    path = write_enhanced(source / "one", frames)
    dataset = dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    run(source, raw_dir)
    smallest = [values(image).min() for image in sorted(raw_dir.rglob("*.nii.gz"))]
    assert smallest == [0, 100, 200, 300]


def test_the_program_on_the_path_is_used_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert dcm2niix_binary() == "/usr/bin/dcm2niix"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputOutputError, match="not found"):
        dcm2niix_binary()


def test_an_image_of_another_shape_is_not_published(
    source: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(source, SIEMENS)
    monkeypatch.setattr("bids_t1.dicom.writing.nifti.Nifti.shape", (6, 8, 2, 3))
    with pytest.raises(InvalidInputError, match=r"expected \(8, 6\) and 2 slices"):
        run(source, raw_dir)
    assert leftovers(raw_dir) == []


def test_gzipped_files_are_converted(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS)
    for path in list(source.iterdir()):
        path.with_suffix(".dcm.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert len(run(source, raw_dir).written) == 8


def test_nobody_is_named_anywhere(source: Path, raw_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = {
        "SeriesDescription": "ir nightingale ID4711",
        "ProtocolName": "florence_scutari",
        "ImageComments": "Herbert",
    }
    write_set(source, SIEMENS | told)
    (broken, *_) = write_volume(source, 9999.0, SIEMENS | told, series=9)
    broken.with_name("Florence.Nightingale.dcm").write_bytes(broken.read_bytes()[:400])
    write_volume(source, None, SIEMENS | told | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, series=10)
    with caplog.at_level("DEBUG"):
        record = run(source, raw_dir)
    texts = [path.read_text() for path in raw_dir.rglob("*") if path.suffix in {".json", ""} and path.is_file()]
    texts += [gzip.decompress(path.read_bytes()[:]).decode("latin-1") for path in raw_dir.rglob("*.nii.gz")]
    texts += [json.dumps(asdict(record)), *caplog.messages, *(str(path) for path in raw_dir.rglob("*"))]
    everything = "\n".join(texts).lower()
    assert [secret for secret in SECRETS if secret.lower() in everything] == []
    assert "acquisitiontime" not in everything
    assert "1 DICOM files cannot be read" in " ".join(record.warnings)


def test_a_patient_called_like_the_vendor_does_not_change_the_vendor(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS | {"PatientName": "Siem^Ens", "SeriesDescription": "ir Siem"})
    run(source, raw_dir)
    sidecar = sidecars(raw_dir)["sub-01_inv-1_IRT1"]
    assert (sidecar["Manufacturer"], sidecar["SeriesDescription"]) == ("Siemens", "ir")


def test_an_error_names_nobody(source: Path, raw_dir: Path) -> None:
    write_volume(source, 50.0, SIEMENS | {"SeriesDescription": "Nightingale ir"}, series=1)
    with pytest.raises(NoInputError) as failure:
        run(source, raw_dir)
    message = str(failure.value).lower()
    assert "series 1 ir: skipped" in message
    assert [secret for secret in SECRETS if secret.lower() in message] == []


def test_an_unchanged_source_is_not_converted_again(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS)
    first = run(source, raw_dir)
    stored = decode(Conversion, json.loads(json.dumps(asdict(first))))
    assert stored == first
    when = (raw_dir / first.written[0]).stat().st_mtime_ns
    assert run(source, raw_dir, previous=stored) is stored
    assert (raw_dir / first.written[0]).stat().st_mtime_ns == when


@pytest.mark.parametrize("change", ["new file", "lost output", "other session"])
def test_a_change_is_converted_again(source: Path, raw_dir: Path, change: str) -> None:
    write_set(source, SIEMENS)
    first = run(source, raw_dir)
    if change == "new file":
        write_volume(source, 3000.0, SIEMENS, series=9)
    elif change == "lost output":
        (raw_dir / first.written[0]).unlink()
    again = run(source, raw_dir, previous=first, session="2" if change == "other session" else None)
    assert again is not first
    assert len(again.written) == (10 if change == "new file" else 8)
    assert all((raw_dir / name).is_file() for name in again.written)


def leftovers(raw_dir: Path) -> list[str]:
    outside = [path.name for path in raw_dir.parent.iterdir() if path != raw_dir]
    return outside + [path.name for path in raw_dir.iterdir() if path.name.startswith((".", "sub-"))]


def test_a_failing_dcm2niix_leaves_nothing_and_says_why(
    source: Path, raw_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(source, SIEMENS)
    program = tmp_path / "failing"
    program.write_text("#!/bin/sh\necho 'Error: Nightingale cannot be decoded'\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setattr("bids_t1.dicom.writing.dcm2niix.dcm2niix_binary", lambda: str(program))
    with pytest.raises(InvalidInputError, match="series 1: dcm2niix ended with status 2") as failure:
        run(source, raw_dir)
    assert str(failure.value).endswith("It said: Error cannot be decoded")
    assert leftovers(raw_dir) == []


def test_a_missing_dcm2niix_is_an_expected_failure(
    source: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(source, SIEMENS)
    monkeypatch.setattr("bids_t1.dicom.writing.dcm2niix.dcm2niix_binary", lambda: "/nowhere/dcm2niix")
    with pytest.raises(InputOutputError, match="cannot be started"):
        run(source, raw_dir)
    assert leftovers(raw_dir) == []


def test_a_dcm2niix_that_hangs_is_stopped(
    source: Path, raw_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(source, SIEMENS)
    program = tmp_path / "hanging"
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    program.chmod(0o755)
    monkeypatch.setattr("bids_t1.dicom.writing.dcm2niix.dcm2niix_binary", lambda: str(program))
    monkeypatch.setattr("bids_t1.dicom.writing.dcm2niix._TIMEOUT", 0.2)
    with pytest.raises(InvalidInputError, match="has not ended"):
        run(source, raw_dir)


def test_an_interruption_leaves_the_old_result(source: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(source, SIEMENS)
    first = run(source, raw_dir)
    write_volume(source, 3000.0, SIEMENS, series=9)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bids_t1.dicom.convert.complete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(source, raw_dir, previous=first)
    found = {path.relative_to(raw_dir).as_posix() for path in raw_dir.rglob("*IRT1*")}
    assert found == set(first.written)
    assert leftovers(raw_dir) == ["sub-01"]


def test_a_folder_that_cannot_be_made_is_an_expected_failure(source: Path, tmp_path: Path) -> None:
    write_set(source, SIEMENS)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotCreateOutputError, match="cannot be written"):
        convert(source, Destination(tmp_path / "file" / "raw", "01"), tmp_path / "work")


def test_a_full_disk_is_an_expected_failure(source: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(source, SIEMENS)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bids_t1.dicom.writing.nifti.Nifti.save", full)
    with pytest.raises(InputOutputError, match="No space left"):
        run(source, raw_dir)
    assert leftovers(raw_dir) == []


def test_a_failed_replacement_brings_the_old_result_back(
    source: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(source, SIEMENS)
    first = run(source, raw_dir)
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if target == raw_dir / "sub-01" and path.name == "sub-01":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputOutputError, match="Input/output error"):
        run(source, raw_dir)
    assert all((raw_dir / name).is_file() for name in first.written)
    assert leftovers(raw_dir) == ["sub-01"]


def test_a_folder_without_dicom_is_refused(source: Path, raw_dir: Path) -> None:
    source.mkdir()
    (source / "readme.txt").write_text("nothing")
    with pytest.raises(NoInputError, match="no DICOM file found"):
        run(source, raw_dir)


def test_a_folder_of_damaged_files_is_refused(source: Path, raw_dir: Path) -> None:
    (file, other) = write_volume(source, 50.0, SIEMENS, series=1)
    file.write_bytes(file.read_bytes()[:300])
    other.unlink()
    with pytest.raises(InvalidInputError, match="none of 1 DICOM files can be read"):
        run(source, raw_dir)


def test_files_without_whole_pixels_are_left_out_with_a_reason(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS)
    (cut, bare) = write_volume(source, 3000.0, SIEMENS, series=9)
    cut.write_bytes(cut.read_bytes()[:-10])
    dataset = dcmread(bare)
    del dataset.PixelData
    dataset.save_as(bare)
    record = run(source, raw_dir)
    (entry,) = [entry for entry in record.series if entry.number == 9]
    assert "pixel data cut short (86 of 96 bytes)" in entry.outcome
    assert "no pixel data" in entry.outcome
    assert "series 9: left out: pixel data cut short (86 of 96 bytes)" in record.warnings
    assert len(record.written) == 8


def test_an_inversion_time_that_lacks_slices_is_missed_aloud(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS)
    write_volume(source, 3000.0, SIEMENS, series=9)
    write_volume(source, 3000.0, SIEMENS, series=9)[0].unlink()
    (warning,) = run(source, raw_dir).warnings
    assert warning.startswith("series 9: left out: slices are missing")


def test_an_image_that_lacks_the_last_slice_is_missed_aloud(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS)
    write_volume(source, 3000.0, SIEMENS, series=9)[1].unlink()
    (warning,) = run(source, raw_dir).warnings
    assert warning == "series 9: left out: has 1 of the 2 slices of the other inversion times"


def test_a_damaged_gzip_is_left_out(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS)
    (file, _) = write_volume(source, 3000.0, SIEMENS, series=9)
    file.write_bytes(gzip.compress(file.read_bytes())[:-100])
    record = run(source, raw_dir)
    assert len(record.written) == 8
    assert "1 DICOM files cannot be read" in record.warnings[0]


def test_field_in_gauss_becomes_tesla(source: Path, raw_dir: Path) -> None:
    write_set(source, SIEMENS | {"MagneticFieldStrength": 15000})
    run(source, raw_dir)
    assert sidecars(raw_dir)["sub-01_inv-1_IRT1"]["MagneticFieldStrength"] == 1.5


def test_receiver_gains_that_differ_are_warned_about(source: Path, raw_dir: Path) -> None:
    gain = (0x0019, "GEMS_ACQU_01", 0x8A, "SS")
    for index, time in enumerate(TIMES):
        write_volume(source, time, GE | {gain: 10 + index // 3}, series=index)
    assert "receiver gains differ" in " ".join(run(source, raw_dir).warnings)
