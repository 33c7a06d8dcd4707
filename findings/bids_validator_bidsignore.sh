#!/usr/bin/env bash
# bids-validator-deno 3.0.2 and .bidsignore, whose patterns look like those of .gitignore and are not taken like them.
#
# 1. A pattern with a slash at its end, which means a folder and is how derivative tools list their figures, hides what is in the
#    folder, but the folder itself is reported: an error (bids-standard/bids-validator#291). Without the slash both are hidden.
# 2. "-r" (--recursive), from the raw dataset, does not apply the .bidsignore of a derivative dataset that is valid by itself.
#
# Seen:
#   figures/: 1 error, NOT_INCLUDED /sub-01/figures/, exit code 16
#   **/figures/: 1 error, NOT_INCLUDED /sub-01/figures/, exit code 16
#   sub-01/figures/: 1 error, NOT_INCLUDED /sub-01/figures/, exit code 16
#   figures: no error, exit code 0
#   the same derivative, figures, from its raw dataset with -r: 2 errors, NOT_INCLUDED /sub-01/figures/ /sub-01/figures/a.svg, exit code 16
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

RAW, DERIVATIVE = pathlib.Path("raw"), pathlib.Path("raw/derivatives/tool")
FOLDER, FILE = "/sub-01/figures/", "/sub-01/figures/a.svg"


def describe(root, **fields):
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "example", "BIDSVersion": "1.10.0", **fields}))
    (root / "README.md").write_text("An example of a few files. " * 10)


def errors(root, *options):
    command = ["bids-validator-deno", str(root), "--format", "json", *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(run.stdout)
    parts = [report, *report.get("derivativesSummary", {}).values()]
    issues = [issue for part in parts for issue in part["issues"]["issues"] if issue["severity"] == "error"]
    return run.returncode, [(issue["code"], issue["location"]) for issue in issues]


def told(what, code, found):
    places = f"{len(found)} error{'s' * (len(found) > 1)}, NOT_INCLUDED {' '.join(place for _, place in found)}"
    print(f"{what}: {places if found else 'no error'}, exit code {code}")


describe(RAW)
(RAW / "sub-01/anat").mkdir(parents=True)
nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), RAW / "sub-01/anat/sub-01_T1w.nii.gz")
describe(DERIVATIVE, DatasetType="derivative", GeneratedBy=[{"Name": "tool"}])
(DERIVATIVE / "sub-01/figures").mkdir(parents=True)
(DERIVATIVE / "sub-01/figures/a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

as_seen = True
for pattern, expected in (("figures/", [FOLDER]), ("**/figures/", [FOLDER]), ("sub-01/figures/", [FOLDER]), ("figures", [])):
    (DERIVATIVE / ".bidsignore").write_text(f"{pattern}\n")
    code, found = errors(DERIVATIVE)
    told(pattern, code, found)
    as_seen = as_seen and found == [("NOT_INCLUDED", place) for place in expected] and code == (16 if expected else 0)
code, found = errors(RAW, "-r")
told("the same derivative, figures, from its raw dataset with -r", code, found)
sys.exit(not (as_seen and sorted(found) == [("NOT_INCLUDED", FOLDER), ("NOT_INCLUDED", FILE)] and code == 16))
PYTHON
