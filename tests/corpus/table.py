"""The table of all cases."""

from __future__ import annotations

from tests.corpus import names, options, readouts, scanner, sidecars, volumes

CASES = (
    *sidecars.CASES,
    *volumes.CASES,
    *names.CASES,
    *readouts.CASES,
    *scanner.CASES,
    *options.CASES,
)

FAST = frozenset(
    {
        "ir: value: InversionTime missing",
        "ir: value: InversionTime 1e-300",
        "ir: json: empty",
        "ir: json: a link to nothing",
        "ir: valid: as it is",
        "ir: valid: NIfTI-2",
        "ir: stream: one byte of the middle flipped",
        "ir: stream: stored voxels damaged",
        "ir: stream: wrong checksum",
        "ir: stream: a pipe",
        "ir: memory: 512 x 512 x 256 zeros",
        "ir: memory: dims 32767^3",
        "ir: header: int16 of float32 voxels",
        "ir: voxels: every image constant",
        "ir: label: a dash in the label",
        "ir: nothing: anat is a file",
        "ir: sourcedata: DICOM inside and outside of a session",
        "mp2rage: valid: as it is",
        "ir: json: InversionTime twice",
        "ir: json: arrays 100000 deep",
        "ir: json: a pipe",
        "ir: left out: called .nii.gz.part",
        "ir: left out: image gone, sidecar there",
        "ir of 3, no noise: documented: as it is",
        "ir: root: dataset_description.json is a link to nothing",
        "dicom: patients: one series of another patient",
        "dicom: attribute: ESC in ProtocolName",
        "dicom: pixels: BitsAllocated 12 in one series",
        "ir: option: t1-range in ms",
        "ir: output: another raw dataset",
        "dicom: privacy: folder called after the patient, nothing usable",
        "ir: option: filter deep",
    }
)
"""Those of the default tests: a few of each kind."""
