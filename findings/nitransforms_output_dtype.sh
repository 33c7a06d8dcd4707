#!/usr/bin/env bash
# nitransforms 25.1.0, resampling.apply with output_dtype: the type asked for is written into the header of the result, but values are
# computed in the type of the input. A mask or a map of integers comes back rounded in a floating-point image.
#
# By its documentation output_dtype is "the dtype of the returned array or image". A mask that is resampled linearly as weights, to
# know how much of a voxel was inside, then has no fractions, and the sum of the weights is wrong without a word.
#
# Seen, with a mask of 0 and 1 moved by half a voxel, order=1, output_dtype=float32:
#   mask of uint8: header float32, array uint8, values at the edge 0 1 1
#   mask of float32: header float32, array float32, values at the edge 0 0.5 1
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nitransforms==25.1.0 nibabel==5.4.2 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
from nitransforms.linear import Affine
from nitransforms.resampling import apply

by_half = np.eye(4)
by_half[0, 3] = 0.5

as_seen = True
for dtype, edge in ((np.uint8, [0, 1, 1]), (np.float32, [0, 0.5, 1])):
    mask = np.zeros((8, 8, 8), dtype)
    mask[4:] = 1
    image = nibabel.Nifti1Image(mask, np.eye(4))
    moved = apply(Affine(by_half), image, reference=image, order=1, output_dtype=np.float32)
    header, array = moved.get_data_dtype(), np.asanyarray(moved.dataobj).dtype
    values = moved.get_fdata()[2:5, 4, 4].tolist()
    print(f"mask of {np.dtype(dtype)}: header {header}, array {array}, values at the edge {' '.join(f'{value:g}' for value in values)}")
    as_seen = as_seen and header == np.float32 and array == dtype and values == edge
sys.exit(not as_seen)
PYTHON
