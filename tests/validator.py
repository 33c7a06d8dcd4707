"""The BIDS validator of this environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def errors(dataset: Path) -> list[object]:
    """Return the errors the validator finds in a dataset, raw or derivative."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    words = [str(validator), str(dataset), "--ignoreWarnings", "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = [issue for issue in json.loads(done.stdout)["issues"]["issues"] if issue["severity"] == "error"]
    assert done.returncode == (16 if found else 0), done.stderr
    return found
