"""Where the files of the template lie: found without what it takes to read them."""

from __future__ import annotations

import os
from pathlib import Path

NAME = "MNI152NLin2009cAsym"

TABLE = "tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_atlas-HOSPA_dseg.tsv"
"""Where TemplateFlow keeps the names of the atlas' labels, for all spaces."""


def installed() -> list[Path]:
    """Return what the folder of TemplateFlow holds of the template: what tissues depend on besides the images."""
    home = template_home()
    files = [*(home / f"tpl-{NAME}").rglob("*"), home / TABLE]
    return sorted(path for path in files if path.is_file() and path.stat().st_size)


def template_home() -> Path:
    """Return the folder of TemplateFlow."""
    from platformdirs import user_cache_dir  # noqa: PLC0415 - needed without the variable only

    return Path(os.environ.get("TEMPLATEFLOW_HOME") or user_cache_dir("templateflow"))
