#!/usr/bin/env bash
# pybids 0.22.0 with SQLAlchemy 2.1.9: indices that nobody uses any more.
#
# BIDSLayout.config, BIDSFile.relpath and ConnectionManager.layout_info are properties over functools.lru_cache, whose keys
# are the objects themselves: each process keeps the last 128 layouts that it made, with their databases in memory and the
# statements compiled for them. `del layout` and gc.collect() free none. A program that makes a layout per participant
# grows by some 0.8 MB with each, until the 129th. Clearing the three caches frees them.
#
# Seen:
#   20 layouts of one file each were made and deleted: 20 still there
#   after cache_clear() of the three properties: 0
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pybids==0.22.0 sqlalchemy==2.1.9
mkdir -p "$folder/data/sub-01/anat"
echo '{"Name": "one image", "BIDSVersion": "1.10.0"}' > "$folder/data/dataset_description.json"
: > "$folder/data/sub-01/anat/sub-01_T1w.nii.gz"
"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import gc
import sys
import weakref

from bids.layout import BIDSLayout
from bids.layout.db import ConnectionManager
from bids.layout.models import BIDSFile


def index_and_forget() -> weakref.ref:
    layout = BIDSLayout(sys.argv[1])
    assert len(layout.get(suffix="T1w")) == 1
    return weakref.ref(layout)


def alive(layouts: list) -> int:
    gc.collect()
    return sum(one() is not None for one in layouts)


layouts = [index_and_forget() for _ in range(20)]
kept = alive(layouts)
print(f"{len(layouts)} layouts of one file each were made and deleted: {kept} still there")
for cached in (BIDSLayout.config, BIDSFile.relpath, ConnectionManager.layout_info):
    cached.fget.cache_clear()
left = alive(layouts)
print(f"after cache_clear() of the three properties: {left}")
sys.exit((kept, left) != (20, 0))
PYTHON
