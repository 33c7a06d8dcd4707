#!/usr/bin/env bash
# Numba 0.68.1: sum() and mean() of an array of single precision add one element after another, in single precision. NumPy 2.4.0 adds in
# pairs. The same function therefore gives another mean once it is compiled, and from 2^24 equal elements on the sum stands still.
#
# Seen, of 2^25 ones, which is two 3D images of 256 voxels along each axis:
#   NumPy: sum 33554432, mean 1
#   Numba: sum 16777216, mean 0.5
#   Numba, of the same in double precision: sum 33554432, mean 1
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numba==0.68.1 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numba
import numpy as np


def total(values):
    return values.sum(), values.mean()


compiled = numba.njit(total)
ones = np.ones(2**25, np.float32)
seen = {
    "NumPy": total(ones),
    "Numba": compiled(ones),
    "Numba, of the same in double precision": compiled(ones.astype(np.float64)),
}
for what, (sum_, mean) in seen.items():
    print(f"{what}: sum {sum_:.0f}, mean {mean:g}")
sys.exit([tuple(map(float, pair)) for pair in seen.values()] != [(2**25, 1), (2**24, 0.5), (2**25, 1)])
PYTHON
