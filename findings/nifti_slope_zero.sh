#!/usr/bin/env bash
# A NIfTI header with scl_slope 0 and scl_inter other than 0, with nibabel 5.4.2, SimpleITK 2.5.7 and niimath 1.0.20261016.
#
# By the standard (nifti1.h) values are scaled only where scl_slope is not 0. nibabel leaves them as stored. SimpleITK and niimath
# take the slope for 1 and add scl_inter: one file has two sets of values.
#
# Seen, with 7 stored, scl_slope 0 and scl_inter 5:
#   nibabel 7, SimpleITK 12, niimath 12
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nibabel==5.4.2 simpleitk==2.5.7 niimath==1.0.20261016 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pathlib
import struct
import subprocess
import sys

import nibabel
import niimath
import numpy as np
import SimpleITK

SCALING = 112  # byte of scl_slope, which scl_inter follows

nibabel.save(nibabel.Nifti1Image(np.full((4, 4, 4), 7, np.int16), np.eye(4)), "image.nii")
content = bytearray(pathlib.Path("image.nii").read_bytes())
content[SCALING : SCALING + 8] = struct.pack("<ff", 0, 5)
pathlib.Path("image.nii").write_bytes(content)

by_nibabel = float(nibabel.load("image.nii").get_fdata()[0, 0, 0])
by_simpleitk = float(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage("image.nii"))[0, 0, 0])
subprocess.run([niimath.bin, "image.nii", "-mul", "1", "copy.nii", "-odt", "float"], check=True, capture_output=True)
by_niimath = float(nibabel.load(*pathlib.Path().glob("copy.nii*")).get_fdata()[0, 0, 0])
print(f"nibabel {by_nibabel:g}, SimpleITK {by_simpleitk:g}, niimath {by_niimath:g}")
sys.exit((by_nibabel, by_simpleitk, by_niimath) != (7, 12, 12))
PYTHON
