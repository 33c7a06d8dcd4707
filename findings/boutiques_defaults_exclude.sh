#!/usr/bin/env bash
# boutiques 0.5.33, bosh: an input with a default value counts as given when it is checked which inputs exclude each other. In a
# mutually exclusive group, or under disables-inputs, the other input can then never be used. "bosh validate" finds the descriptor
# to be right, and the error names the value that nobody gave.
#
# Seen, with inputs a and b (b: default 5), and an invocation that gives a alone:
#   no exclusion: bosh validate 0, simulate 0, "tool --a 1 --b 5"
#   mutually exclusive group: bosh validate 0, simulate 99, no command
#   a disables b: bosh validate 0, simulate 99, no command
#   mutually exclusive group, b without default: bosh validate 0, simulate 0, "tool --a 1"
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

GROUP = {"groups": [{"id": "one", "name": "one of them", "members": ["a", "b"], "mutually-exclusive": True}]}


def number(name, **fields):
    key = f"[{name.upper()}]"
    return {"id": name, "name": name, "type": "Number", "value-key": key, "command-line-flag": f"--{name}", "optional": True, **fields}


def bosh(*arguments):
    return subprocess.run(["bosh", *arguments], capture_output=True, text=True, check=False)


as_seen = True
for what, of_a, of_b, more, command in (
    ("no exclusion", {}, {"default-value": 5}, {}, "tool --a 1 --b 5"),
    ("mutually exclusive group", {}, {"default-value": 5}, GROUP, None),
    ("a disables b", {"disables-inputs": ["b"]}, {"default-value": 5}, {}, None),
    ("mutually exclusive group, b without default", {}, {}, GROUP, "tool --a 1"),
):
    descriptor = {
        "name": "tool", "description": "An example.", "tool-version": "1", "schema-version": "0.5",
        "command-line": "tool [A] [B]", "inputs": [number("a", **of_a), number("b", **of_b)], **more,
    }  # fmt: skip
    pathlib.Path("tool.json").write_text(json.dumps(descriptor))
    pathlib.Path("given.json").write_text(json.dumps({"a": 1}))
    validated = bosh("validate", "tool.json")
    simulated = bosh("exec", "simulate", "-i", "given.json", "tool.json")
    made = next((line.strip() for line in simulated.stdout.splitlines() if line.startswith("tool")), None)
    shown = f'"{made}"' if made else "no command"
    print(f"{what}: bosh validate {validated.returncode}, simulate {simulated.returncode}, {shown}")
    as_seen = as_seen and validated.returncode == 0 and made == command and (simulated.returncode == 0) == (command is not None)
sys.exit(not as_seen)
PYTHON
