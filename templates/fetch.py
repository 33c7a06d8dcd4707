"""Download the templates of the containers into a folder: ``python fetch.py FOLDER``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TEMPLATE = "MNI152NLin2009cAsym"
FILES = (
    {"suffix": "T1w", "desc": "brain"},
    {"suffix": "mask", "desc": "brain"},
    {"suffix": "probseg", "label": "GM"},
    {"suffix": "probseg", "label": "WM"},
    {"suffix": "dseg", "atlas": "HOSPA", "desc": "th25"},
)
"""Those of ``bids_t1.tissue.templates``."""

TABLE = {"template": "MNI152NLin6Asym", "suffix": "dseg", "atlas": "HOSPA", "desc": None}
"""Names of the atlas' labels, which TemplateFlow keeps once for all spaces."""


ABOUT = ("template_description.json", "LICENSE", "CITATION", "CHANGES")
"""Files that say what a template is and who may use it."""


def main() -> None:
    """Fetch each file that the folder does not hold; stop at one that cannot be had."""
    folder = Path(sys.argv[1]).resolve()
    os.environ["TEMPLATEFLOW_HOME"] = str(folder)
    from templateflow import api, conf  # noqa: PLC0415 - reads where to store when it is imported

    kept = {path for path in folder.rglob("tpl-*/*") if path.is_file() and path.stat().st_size}
    conf.setup_home(force=True)
    for wanted in FILES:
        kept.add(Path(api.get(TEMPLATE, resolution=2, extension=".nii.gz", raise_empty=True, **wanted)))
    kept.add(Path(api.get(extension=".tsv", raise_empty=True, **TABLE)))
    _remove_others(folder, kept)


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove what TemplateFlow lays out of all templates: descriptions, and empty files for what it could download."""
    for template in folder.glob("tpl-*"):
        used = any(path.is_relative_to(template) for path in kept)
        for path in sorted(template.rglob("*"), reverse=True):
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in kept and not (used and path.parent == template and path.name in ABOUT):
                path.unlink()
        if not any(template.iterdir()):
            template.rmdir()


if __name__ == "__main__":
    main()
