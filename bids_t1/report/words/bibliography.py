"""Works as BibTeX, and text that cites them by number as LaTeX that cites them by key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_t1.report.words.literature import Work

_SOURCE = re.compile(
    r"(?P<journal>.+?)(?: (?P<volume>\d+)(?:\((?P<number>\d+)\))?(?::(?P<pages>[\w-]+))?)? \((?P<year>\d{4})\b.*\)"
)

_CITATION = re.compile(r"\[(\d+(?:, \d+)*)\]")

_IN_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{MINUS SIGN}": "$-$",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "κ": r"$\kappa$",
    "\N{GREEK SMALL LETTER SIGMA}": r"$\sigma$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "≤": r"$\leq$",
    "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    "\N{THIN SPACE}": r"\,",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def keys_of(works: Sequence[Work]) -> tuple[str, ...]:
    """Return a key for each work, first author and year, and a letter where these are the same."""
    keys: list[str] = []
    for work in works:
        author = re.sub(r"\W", "", work.authors.split(",")[0].rsplit(" ", 1)[0])
        plain = f"{author}{_parts(work)['year']}"
        letters = ("", *"bcdefghij")
        keys.append(next(plain + letter for letter in letters if plain + letter not in keys))
    return tuple(keys)


def as_bibtex(works: Sequence[Work]) -> str:
    """Return the works as entries of a bibliography."""
    return "\n".join(_entry(key, work) for key, work in zip(keys_of(works), works, strict=True))


def as_latex(paragraphs: Sequence[str], works: Sequence[Work]) -> str:
    """Return text whose numbers in brackets are citations of works by their place, from 1."""
    keys = keys_of(works)

    def cited(match: re.Match[str]) -> str:
        numbers = [int(number) for number in match[1].split(", ")]
        if not all(0 < number <= len(keys) for number in numbers):
            return match[0]
        return f"\\cite{{{','.join(keys[number - 1] for number in numbers)}}}"

    return "\n\n".join(_CITATION.sub(cited, _escaped(paragraph)) for paragraph in paragraphs) + "\n"


def _entry(key: str, work: Work) -> str:
    authors = work.authors.removesuffix(", and others")
    names = [_name(author) for author in authors.split(", ")] + ["others"] * (authors != work.authors)
    fields = {"author": " and ".join(names), "title": f"{{{_escaped(work.title)}}}"}
    fields |= {name: _escaped(value) for name, value in _parts(work).items() if value}
    if pages := fields.get("pages"):
        fields["pages"] = pages.replace("-", "--")
    lines = [f"  {name} = {{{value}}}," for name, value in [*fields.items(), ("doi", work.doi)]]
    return "\n".join([f"@article{{{key},", *lines, "}", ""])


def _name(author: str) -> str:
    """Return 'Family, A. B.' of 'Family AB'; the name of a group as it is."""
    family, _, initials = author.rpartition(" ")
    if not family or not initials.isupper():
        return f"{{{_escaped(author)}}}"
    return f"{_escaped(family)}, {' '.join(f'{letter}.' for letter in initials if letter.isalpha())}"


def _parts(work: Work) -> dict[str, str | None]:
    found = _SOURCE.fullmatch(work.source)
    return {"journal": work.source, "year": None} if found is None else found.groupdict()


def _escaped(text: str) -> str:
    return "".join(_IN_LATEX.get(character, character) for character in text)
