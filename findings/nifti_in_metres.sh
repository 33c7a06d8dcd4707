#!/usr/bin/env bash
# The unit of length of a NIfTI header (xyzt_units: metre, mm or micron) with nibabel 5.4.2, nilearn 0.14.1 and SimpleITK 2.5.7.
#
# nibabel keeps the unit in the header and gives zooms and affine as they are stored, and nilearn takes them for mm. SimpleITK
# converts to mm. One image of microscopy, or of a phantom in metres, is then a thousand times larger or smaller in one
# program than in the other, and a Gaussian of 3 mm from nilearn either smears it all or leaves it as it is. Nothing is said.
#
# Seen, with cubes of 2 mm in each unit, a single voxel of 1 in the middle, and smoothing by 3 mm (FWHM):
#   mm: nibabel 2, SimpleITK 2; nilearn leaves 0.245 in the middle
#   meter: nibabel 0.002, SimpleITK 2; nilearn leaves 0.001 in the middle
#   micron: nibabel 2000, SimpleITK 2; nilearn leaves 1.000 in the middle
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nibabel==5.4.2 nilearn==0.14.1 simpleitk==2.5.7 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK
from nilearn.image import smooth_img

as_seen = True
for unit, per_mm, expected in (("mm", 1, 0.245), ("meter", 1e-3, 0.001), ("micron", 1e3, 1.0)):
    values = np.zeros((9, 9, 9), np.float32)
    values[4, 4, 4] = 1
    edge = 2 * per_mm
    image = nibabel.Nifti1Image(values, np.diag([edge, edge, edge, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, "image.nii")
    by_nibabel = float(nibabel.load("image.nii").header.get_zooms()[0])
    by_simpleitk = SimpleITK.ReadImage("image.nii").GetSpacing()[0]
    middle = float(smooth_img("image.nii", fwhm=3).get_fdata()[4, 4, 4])
    print(f"{unit}: nibabel {by_nibabel:g}, SimpleITK {by_simpleitk:g}; nilearn leaves {middle:.3f} in the middle")
    as_seen = as_seen and np.allclose((by_nibabel, by_simpleitk), (edge, 2)) and abs(middle - expected) < 0.01
sys.exit(not as_seen)
PYTHON
