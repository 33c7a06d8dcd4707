#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK's NIfTI reader) with files written by nibabel 5.4.2, and nibabel's own reading of the same files.
#
# 1. NaN in the voxels of a NIfTI file is read as 0, without a warning. Maps whose "no value" is NaN then hold zeros, which
#    interpolation and means take for measurements.
# 2. Where sform and qform of one header differ, nibabel takes the sform whatever its code. SimpleITK takes the sform only
#    where its code is 1 (scanner), and the qform where it is 2 (aligned), 3 (Talairach) or 4 (MNI): one file in two places.
#
# Seen:
#   NaN of 27 voxels: nibabel 1, SimpleITK 0, which reads 0.0 in its place
#   sform code 1, 10 mm off the qform: nibabel 10.0 mm, SimpleITK 10.0 mm
#   sform code 2, 10 mm off the qform: nibabel 10.0 mm, SimpleITK 0.0 mm
#   sform code 4, 10 mm off the qform: nibabel 10.0 mm, SimpleITK 0.0 mm
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet simpleitk==2.5.7 nibabel==5.4.2 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK

values = np.ones((3, 3, 3), np.float32)
values[1, 1, 1] = np.nan
nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), "nan.nii.gz")
by_nibabel = int(np.isnan(nibabel.load("nan.nii.gz").get_fdata()).sum())
read = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage("nan.nii.gz"))
by_simpleitk = int(np.isnan(read).sum())
print(f"NaN of 27 voxels: nibabel {by_nibabel}, SimpleITK {by_simpleitk}, which reads {read[1, 1, 1]} in its place")
as_seen = (by_nibabel, by_simpleitk, float(read[1, 1, 1])) == (1, 0, 0.0)

moved = np.eye(4)
moved[0, 3] = 10
for code, expected in ((1, 10.0), (2, 0.0), (4, 0.0)):
    image = nibabel.Nifti1Image(np.zeros((3, 3, 3), np.float32), None)
    image.set_qform(np.eye(4), 1)
    image.set_sform(moved, code)
    nibabel.save(image, "forms.nii")
    here = float(nibabel.load("forms.nii").affine[0, 3])
    there = 0.0 - SimpleITK.ReadImage("forms.nii").GetOrigin()[0]  # ITK's first axis points to the left
    print(f"sform code {code}, 10 mm off the qform: nibabel {here} mm, SimpleITK {there} mm")
    as_seen = as_seen and (here, there) == (10.0, expected)
sys.exit(not as_seen)
PYTHON
