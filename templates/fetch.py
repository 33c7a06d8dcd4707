"""Download the templates of the containers into a folder: ``python fetch.py FOLDER``."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

TEMPLATE = "MNI152NLin2009cAsym"
FILES = ({"suffix": "T1w", "desc": None}, {"suffix": "mask", "desc": "brain"})


def main() -> None:
    """Fetch each file that the folder does not hold; stop at one that cannot be had."""
    folder = Path(sys.argv[1]).resolve()
    os.environ["TEMPLATEFLOW_HOME"] = str(folder)
    from templateflow import api, conf  # noqa: PLC0415 - reads where to store when it is imported

    kept = {*folder.glob("tpl-*"), folder / f"tpl-{TEMPLATE}"}
    conf.setup_home(force=True)
    for wanted in FILES:
        api.get(TEMPLATE, resolution=1, extension=".nii.gz", raise_empty=True, **wanted)
    for other in {*folder.glob("tpl-*")} - kept:
        shutil.rmtree(other)
    _remove_placeholders(folder)


def _remove_placeholders(folder: Path) -> None:
    """Remove the empty files by which TemplateFlow knows all that there is to download."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()


if __name__ == "__main__":
    main()
