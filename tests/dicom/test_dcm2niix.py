"""dcm2niix is held within limits, and what it warns of is compared, ignored or shown."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from bids_t1.data.errors import InvalidInputError, Stopped
from bids_t1.dicom.writing.dcm2niix import Made, run_dcm2niix

if TYPE_CHECKING:
    from pathlib import Path


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Made:
    """Run a script in place of dcm2niix; its fourth argument is the folder for the image."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr("bids_t1.dicom.writing.dcm2niix.dcm2niix_binary", lambda: str(program))
    for name in ("dicom", "nifti"):
        (tmp_path / name).mkdir()
    never = frozenset({"nightingale"})
    return run_dcm2niix(tmp_path / "dicom", tmp_path / "nifti", 1000, display=False, where="series 1", never=never)


def test_a_file_far_larger_than_its_image_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'sleep 0.2; exec dd if=/dev/zero "of=$4/image.nii" bs=1048576 count=100 2>/dev/null'
    with pytest.raises(InvalidInputError, match="wrote a file of more than 64 MiB"):
        run(tmp_path, monkeypatch, script)


def test_memory_far_beyond_an_image_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"sleep 0.2; exec {sys.executable} -c 'bytearray(2**31)' 2>/dev/null"
    with pytest.raises(InvalidInputError, match="ended with status 1 and 0 images"):
        run(tmp_path, monkeypatch, script)


def test_a_request_to_stop_ends_the_wait_in_any_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bids_t1.stopping._REQUEST.kind", Stopped)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool, pytest.raises(Stopped):
        pool.submit(run, tmp_path, monkeypatch, "exec sleep 60").result()
    assert time.monotonic() - began < 30


def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> Made:
    return run(tmp_path, monkeypatch, f'echo "{line}"; touch "$4/image.nii"')


@pytest.mark.parametrize(
    "line",
    [
        "Warning: Interslice distance varies in this volume (incompatible with NIfTI format).",
        "Warning: Intensity slope/intercept varies between slices! [check resulting images]",
        "Warning: Instance Number (0020,0013) order is not spatial.",
        "Warning: Unable to determine slice direction: please check whether slices are flipped",
    ],
)
def test_a_warning_about_pixels_is_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    made = said(tmp_path, monkeypatch, line)
    assert len(made.doubts) == 1
    assert made.warnings == ()


@pytest.mark.parametrize(
    "line",
    [
        "Warning: Missing GE protocol data block (0025,101B)",
        "Warning: Siemens MoCo? Bogus slice timing (range -1..-1, TR=6000 seconds)",
        "Convert 5 DICOM as image (6x8x5x1)",
    ],
)
def test_what_has_no_effect_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    made = said(tmp_path, monkeypatch, line)
    assert (made.doubts, made.warnings) == ((), ())


def test_an_unknown_warning_is_shown_in_words_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = said(tmp_path, monkeypatch, "Warning: Unsupported Nightingale format of file /data/Florence/4711.dcm")
    (warning,) = made.warnings
    assert warning.startswith("dcm2niix warns: ")
    assert "format" in warning
    assert not any(word in warning.lower() for word in ("nightingale", "florence", "4711", "/"))
