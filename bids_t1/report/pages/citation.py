"""The methods of a participant's page as files for a paper: text, LaTeX and BibTeX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.report.voices.methods import write_methods
from bids_t1.report.words.bibliography import as_bibtex, as_latex
from bids_t1.storage import write_whole

if TYPE_CHECKING:
    from bids_t1.data.result import ParticipantResult
    from bids_t1.report.voices.methods import Methods


def write_citation(result: ParticipantResult, out_dir: Path) -> tuple[Path, ...]:
    """Write ``logs/sub-L_citation`` as .txt, .tex and .bib; nothing of a participant without a run.

    Returns the files, relative to `out_dir`.

    Raises
    ------
    InputOutputError
        If one cannot be written.
    """
    if not result.runs:
        return ()
    methods = write_methods(result)
    (out_dir / "logs").mkdir(parents=True, exist_ok=True)
    texts = {
        "txt": _as_text(methods),
        "tex": as_latex(methods.paragraphs, methods.references),
        "bib": as_bibtex(methods.references),
    }
    files = {Path("logs", f"sub-{result.participant}_citation.{form}"): text for form, text in texts.items()}
    for file, text in files.items():
        write_whole(out_dir / file, text)
    return tuple(files)


def _as_text(methods: Methods) -> str:
    works = enumerate(methods.references, 1)
    listed = [f"[{n}] {work.authors}. {work.title}. {work.source}. https://doi.org/{work.doi}" for n, work in works]
    return "\n\n".join([*methods.paragraphs, "\n".join(listed)]) + "\n"
