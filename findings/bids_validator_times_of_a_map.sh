#!/usr/bin/env bash
# bids-validator-deno 3.0.2 with the metadata of a T1 map that was computed from several images.
#
# The appendix on quantitative MRI has the parameters that differ between the images listed in the map's sidecar. Flip angles and echo
# times may be listed. Inversion times, and repetition times of excitation, may not: their type is one number, so that a T1 map of
# inversion recovery cannot say what it was made of, where one of variable flip angles can. A unit of ms, for which
# the specification has seconds, is not noticed.
#
# Seen, as errors of the validator for sub-01_T1map.json:
#   FlipAngle [3, 20]: none
#   EchoTime [0.002, 0.004]: none
#   InversionTime [0.05, 0.4, 1.1, 2.5]: JSON_SCHEMA_VALIDATION_ERROR InversionTime
#   RepetitionTimeExcitation [0.02, 0.03]: JSON_SCHEMA_VALIDATION_ERROR RepetitionTimeExcitation
#   Units "ms": none
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet bids-validator-deno==3.0.2 nibabel==5.4.2 numpy==2.4.0
cd "$folder"
PATH="$folder/venv/bin:$PATH" "$folder/venv/bin/python" - <<'PYTHON'
import json
import pathlib
import subprocess
import sys

import nibabel
import numpy as np

root = pathlib.Path("raw")
anat = root / "sub-01/anat"
anat.mkdir(parents=True)
(root / "dataset_description.json").write_text(json.dumps({"Name": "example", "BIDSVersion": "1.10.0"}))
(root / "README.md").write_text("An example of a few files. " * 10)
nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), anat / "sub-01_T1map.nii.gz")

as_seen = True
for field, value, is_error in (
    ("FlipAngle", [3, 20], False),
    ("EchoTime", [0.002, 0.004], False),
    ("InversionTime", [0.05, 0.4, 1.1, 2.5], True),
    ("RepetitionTimeExcitation", [0.02, 0.03], True),
    ("Units", "ms", False),
):
    (anat / "sub-01_T1map.json").write_text(json.dumps({field: value}))
    command = ["bids-validator-deno", str(root), "--format", "json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    found = [issue for issue in report["issues"]["issues"] if issue["severity"] == "error"]
    words = [f"{issue['code']} {issue.get('subCode', '')}" for issue in found]
    print(f"{field} {json.dumps(value)}: {', '.join(words) or 'none'}")
    as_seen = as_seen and words == [f"JSON_SCHEMA_VALIDATION_ERROR {field}"] * is_error
sys.exit(not as_seen)
PYTHON
