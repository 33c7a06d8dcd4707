"""Bring the Boutiques descriptor and the table of options in docs/usage.md up to the declaration of the options.

Run as ``python containers/describe.py``, with bids_t1 installed.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from bids_t1 import __version__
from bids_t1.arguments import bare, dashed
from bids_t1.data.options import GROUPS, KEY, Option

ROOT = Path(__file__).parents[1]
DESCRIPTOR, USAGE = ROOT / "boutiques.json", ROOT / "docs" / "usage.md"
N_POSITIONAL = 3
NUMBERS: dict[object, dict[str, Any]] = {int: {"type": "Number", "integer": True}, float: {"type": "Number"}}


def descriptor(before: str) -> str:
    """Return the descriptor with the options and the version of the program that is there."""
    found = json.loads(before)
    options = [described(*each) for each in declared()]
    found["inputs"] = [*found["inputs"][:N_POSITIONAL], *options]
    found["tool-version"] = __version__
    found["container-image"]["image"] = f"bids_t1:{__version__}"
    found["command-line"] = " ".join(["bids_t1", *(entry["value-key"] for entry in found["inputs"])])
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def usage(before: str) -> str:
    """Return docs/usage.md with the options of the program that is there."""
    head, begin, rest = before.partition("\n## Options\n")
    _, end, tail = rest.partition("\n## Exit codes\n")
    rows = ["| option | meaning |", "|---|---|", *(row(*each) for each in declared())]
    rows.append("| `-h`, `--help`; `--version` | all options; the version |")
    return f"{head}{begin}\n{chr(10).join(rows)}\n{end}{tail}"


def declared() -> list[tuple[str, Option, Any, Any]]:
    """Return the name, the words, the type and the default of every option."""
    every = [one for group in GROUPS for one in fields(group.options)]
    return [(one.name, one.metadata[KEY], bare(one.type), one.default) for one in every]


def described(name: str, option: Option, kind: Any, default: Any) -> dict[str, Any]:
    """Return the input of an option."""
    entry = {"id": name, "name": option.title, **typed(option, kind), "description": sentence(option, default)}
    entry |= {"value-key": f"[{name.upper()}]", "optional": True, "command-line-flag": dashed(name)}
    if option.least is not None:
        entry["minimum"] = option.least
    if option.most is not None:
        entry["maximum"] = option.most
    if option.excludes:
        entry["disables-inputs"] = list(option.excludes)
    if entry["type"] != "Flag" and default not in (None, ()):
        entry["default-value"] = list(default) if isinstance(default, tuple) else default
    return entry


def typed(option: Option, kind: Any) -> dict[str, Any]:
    """Return what an input holds."""
    if kind is bool or option.counted:
        return {"type": "Flag"}
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
        return {**single(option, type(choices[0])), "value-choices": choices}
    if get_origin(kind) is tuple and get_origin(get_args(kind)[0]) is Literal:
        return {**typed(option, get_args(kind)[0]), **counted(option, get_args(kind))}
    if get_origin(kind) is tuple:
        return {**single(option, get_args(kind)[0]), **counted(option, get_args(kind))}
    return single(option, kind)


def single(option: Option, kind: Any) -> dict[str, Any]:
    """Return what one value is."""
    return NUMBERS.get(kind) or {"type": "File" if kind is Path and not option.made else "String"}


def counted(option: Option, each: tuple[Any, ...]) -> dict[str, Any]:
    """Return how many values there may be."""
    if each[-1] is not Ellipsis:
        return {"list": True, "min-list-entries": len(each), "max-list-entries": len(each)}
    most = option.most_values
    return {"list": True} if most is None else {"list": True, "min-list-entries": 1, "max-list-entries": most}


def sentence(option: Option, default: Any) -> str:
    """Write what an option does, with its default where the help tells it."""
    told = option.help % {"default": default}
    first = told.partition(" ")[0]
    return f"{told[0].upper()}{told[1:]}." if first.rstrip(",:").isalpha() else f"{told}."


def row(name: str, option: Option, kind: Any, default: Any) -> str:
    """Return the row of an option in the documents."""
    names = [*filter(None, [option.short]), dashed(name), *(alias for alias in option.aliases if "_" not in alias)]
    shown = ", ".join(f"`{one}`" for one in names)
    values = " ".join(f"`{value}`" for value in words(option, kind))
    more = f". {option.more[0].upper()}{option.more[1:]}" if option.more else ""
    told = f"{option.help % {'default': default}}{more}".replace("*", "\\*")
    told = told.replace("docs/protocol.md", "[protocol.md](protocol.md)")
    return f"| {' '.join(filter(None, [shown, values]))} | {told} |"


def words(option: Option, kind: Any) -> list[str]:
    """Return what may follow an option."""
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    return [option.metavar] if isinstance(option.metavar, str) else list(option.metavar or ())


if __name__ == "__main__":
    DESCRIPTOR.write_text(descriptor(DESCRIPTOR.read_text(encoding="utf-8")), encoding="utf-8")
    USAGE.write_text(usage(USAGE.read_text(encoding="utf-8")), encoding="utf-8")
