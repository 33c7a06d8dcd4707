#!/usr/bin/env bash
# Numba 0.68.1: a number written in the code makes single precision double. NumPy since 2.0 keeps the type of what it meets (NEP 50).
# The same function therefore returns another type, and other last bits, once it is compiled. A fraction does it to arrays and
# to single values, a whole number to single values only, and not as an exponent.
#
# Seen, of x in single precision:
#   array, x * 0.1: NumPy float32, Numba float64
#   array, x * 2: NumPy float32, Numba float32
#   one value, x * 0.1: NumPy float32, Numba float64
#   one value, x * 2: NumPy float32, Numba float64
#   one value, x ** 2: NumPy float32, Numba float32
#   one value, x * float32(0.1): NumPy float32, Numba float32
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

TENTH = np.float32(0.1)
ARRAY, VALUE = np.ones(7, np.float32), np.float32(1)

as_seen = True
for name, x, what, function, expected in (
    ("array", ARRAY, "x * 0.1", lambda x: x * 0.1, "float64"),
    ("array", ARRAY, "x * 2", lambda x: x * 2, "float32"),
    ("one value", VALUE, "x * 0.1", lambda x: x * 0.1, "float64"),
    ("one value", VALUE, "x * 2", lambda x: x * 2, "float64"),
    ("one value", VALUE, "x ** 2", lambda x: x**2, "float32"),
    ("one value", VALUE, "x * float32(0.1)", lambda x: x * TENTH, "float32"),
):
    compiled = numba.njit(function)
    compiled(x)
    (signature,) = compiled.nopython_signatures
    by_numba = str(getattr(signature.return_type, "dtype", signature.return_type))
    by_numpy = str(function(x).dtype)
    print(f"{name}, {what}: NumPy {by_numpy}, Numba {by_numba}")
    as_seen = as_seen and (by_numpy, by_numba) == ("float32", expected)
sys.exit(not as_seen)
PYTHON
