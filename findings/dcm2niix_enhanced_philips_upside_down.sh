#!/usr/bin/env bash
# dcm2niix 1.0.20260724 turns an enhanced MR image of Philips upside down: values of the lowest slice stand in the highest, and
# the affine is that of the image as it was. Of a sagittal image that exchanges left and right. Nothing is said.
#
# It does so where frames are stored from above and are indexed by their position (Dimension Index Pointer (0020,0032), Image
# Position (Patient), values rising from below), without Stack ID and In-Stack Position Number, which such a file need not
# have. With these two, or of another manufacturer, the same frames come out right. highdicom 0.28.2 reads all of them right.
#
# Seen, with 10, 20, 30, 40 stored in slices from below (axial), from left to right of the patient (sagittal):
#   axial, Philips, index of positions: dcm2niix 40 30 20 10, highdicom 10 20 30 40
#   axial, Philips, index of stack: dcm2niix 10 20 30 40, highdicom 10 20 30 40
#   axial, SIEMENS, index of positions: dcm2niix 10 20 30 40, highdicom 10 20 30 40
#   sagittal, Philips, index of positions: dcm2niix 40 30 20 10, highdicom 10 20 30 40
#   words of dcm2niix that begin with Warning or Error: 0
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 pydicom==3.0.2 highdicom==0.28.2 nibabel==5.4.2 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pathlib
import subprocess
import sys

import dcm2niix
import highdicom
import nibabel
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]
POSITION, STACK = "positions", "stack"
POINTERS = {POSITION: [(0x00200032, 0x00209113)], STACK: [(0x00209056, 0x00209111), (0x00209057, 0x00209111)]}
FROM_ABOVE = (4, 3, 2, 1)


def item(**elements):
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def normal(orientation):
    return np.cross(orientation[:3], orientation[3:])


def write(path, manufacturer, orientation, index):
    """Write 4 frames of 8 x 8 voxels, 2 mm apart along the normal of the planes, the farthest first."""
    kind = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    organization = generate_uid()
    image = item(
        SOPClassUID=EnhancedMRImageStorage, SOPInstanceUID=generate_uid(), StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(), FrameOfReferenceUID=generate_uid(), Modality="MR", Manufacturer=manufacturer,
        PatientName="", PatientID="", SeriesNumber=1, InstanceNumber=1, ImageType=kind, StudyDate="20260101",
        StudyTime="120000", PatientPosition="HFS", Rows=8, Columns=8, NumberOfFrames=4, BitsAllocated=16, BitsStored=16,
        HighBit=15, PixelRepresentation=0, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        DimensionOrganizationSequence=[item(DimensionOrganizationUID=organization)],
        DimensionIndexSequence=[
            item(DimensionOrganizationUID=organization, DimensionIndexPointer=pointer, FunctionalGroupPointer=group)
            for pointer, group in POINTERS[index]
        ],
    )  # fmt: skip
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    of_all = item(
        PixelMeasuresSequence=[item(PixelSpacing=[2, 2], SliceThickness=2, SpacingBetweenSlices=2)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=orientation)],
        MREchoSequence=[item(EffectiveEchoTime=3.0)],
        MRTimingAndRelatedParametersSequence=[item(RepetitionTime=1000.0, FlipAngle=10.0)],
        MRImageFrameTypeSequence=[item(FrameType=kind)],
        PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")],
    )
    of_each = []
    for number in FROM_ABOVE:
        content = item(DimensionIndexValues=[number])
        if index == STACK:
            content = item(StackID="1", InStackPositionNumber=number, DimensionIndexValues=[1, number])
        place = item(ImagePositionPatient=(2.0 * number * normal(orientation)).tolist())
        of_each.append(item(FrameContentSequence=[content], PlanePositionSequence=[place]))
    image.SharedFunctionalGroupsSequence = [of_all]
    image.PerFrameFunctionalGroupsSequence = of_each
    image.PixelData = np.repeat(10 * np.array(FROM_ABOVE, np.uint16), 64).tobytes()
    image.save_as(path, enforce_file_format=True)


def along(values, places):
    """Return values in the order of their places."""
    return [int(value) for _, value in sorted(zip(places, values, strict=True))]


as_seen, warned = True, 0
for number, (plane, manufacturer, index, expected) in enumerate(
    (
        (AXIAL, "Philips", POSITION, [40, 30, 20, 10]),
        (AXIAL, "Philips", STACK, [10, 20, 30, 40]),
        (AXIAL, "SIEMENS", POSITION, [10, 20, 30, 40]),
        (SAGITTAL, "Philips", POSITION, [40, 30, 20, 10]),
    )
):
    path = pathlib.Path(str(number))
    path.mkdir()
    write(path / "image.dcm", manufacturer, plane, index)
    command = [dcm2niix.bin, "-f", "image", "-o", str(path), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    warned += sum(line.startswith(("Warning", "Error")) for line in said.splitlines())
    image = nibabel.load(path / "image.nii")
    places = [(image.affine @ [0, 0, k, 1])[:3] * [-1, -1, 1] @ normal(plane) for k in range(4)]  # NIfTI's x, y are -x, -y
    here = along(image.get_fdata()[0, 0], places)
    volume = highdicom.imread(path / "image.dcm").get_volume()
    places = [(volume.affine @ [k, 0, 0, 1])[:3] @ normal(plane) for k in range(4)]
    there = along(volume.array[:, 0, 0], places)
    name = "axial" if plane == AXIAL else "sagittal"
    print(f"{name}, {manufacturer}, index of {index}: dcm2niix {' '.join(map(str, here))}, highdicom {' '.join(map(str, there))}")
    as_seen = as_seen and here == expected and there == [10, 20, 30, 40]
print(f"words of dcm2niix that begin with Warning or Error: {warned}")
sys.exit(not (as_seen and not warned))
PYTHON
