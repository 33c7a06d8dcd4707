#!/usr/bin/env bash
# Enhanced MR images in which every frame has a rescale slope of its own, as five readers take them: dcm2niix
# 1.0.20260724, pydicom 3.0.2, highdicom 0.28.2, SimpleITK 2.5.7 and nibabel 5.4.2 (nicom).
#
# RescaleSlope of an enhanced image stands in the Pixel Value Transformation Sequence, shared or for each frame.
# * dcm2niix takes the slope of each frame where the manufacturer is Philips or none that it knows. Of Siemens and GE it takes
#   that of the last frame for all, and says nothing: inversion times or slices that were scaled apart are no longer comparable.
# * pydicom's apply_rescale looks at the top of the dataset only: it returns the stored values, even of one shared slope.
# * SimpleITK takes the slope of the first frame for all. highdicom and nibabel take that of each frame.
#
# Seen, with 100 stored everywhere and slopes 1, 2, 3:
#   dcm2niix, SIEMENS: 300 300 300
#   dcm2niix, GE MEDICAL SYSTEMS: 300 300 300
#   dcm2niix, Philips: 100 200 300
#   dcm2niix, Another: 100 200 300
#   words of dcm2niix about the slope of SIEMENS: none
#   pydicom apply_rescale: 100 100 100
#   pydicom apply_rescale, one slope of 5 shared by all frames: 100 100 100
#   highdicom: 100 200 300
#   SimpleITK: 100 100 100
#   nibabel: 100 200 300
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 pydicom==3.0.2 highdicom==0.28.2 simpleitk==2.5.7 nibabel==5.4.2 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pathlib
import subprocess
import sys
import warnings

import dcm2niix
import highdicom
import nibabel
import numpy as np
import SimpleITK
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import apply_rescale
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

warnings.simplefilter("ignore")
from nibabel.nicom.dicomwrappers import wrapper_from_file  # noqa: E402 - warns on import


def item(**elements):
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def scaling(slope):
    return [item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="US")]


def write(path, manufacturer, slopes, shared=None):
    """Write an axial image of 8 x 8 voxels, one frame above the other, with 100 in each voxel."""
    kind = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    organization = generate_uid()
    image = item(
        SOPClassUID=EnhancedMRImageStorage, SOPInstanceUID=generate_uid(), StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(), FrameOfReferenceUID=generate_uid(), Modality="MR", Manufacturer=manufacturer,
        PatientName="", PatientID="", SeriesNumber=1, InstanceNumber=1, ImageType=kind, StudyDate="20260101",
        StudyTime="120000", PatientPosition="HFS", Rows=8, Columns=8, NumberOfFrames=len(slopes), BitsAllocated=16,
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
    )
    if shared is not None:
        of_all.PixelValueTransformationSequence = scaling(shared)
    of_each = []
    for number, slope in enumerate(slopes, 1):
        content = item(StackID="1", InStackPositionNumber=number, DimensionIndexValues=[1, number])
        place = item(ImagePositionPatient=[0, 0, 2.0 * number])
        of_each.append(item(FrameContentSequence=[content], PlanePositionSequence=[place]))
        if shared is None:
            of_each[-1].PixelValueTransformationSequence = scaling(slope)
    image.SharedFunctionalGroupsSequence = [of_all]
    image.PerFrameFunctionalGroupsSequence = of_each
    image.PixelData = np.full((len(slopes), 8, 8), 100, np.uint16).tobytes()
    image.save_as(path, enforce_file_format=True)


def convert(manufacturer):
    """Return the first voxel of each slice, from below, and what dcm2niix said."""
    path = pathlib.Path(manufacturer.split()[0])
    path.mkdir()
    write(path / "image.dcm", manufacturer, [1, 2, 3])
    command = [dcm2niix.bin, "-f", "image", "-o", str(path), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return nibabel.load(path / "image.nii").get_fdata()[0, 0], said


seen = {}
for manufacturer in ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "Another"):
    seen[f"dcm2niix, {manufacturer}"], said = convert(manufacturer)
    if manufacturer == "SIEMENS":
        silent = not any(word in said.lower() for word in ("slope", "scale", "intensit"))
write("image.dcm", "SIEMENS", [1, 2, 3])
write("shared.dcm", "SIEMENS", [5, 5, 5], shared=5)
image, shared = dcmread("image.dcm"), dcmread("shared.dcm")
seen["pydicom apply_rescale"] = apply_rescale(image.pixel_array, image)[:, 0, 0]
seen["pydicom apply_rescale, one slope of 5 shared by all frames"] = apply_rescale(shared.pixel_array, shared)[:, 0, 0]
frames = highdicom.imread("image.dcm")
seen["highdicom"] = [frames.get_frame(number)[0, 0] for number in (1, 2, 3)]
seen["SimpleITK"] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage("image.dcm"))[:, 0, 0]
wrapper = wrapper_from_file("image.dcm")
seen["nibabel"] = wrapper.get_data()[0, 0, :: 1 if wrapper.affine[2, 2] > 0 else -1]  # from below, as the others
for what, values in seen.items():
    print(f"{what}: {' '.join(f'{value:g}' for value in values)}")
print(f"words of dcm2niix about the slope of SIEMENS: {'none' if silent else 'some'}")

stored, first, each, last = [100] * 3, [100] * 3, [100, 200, 300], [300] * 3
expected = [last, last, each, each, stored, stored, each, first, each]
sys.exit(not (silent and [[int(value) for value in values] for values in seen.values()] == expected))
PYTHON
