#!/usr/bin/env bash
# dcm2niix 1.0.20260724 with classic Philips slices that differ in their scale slope, (2005,100E), and in nothing else of their
# scaling. As default ("-p y", precise values: stored over scale slope) it takes the scale slope of the first slice for all of
# them, without a word. Where the rescale slope differs too, each slice has its own scale slope.
#
# Seen, with 100 stored everywhere in two slices:
#   rescale slopes 2 and 4, scale slopes 0.5 and 0.25: 200 400, expected 200 400
#   rescale slopes 2 and 2, scale slopes 0.5 and 0.25: 200 200, expected 200 400
#   words of dcm2niix about it: none
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pathlib
import subprocess
import sys

import dcm2niix
import nibabel
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def write(path, number, slope, scale, study, series, space):
    """Write one slice of 8 x 8 voxels with 100 in each."""
    image = Dataset()
    for keyword, value in {
        "SOPClassUID": MRImageStorage, "SOPInstanceUID": generate_uid(), "StudyInstanceUID": study,
        "SeriesInstanceUID": series, "FrameOfReferenceUID": space, "Modality": "MR", "Manufacturer": "Philips",
        "PatientName": "", "PatientID": "", "SeriesNumber": 1, "InstanceNumber": number, "ProtocolName": "image",
        "ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], "StudyDate": "20260101", "StudyTime": "120000",
        "PatientPosition": "HFS", "Rows": 8, "Columns": 8, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11,
        "PixelRepresentation": 0, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelSpacing": [2, 2],
        "SliceThickness": 2, "SpacingBetweenSlices": 2, "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 2.0 * number], "EchoTime": 3, "RepetitionTime": 1000, "FlipAngle": 10,
        "RescaleSlope": slope, "RescaleIntercept": 0, "RescaleType": "normalized",
    }.items():  # fmt: skip
        setattr(image, keyword, value)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale)
    image.PixelData = np.full(64, 100, np.uint16).tobytes()
    image.save_as(path, enforce_file_format=True)


as_seen, words = True, ("slope", "scale", "scaling", "intensit")
for slopes, scales, found, silent in (((2, 4), (0.5, 0.25), (200, 400), False), ((2, 2), (0.5, 0.25), (200, 200), True)):
    path = pathlib.Path(f"{slopes[0]}_{slopes[1]}")
    path.mkdir()
    same = [generate_uid() for _ in range(3)]
    for number, (slope, scale) in enumerate(zip(slopes, scales, strict=True), 1):
        write(path / f"{number}.dcm", number, slope, scale, *same)
    command = [dcm2niix.bin, "-f", "image", "-o", str(path), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    values = tuple(float(value) for value in nibabel.load(path / "image.nii").get_fdata()[0, 0])
    meant = tuple(100 / scale for scale in scales)
    print(
        f"rescale slopes {slopes[0]} and {slopes[1]}, scale slopes {scales[0]} and {scales[1]}: "
        f"{values[0]:g} {values[1]:g}, expected {meant[0]:g} {meant[1]:g}"
    )
    as_seen = as_seen and values == found
    if silent:
        about = [line for line in said.splitlines() if any(word in line.lower() for word in words)]
        print(f"words of dcm2niix about it: {about or 'none'}")
        as_seen = as_seen and not about
sys.exit(not as_seen)
PYTHON
