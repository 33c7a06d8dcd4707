#!/usr/bin/env bash
# niimath 1.0.20261016 with NaN in a mask: -mas keeps the voxels where the mask is NaN, -bin says that they are outside.
#
# A map whose missing voxels are NaN is thereby no mask of itself: "-mas map" keeps what is missing in the map, "-bin" first and
# then "-mas" leaves it out.
#
# Seen, with an image of 2 and a mask of NaN, 0 and 1:
#   -mas mask: 2 0 2
#   -bin of the mask: 0 0 1
#   -mas of the mask after -bin: 0 0 2
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet niimath==1.0.20261016 nibabel==5.4.2 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pathlib
import subprocess
import sys

import nibabel
import niimath
import numpy as np


def write(name, slabs):
    values = np.empty((3, 4, 4), np.float32)
    values[:] = np.reshape(slabs, (3, 1, 1))
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), name)


def slabs(*arguments):
    """Return what niimath makes of its arguments, one value of each slab."""
    subprocess.run([niimath.bin, *arguments, "result"], check=True, capture_output=True)
    (path,) = pathlib.Path().glob("result.nii*")
    return nibabel.load(path).get_fdata()[:, 0, 0].tolist()


write("image.nii", [2, 2, 2])
write("mask.nii", [np.nan, 0, 1])
seen = {"-mas mask": slabs("image.nii", "-mas", "mask.nii"), "-bin of the mask": slabs("mask.nii", "-bin")}
write("binary.nii", seen["-bin of the mask"])
seen["-mas of the mask after -bin"] = slabs("image.nii", "-mas", "binary.nii")
for what, values in seen.items():
    print(f"{what}: {' '.join(f'{value:g}' for value in values)}")
sys.exit(list(seen.values()) != [[2, 0, 2], [0, 0, 1], [0, 0, 2]])
PYTHON
