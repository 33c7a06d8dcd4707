"""How numbers, lists and names are written on the page."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST = 1e9
"""Numbers from here on are written with an exponent."""

_FOLDERS = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:)?/(?:[^\s/:,;'\"]+/)+")
_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(?:s|ms|mm|T)\b)")
_SMALL_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def number(value: float, digits: int = 4) -> str:
    """Write a number with so many significant digits, without exponents where it can be read."""
    if math.isnan(value):
        return "not available"
    if math.isinf(value):
        return "infinite"
    if abs(value) < LONGEST and (value == int(value) or abs(value) >= 10**digits):
        return grouped(round(value))
    return _signed(f"{value:.{digits}g}")


def signed(value: float, digits: int = 3) -> str:
    """Write a difference [s] with its sign; what rounds to zero has none."""
    text = f"{value:+.{digits}f}"
    return _signed(text) if float(text) else f"{0:.{digits}f}"


def grouped(count: int) -> str:
    """Write a count with thin spaces between groups of three digits, from five digits on."""
    text = f"{count:,}" if abs(count) >= 10_000 else str(count)  # noqa: PLR2004
    return _signed(text.replace(",", "\N{NARROW NO-BREAK SPACE}"))


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def percent(part: int, whole: int) -> str:
    """Write a share so that neither 'almost none' reads 0 % nor 'almost all' reads 100 %."""
    if not whole:
        return "\N{EN DASH}"
    share = 100 * part / whole
    if 0 < share < 0.1:  # noqa: PLR2004
        return "< 0.1 %"
    if 99.9 < share < 100:  # noqa: PLR2004
        return "> 99.9 %"
    return f"{share:.1f} %" if part not in {0, whole} else f"{share:.0f} %"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Write a small count in words with its noun: 'no failures', 'one run', '12 runs'."""
    word = _SMALL_NUMBERS[count] if count < len(_SMALL_NUMBERS) else grouped(count)
    return f"{word} {noun if count == 1 else plural or noun + 's'}"


def whole_percent(share: float) -> str:
    """Write a share that is known to a percent."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def plus_minus(value: float, sd: float, form: str = "g") -> str:
    """Write '1 ± 0.2' so that it stays on one line."""
    return f"{value:{form}}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{sd:{form}}"


def listed(items: Sequence[str]) -> str:
    """Write 'a, b and c'."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def times(values: Iterable[float]) -> str:
    """Write times in their order, with the unit once."""
    return ", ".join(number(value) for value in values) + " s"


def spelt_out(key: str) -> str:
    """Turn a metadata key such as 'EchoTrainLength' into 'Echo train length'."""
    first, *rest = _WORD_STARTS.sub(" ", key).split(" ")
    return " ".join([first, *(word if word.isupper() else word.lower() for word in rest)])


def within_a_sentence(title: str) -> str:
    """Write a title in lower case, unless it is an abbreviation."""
    return title if title.isupper() else title.lower()


def typeset(text: str) -> str:
    """Set formulas and ranges with their proper signs, and keep numbers and units on one line."""
    text = text.replace(" - ", " \N{MINUS SIGN} ").replace("(-", "(\N{MINUS SIGN}")
    text = re.sub(r"(?<=\s)-(?=\d)", "\N{MINUS SIGN}", text)
    text = text.replace(" x ", " \N{MULTIPLICATION SIGN} ")
    text = re.sub(r"(?<=\d)-(?=\d)", "\N{EN DASH}", text)
    return _NUMBER_AND_UNIT.sub("\N{NO-BREAK SPACE}", text)


def within_script(text: str) -> str:
    """Write JSON so that nothing within a script element of a page looks like the end of one."""
    return text.replace("<", "\\u003c")


def without_folders(text: str) -> str:
    """Leave the file names of absolute paths only: folders can name people and places."""
    return _FOLDERS.sub("\N{HORIZONTAL ELLIPSIS}/", text)
