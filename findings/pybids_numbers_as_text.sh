#!/usr/bin/env bash
# pybids 0.22.0 compares numbers in queries as text.
#
# 1. run-01 is found by run=1, inv-01 is not found by inv=1, nor echo-01 by echo=1 or flip-01 by flip=1: these entities are words. The
#    specification has all four as an index that may be padded by zeros. A query that finds nothing returns an empty list.
# 2. Metadata are found only as they were written: FlipAngle=180.0 does not find a sidecar with 180, nor 180 one with 180.0.
#
# Seen, in numbers of files found:
#   run=1: 1 of 1
#   inv=1: 0 of 1, inv="01": 1 of 1
#   echo=1: 0 of 1, echo="01": 1 of 1
#   flip=1: 0 of 1, flip="01": 1 of 1
#   sidecar with 180: FlipAngle=180 1, FlipAngle=180.0 0
#   sidecar with 180.0: FlipAngle=180 0, FlipAngle=180.0 1
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pybids==0.22.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import pathlib
import sys
import warnings

from bids import BIDSLayout

root = pathlib.Path("raw").absolute()
anat = root / "sub-01/anat"
anat.mkdir(parents=True)
(root / "dataset_description.json").write_text(json.dumps({"Name": "example", "BIDSVersion": "1.10.0"}))
NAMES = {
    "run": "run-01_UNIT1",
    "inv": "inv-01_IRT1",
    "echo": "echo-01_MEGRE",
    "flip": "flip-01_VFA",
    "whole": "acq-whole_T1w",
    "fraction": "acq-fraction_T1w",
}
for name in NAMES.values():
    (anat / f"sub-01_{name}.nii.gz").touch()
(anat / "sub-01_acq-whole_T1w.json").write_text('{"FlipAngle": 180}')
(anat / "sub-01_acq-fraction_T1w.json").write_text('{"FlipAngle": 180.0}')
warnings.simplefilter("ignore")  # of changes to come
layout = BIDSLayout(root)


def found(**query):
    return len(layout.get(extension=".nii.gz", **query))


as_seen = found(run=1) == 1
print(f"run=1: {found(run=1)} of 1")
for entity in ("inv", "echo", "flip"):
    number, word = found(**{entity: 1}), found(**{entity: "01"})
    print(f'{entity}=1: {number} of 1, {entity}="01": {word} of 1')
    as_seen = as_seen and (number, word) == (0, 1)
for acquisition, written, expected in (("whole", "180", (1, 0)), ("fraction", "180.0", (0, 1))):
    by_whole, by_fraction = (found(acquisition=acquisition, FlipAngle=angle) for angle in (180, 180.0))
    print(f"sidecar with {written}: FlipAngle=180 {by_whole}, FlipAngle=180.0 {by_fraction}")
    as_seen = as_seen and (by_whole, by_fraction) == expected
sys.exit(not as_seen)
PYTHON
