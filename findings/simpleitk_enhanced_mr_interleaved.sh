#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK's GDCM reader) with an enhanced MR image whose frames are stored as interleaved slices are acquired: it keeps
# them in the order of the file and takes voxels to be 1 mm wide along all three axes, whatever the file says. No warning is
# printed, so that a scrambled picture of the wrong size looks like any other. highdicom 0.28.2 puts the same frames in order.
#
# Seen, with 10, 20, 30, 40 stored in slices that lie 2 mm apart, of 2 mm x 2 mm pixels:
#   frames in order: SimpleITK 10 20 30 40, voxels of 2 x 2 x 2 mm; highdicom 10 20 30 40, 2 x 2 x 2 mm
#   frames interleaved: SimpleITK 10 30 20 40, voxels of 1 x 1 x 1 mm; highdicom 10 20 30 40, 2 x 2 x 2 mm
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet simpleitk==2.5.7 pydicom==3.0.2 highdicom==0.28.2 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import highdicom
import numpy as np
import SimpleITK
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid


def item(**elements):
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def write(path, order):
    """Write axial frames of 8 x 8 voxels in an order, numbered from below, each with ten times its number in it."""
    kind = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    organization = generate_uid()
    image = item(
        SOPClassUID=EnhancedMRImageStorage, SOPInstanceUID=generate_uid(), StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(), FrameOfReferenceUID=generate_uid(), Modality="MR", Manufacturer="SIEMENS",
        PatientName="", PatientID="", SeriesNumber=1, InstanceNumber=1, ImageType=kind, StudyDate="20260101",
        StudyTime="120000", PatientPosition="HFS", Rows=8, Columns=8, NumberOfFrames=len(order), BitsAllocated=16,
        BitsStored=16, HighBit=15, PixelRepresentation=0, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        DimensionOrganizationSequence=[item(DimensionOrganizationUID=organization)],
        DimensionIndexSequence=[
            item(DimensionOrganizationUID=organization, DimensionIndexPointer=pointer, FunctionalGroupPointer=0x00209111)
            for pointer in (0x00209056, 0x00209057)
        ],
    )  # fmt: skip
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    of_all = item(
        PixelMeasuresSequence=[item(PixelSpacing=[2, 2], SliceThickness=2, SpacingBetweenSlices=2)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        MREchoSequence=[item(EffectiveEchoTime=3.0)],
        MRTimingAndRelatedParametersSequence=[item(RepetitionTime=1000.0, FlipAngle=10.0)],
        MRImageFrameTypeSequence=[item(FrameType=kind)],
        PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")],
    )
    of_each = []
    for number in order:
        content = item(StackID="1", InStackPositionNumber=number, DimensionIndexValues=[1, number])
        place = item(ImagePositionPatient=[0, 0, 2.0 * number])
        of_each.append(item(FrameContentSequence=[content], PlanePositionSequence=[place]))
    image.SharedFunctionalGroupsSequence = [of_all]
    image.PerFrameFunctionalGroupsSequence = of_each
    image.PixelData = np.repeat(10 * np.array(order, np.uint16), 64).tobytes()
    image.save_as(path, enforce_file_format=True)


def words(values, between):
    return between.join(f"{value:g}" for value in values)


as_seen = True
for name, order, values, edges in (
    ("in order", (1, 2, 3, 4), [10, 20, 30, 40], (2, 2, 2)),
    ("interleaved", (1, 3, 2, 4), [10, 30, 20, 40], (1, 1, 1)),
):
    write("image.dcm", order)
    image = SimpleITK.ReadImage("image.dcm")
    here = SimpleITK.GetArrayFromImage(image)[:, 0, 0].tolist()
    volume = highdicom.imread("image.dcm").get_volume()
    there = volume.array[:: 1 if volume.affine[2, 0] > 0 else -1, 0, 0].tolist()  # from below
    print(
        f"frames {name}: SimpleITK {words(here, ' ')}, voxels of {words(image.GetSpacing(), ' x ')} mm; "
        f"highdicom {words(there, ' ')}, {words(volume.spacing, ' x ')} mm"
    )
    as_seen = as_seen and here == values and image.GetSpacing() == edges
    as_seen = as_seen and there == [10, 20, 30, 40] and np.allclose(volume.spacing, 2)
sys.exit(not as_seen)
PYTHON
