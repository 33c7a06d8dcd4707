#!/usr/bin/env bash
# pybids 0.22.0, BIDSLayout.build_path of a derivative dataset: desc and space are left out of the name where a pattern for
# raw data fits the rest. Several maps get one name, that of the raw image, and the second overwrites the first. No warning.
#
# Only with strict=True and validate=False together is the name right, for suffixes that have a pattern. strict=True alone
# refuses the right name, and there is none for UNIT1 with desc.
#
# Seen, of BIDSLayout(root, is_derivative=True):
#   T1map, desc a: sub-01_T1map.nii.gz
#   T1map, desc b: sub-01_T1map.nii.gz
#   T1map, desc a, space MNI152Lin: sub-01_T1map.nii.gz
#   T1w, desc preproc: sub-01_T1w.nii.gz
#   T1map, desc a, validate=False: sub-01_T1map.nii.gz
#   T1map, desc a, strict=True: BIDSValidationError
#   T1map, desc a, strict=True, validate=False: sub-01_desc-a_T1map.nii.gz
#   UNIT1, desc a, strict=True, validate=False: ValueError
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
from bids.exceptions import BIDSValidationError

root = pathlib.Path("derivative").absolute()
root.mkdir()
description = {"Name": "example", "BIDSVersion": "1.10.0", "DatasetType": "derivative", "GeneratedBy": [{"Name": "tool"}]}
(root / "dataset_description.json").write_text(json.dumps(description))
warnings.simplefilter("ignore")  # of changes to come
layout = BIDSLayout(root, is_derivative=True)

as_seen = True
for suffix, entities, how, expected in (
    ("T1map", {"desc": "a"}, {}, "sub-01_T1map.nii.gz"),
    ("T1map", {"desc": "b"}, {}, "sub-01_T1map.nii.gz"),
    ("T1map", {"desc": "a", "space": "MNI152Lin"}, {}, "sub-01_T1map.nii.gz"),
    ("T1w", {"desc": "preproc"}, {}, "sub-01_T1w.nii.gz"),
    ("T1map", {"desc": "a"}, {"validate": False}, "sub-01_T1map.nii.gz"),
    ("T1map", {"desc": "a"}, {"strict": True}, "BIDSValidationError"),
    ("T1map", {"desc": "a"}, {"strict": True, "validate": False}, "sub-01_desc-a_T1map.nii.gz"),
    ("UNIT1", {"desc": "a"}, {"strict": True, "validate": False}, "ValueError"),
):
    source = {"subject": "01", "datatype": "anat", "suffix": suffix, "extension": ".nii.gz", **entities}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            name = pathlib.Path(layout.build_path(source, **how)).name
        except (BIDSValidationError, ValueError) as error:
            name = type(error).__name__
    wanted = [f"{key} {value}" for key, value in entities.items()] + [f"{key}={value}" for key, value in how.items()]
    print(f"{suffix}, {', '.join(wanted)}: {name}")
    as_seen = as_seen and name == expected and not caught
sys.exit(not as_seen)
PYTHON
