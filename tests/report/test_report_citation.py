"""The methods as files for a paper."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bids_t1.report.pages.citation import write_citation
from bids_t1.report.voices.methods import write_methods
from bids_t1.report.words import literature
from bids_t1.report.words.bibliography import as_bibtex, as_latex, keys_of
from bids_t1.report.words.literature import Work
from tests.report.report_results import make_result

if TYPE_CHECKING:
    from pathlib import Path

WORKS = tuple(work for work in vars(literature).values() if isinstance(work, Work))


def test_text_latex_and_bibtex_cite_the_works_of_the_page(tmp_path: Path) -> None:
    result = make_result()
    text, latex, bibtex = ((tmp_path / file).read_text(encoding="utf-8") for file in write_citation(result, tmp_path))
    methods = write_methods(result)
    assert all(work.doi in text and work.doi in bibtex for work in methods.references)
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", latex) for key in keys.split(",")}
    in_text = {int(n) for numbers in re.findall(r"\[(\d+(?:, \d+)*)\]", text) for n in numbers.split(", ")}
    assert cited <= set(re.findall(r"@article\{(\w+),", bibtex))
    assert cited == {keys_of(methods.references)[n - 1] for n in in_text if n <= len(cited)}
    assert not re.search(r"\[\d", latex)


def test_a_participant_without_a_run_cites_nothing(tmp_path: Path) -> None:
    assert write_citation(make_result(runs=()), tmp_path) == ()


def test_every_work_has_a_key_of_its_own_a_journal_and_a_year() -> None:
    assert len(set(keys_of(WORKS))) == len(WORKS)
    bibtex = as_bibtex(WORKS)
    assert len(re.findall(r"^  year = \{\d{4}\},$", bibtex, re.MULTILINE)) == len(WORKS)
    assert not re.search(r"journal = \{[^}]*\d{4}", bibtex)
    assert bibtex.count("{") == bibtex.count("}")


def test_authors_volume_and_pages_are_those_of_the_work() -> None:
    entry = as_bibtex([literature.GUDBJARTSSON])
    assert "  author = {Gudbjartsson, H. and Patz, S.}," in entry
    assert "  volume = {34}," in entry
    assert "  pages = {910--914}," in entry


def test_signs_of_latex_are_escaped_and_intervals_are_no_citations() -> None:
    assert as_latex(["5 % of a_b [1] and [7]"], WORKS[:1]) == f"5 \\% of a\\_b \\cite{{{keys_of(WORKS)[0]}}} and [7]\n"
