"""The table of all cases."""

from __future__ import annotations

from tests.corpus import names, options, readouts, scanner, sidecars, volumes

CASES = (
    *sidecars.CASES,
    *volumes.CASES,
    *names.CASES,
    *readouts.CASES,
    *scanner.CASES,
    *options.CASES,
)
