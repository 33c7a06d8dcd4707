"""What operators and vendors call their sequences: hints, never a proof."""

from __future__ import annotations

import re

MP2RAGE = re.compile(r"mp[23n]rage", re.IGNORECASE)

SA2RAGE = re.compile(r"sa2rage", re.IGNORECASE)
"""Two readouts after one saturation (Eggenschwiler et al. 2012, doi:10.1002/mrm.23145): the twin of MP2RAGE for B1."""

AFI = re.compile(r"(?<![a-z])afi(?=b1|[^a-z]|$)|actual[\W_]*flip", re.IGNORECASE)
"""Actual flip angle imaging (Yarnykh 2007, doi:10.1002/mrm.21120)."""

DOUBLE_ANGLE = re.compile(r"(?<![a-z])dam(?![a-z])|double[\W_]*angle", re.IGNORECASE)
"""Double angle method (Insko and Bolinger 1993, doi:10.1006/jmra.1993.1133)."""

TFL_B1_MAP = re.compile(r"tfl[\W_]*b1[\W_]*map", re.IGNORECASE)
"""The vendor's name of turbo gradient echoes after a saturation (Chung et al. 2010, doi:10.1002/mrm.22423)."""

FIELD_MAP = re.compile(r"field[\W_]*map|gre_field|(?<![a-z0-9])b0|phase[\W_]*diff", re.IGNORECASE)

READOUT = re.compile(r"(?<![a-z])inv[\W_]*([1-5])(?![0-9])", re.IGNORECASE)
"""INV1, INV2: number of a readout in the description of a Siemens series (bids-standard/bids-specification#1890)."""

UNIFORM = re.compile(r"(?<![a-z])uni(?![a-z])|uniform", re.IGNORECASE)

DENOISED = re.compile(r"uni[\W_]*den|denois", re.IGNORECASE)
"""UNI-DEN in a description (bids-standard/bids-specification#1890)."""
