#!/usr/bin/env bash
# boutiques 0.5.33, bosh: path-template-stripped-extensions takes the given text out of the whole value, not from its end. Folders and
# the middle of names lose it as well, and of two extensions the shorter one, if it is named first, leaves half of the longer.
#
# Seen, with the path template "[IN]_map.nii.gz":
#   strip .nii.gz from a.nii.gz: a_map.nii.gz
#   strip .nii.gz from images.nii.gz.d/a.nii.gz: images.d/a_map.nii.gz
#   strip .T1 from sub.T1.nii.gz: sub.nii.gz_map.nii.gz
#   strip .nii .nii.gz from a.nii.gz: a.gz_map.nii.gz
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet boutiques==0.5.33
cd "$folder"
PATH="$folder/venv/bin:$PATH" "$folder/venv/bin/python" - <<'PYTHON'
import json
import pathlib
import subprocess
import sys

as_seen = True
for extensions, given, expected in (
    ([".nii.gz"], "a.nii.gz", "a_map.nii.gz"),
    ([".nii.gz"], "images.nii.gz.d/a.nii.gz", "images.d/a_map.nii.gz"),
    ([".T1"], "sub.T1.nii.gz", "sub.nii.gz_map.nii.gz"),
    ([".nii", ".nii.gz"], "a.nii.gz", "a.gz_map.nii.gz"),
):
    descriptor = {
        "name": "tool", "description": "An example.", "tool-version": "1", "schema-version": "0.5",
        "command-line": "tool [IN] [OUT]",
        "inputs": [{"id": "image", "name": "image", "type": "String", "value-key": "[IN]"}],
        "output-files": [{
            "id": "map", "name": "map", "value-key": "[OUT]", "path-template": "[IN]_map.nii.gz",
            "path-template-stripped-extensions": extensions,
        }],
    }  # fmt: skip
    pathlib.Path("tool.json").write_text(json.dumps(descriptor))
    pathlib.Path("given.json").write_text(json.dumps({"image": given}))
    command = ["bosh", "exec", "simulate", "-i", "given.json", "tool.json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    made = next(line.split()[2] for line in said.splitlines() if line.startswith("tool"))
    print(f"strip {' '.join(extensions)} from {given}: {made}")
    as_seen = as_seen and made == expected
sys.exit(not as_seen)
PYTHON
