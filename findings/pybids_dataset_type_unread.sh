#!/usr/bin/env bash
# pybids 0.22.0 does not look at DatasetType of dataset_description.json. Opened as any other, a derivative dataset shows those of its
# files only whose names are also right for raw data, without a warning: a query for desc returns nothing, and one for T1map
# returns the one map without desc, which may be another than was meant. is_derivative=True shows all of them.
#
# Seen, with a mask, and T1 maps with desc, with space and desc, and with neither, of DatasetType derivative:
#   BIDSLayout(root): 1 of 4 images, desc a 0, T1map 1
#   BIDSLayout(root, is_derivative=True): 4 of 4 images, desc a 2, T1map 3
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

root = pathlib.Path("derivative").absolute()
anat = root / "sub-01/anat"
anat.mkdir(parents=True)
description = {"Name": "example", "BIDSVersion": "1.10.0", "DatasetType": "derivative", "GeneratedBy": [{"Name": "tool"}]}
(root / "dataset_description.json").write_text(json.dumps(description))
for name in ("desc-brain_mask", "desc-a_T1map", "space-MNI152Lin_desc-a_T1map", "T1map"):
    (anat / f"sub-01_{name}.nii.gz").touch()

as_seen = True
for options, expected in (({}, (1, 0, 1)), ({"is_derivative": True}, (4, 2, 3))):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layout = BIDSLayout(root, **options)
        found = tuple(len(layout.get(extension=".nii.gz", **query)) for query in ({}, {"desc": "a"}, {"suffix": "T1map"}))
    told = any("derivative" in str(warning.message).lower() for warning in caught)
    shown = "".join(f", {name}={value}" for name, value in options.items())
    print(f"BIDSLayout(root{shown}): {found[0]} of 4 images, desc a {found[1]}, T1map {found[2]}")
    as_seen = as_seen and found == expected and not told
sys.exit(not as_seen)
PYTHON
