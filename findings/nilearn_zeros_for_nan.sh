#!/usr/bin/env bash
# nilearn 0.14.1 with an image that has NaN where nothing was measured.
#
# 1. NiftiMasker and NiftiLabelsMasker put 0 in place of NaN and count it: the mean of a region falls with every voxel that is
#    missing. NiftiLabelsMasker warns, NiftiMasker does not.
# 2. NiftiLabelsMasker writes those zeros into the image it was given, where that was made in memory: numpy.nanmean of the same
#    array counts them afterwards. NiftiMasker leaves the image as it is.
#
# Seen, with 1 in 800 voxels of a region and NaN in 200:
#   NiftiMasker: mean 0.8, not warned; the caller's image then has 200 NaN and a nanmean of 1
#   NiftiLabelsMasker: mean 0.8, warned; the caller's image then has 0 NaN and a nanmean of 0.8
#
# Exits with 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nilearn==0.14.1 nibabel==5.4.2 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import nibabel
import numpy as np
from nilearn.maskers import NiftiLabelsMasker, NiftiMasker

inside = np.zeros((12, 12, 12), np.uint8)
inside[1:11, 1:11, 1:11] = 1
region = nibabel.Nifti1Image(inside, np.eye(4))

as_seen = True
for masker, tells, left_expected in ((NiftiMasker, False, 200), (NiftiLabelsMasker, True, 0)):
    values = np.ones((12, 12, 12), np.float32)
    values[1:3, 1:11, 1:11] = np.nan
    image = nibabel.Nifti1Image(values, np.eye(4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mean = float(masker(region, standardize=None).fit_transform(image).mean())
    told = any("Non-finite" in str(warning.message) for warning in caught)
    left = int(np.isnan(values).sum())
    after = float(np.nanmean(values[inside == 1]))
    print(
        f"{masker.__name__}: mean {mean:.3g}, {'warned' if told else 'not warned'}; "
        f"the caller's image then has {left} NaN and a nanmean of {after:.3g}"
    )
    as_seen = as_seen and abs(mean - 0.8) < 1e-6 and told == tells and left == left_expected
sys.exit(not as_seen)
PYTHON
