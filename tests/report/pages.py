"""Pages that several tests look at, made once."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from bids_t1.report import render_page
from tests.report.reader import Reader
from tests.report.readout_results import MONOTONE, Protocol, make_readout_run
from tests.report.report_results import make_result

if TYPE_CHECKING:
    from bids_t1.data.result import RunResult


@cache
def usual_page() -> str:
    """Return the page of one inversion-recovery run."""
    return render_page(make_result())


@cache
def readout_run(form: str = "complex", *, transmit: bool = True, protocol: Protocol = MONOTONE) -> RunResult:
    """Return an MP2RAGE run without anything unusual."""
    return make_readout_run(form=form, transmit=transmit, protocol=protocol)


@cache
def page_of(*runs: RunResult) -> Reader:
    """Read the page of runs, with plain spaces only."""
    reader = Reader(render_page(make_result(runs=runs)))
    reader.text = re.sub(r"\s+", " ", reader.text.replace("\N{NO-BREAK SPACE}", " "))
    return reader
