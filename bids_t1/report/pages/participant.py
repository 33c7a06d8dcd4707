"""One HTML page per participant, with everything in it. Read `render_page` first.

Pictures are embedded as data URIs, not files beside the page: a page that is mailed or moved still shows
everything, and no picture can end up beside another participant's text. The page loads nothing, so that it opens
offline, and the same result gives the same bytes. Its scripts show maps in three planes where a browser lets them, and
save what a reader thinks of the scans; all else is there without.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from bids_t1.data.errors import CannotCreateOutputError
from bids_t1.data.sequences import title_of
from bids_t1.report.sections import regions
from bids_t1.report.sections.comparison import describe_comparison
from bids_t1.report.sections.in_template import describe_in_template
from bids_t1.report.sections.quality import describe_quality
from bids_t1.report.sections.rating import describe_rating
from bids_t1.report.sections.run import describe_run
from bids_t1.report.sections.tissues import describe_tissues
from bids_t1.report.sections.viewer import describe_viewer
from bids_t1.report.voices.methods import write_methods
from bids_t1.report.words import wording
from bids_t1.report.words.quantity import QUANTITIES, T1
from bids_t1.storage import write_whole
from bids_t1.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jinja2 import Template

    from bids_t1.data.result import ParticipantResult
    from bids_t1.report.sections.comparison import ComparisonSection
    from bids_t1.report.sections.in_template import InTemplateSection
    from bids_t1.report.sections.run import RunSection
    from bids_t1.report.sections.tissues import TissueSection
    from bids_t1.report.words.quantity import Quantity


def write_page(result: ParticipantResult, out_dir: Path, *, n_threads: int = 1) -> Path:
    """Write the page of one participant, whole or not at all, and return its path; as many runs are drawn at a time.

    Raises
    ------
    CannotCreateOutputError
        If there is no folder to write to.
    InputOutputError
        If the page cannot be written.
    """
    page = out_dir / f"sub-{result.participant}.html"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotCreateOutputError(
            f"{out_dir}: cannot be written ({error.strerror}). Check the output folder."
        ) from error
    write_whole(page, render_page(result, n_threads=n_threads))
    return page


def render_page(result: ParticipantResult, *, n_threads: int = 1) -> str:
    """Return the page of one participant as HTML."""
    sections = side_by_side(lambda one: describe_run(one[1], one[0]), enumerate(result.runs, 1), n_threads)
    quantities = _quantities_of(sections)
    tissues = describe_tissues(result)
    comparisons = [describe_comparison(one, result, number) for number, one in enumerate(result.comparisons, 1)]
    in_templates = list(map(describe_in_template, result.in_templates, count(1)))
    together: list[TissueSection | ComparisonSection | InTemplateSection] = [
        *([tissues] if tissues else []),
        *comparisons,
        *in_templates,
    ]
    every = [*together, *sections]
    return template("page.html.j2").render(
        result=result,
        sessions=_sessions_of(result),
        runs=sections,
        quality=describe_quality(result, sections),
        tissues=tissues,
        viewer=describe_viewer(result),
        rating=describe_rating(result, sections),
        comparisons=comparisons,
        in_templates=in_templates,
        together=together,
        headlines=regions.headlines(result.regions),
        headline_tissues=[tissue.meaning for tissue in regions.headline_tissues(result.regions)],
        quantities=quantities,
        measured=wording.listed([quantity.name for quantity in quantities or [T1]]),
        methods=write_methods(result) if result.runs else None,
        methods_of=_methods_of(result),
        cautioned=list(filter(attrgetter("cautions"), every)),
        n_cautions=sum(len(section.cautions) for section in every),
        n_warnings=len(result.warnings) + sum(len(section.warnings) for section in every),
    )


@cache
def template(name: str) -> Template:
    """Return a page without its contents; compiling it takes as long as filling it."""
    # Series descriptions and messages come from outside: everything is escaped.
    environment = Environment(
        loader=PackageLoader("bids_t1.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = wording.counted
    environment.filters["typeset"] = wording.typeset
    environment.filters["without_folders"] = wording.without_folders
    return environment.get_template(name)


def _quantities_of(sections: Sequence[RunSection]) -> list[Quantity]:
    measured = {section.quantity for section in sections}
    return [quantity for quantity in QUANTITIES if quantity in measured]


def _sessions_of(result: ParticipantResult) -> list[str]:
    sessions = dict.fromkeys(run.name.get("ses") for run in result.runs)
    return [session for session in sessions if session is not None]


def _methods_of(result: ParticipantResult) -> str:
    """Return the sequences of the runs, for the head of the page."""
    names = dict.fromkeys(wording.within_a_sentence(title_of(run.sequence)) for run in result.runs)
    return f", from {wording.listed(list(names))}" if names else ""
