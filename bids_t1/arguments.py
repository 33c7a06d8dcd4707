"""A parser of command lines from declared options, which leaves with the exit codes of this program."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Union, get_args, get_origin

from bids_t1.data.errors import UsageError
from bids_t1.data.options import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bids_t1.data.options import Group, Option


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests what was meant, and whose errors have the exit code of sysexits.h for usage.

    The beginning of a long option is understood where it is that of one option, under whatever names.
    """

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse a command line; an option that is not known ends the program, with the one that may be meant."""
        words = list(sys.argv[1:] if args is None else args)
        n_options = words.index("--") if "--" in words else len(words)
        whole = [self._whole(word) if word.startswith("--") else word for word in words[:n_options]]
        return super().parse_args([*whole, *words[n_options:]], namespace)

    def _whole(self, word: str) -> str:
        """Return a long option by its whole name."""
        name, equals, value = word.partition("=")
        known = self._option_string_actions
        if name in known:
            return word
        begun = [other for other in known if other.startswith(name.replace("_", "-"))]
        if not begun:
            self.error(f"unrecognized arguments: {word}{_meant(name, known)}")
        if len({id(known[other]) for other in begun}) > 1:
            self.error(f"ambiguous option: {name} could match {', '.join(begun)}")
        return f"{begun[0]}{equals}{value}"

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, and leave."""
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"{self.prog}: {message}\n")


class TellVersion(argparse.Action):
    """Print the version of the program, which is looked up only then, and leave."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print and leave."""
        from bids_t1 import __version__  # noqa: PLC0415 - takes as long as the rest of the help

        sys.stdout.write(f"{parser.prog} {__version__}\n")
        parser.exit()


def _meant(word: str, known: Iterable[str]) -> str:
    """Ask for what a mistyped word may be; nothing where it is like none."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed for mistakes alone

    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def one_of(choices: Sequence[Any]) -> Callable[[str], Any]:
    """Return a reader of one of some words or numbers, that suggests what was meant."""
    by_word = {str(choice): choice for choice in choices}

    def choice(word: str) -> Any:
        if word in by_word:
            return by_word[word]
        among = ", ".join(map(repr, choices))
        raise argparse.ArgumentTypeError(f"invalid choice: {word!r} (choose from {among}){_meant(word, by_word)}")

    return choice


def dashed(name: str) -> str:
    """Return the long option of a field."""
    return f"--{name.replace('_', '-')}"


def names_of(name: str, option: Option) -> list[str]:
    """Return all names of an option, with dashes and with underscores."""
    words = []
    for long in (dashed(name), *option.aliases):
        words += [long, f"--{long[2:].replace('-', '_')}"]
    return [*filter(None, [option.short]), *dict.fromkeys(words)]


def add_options(parser: argparse.ArgumentParser, groups: Sequence[Group]) -> None:
    """Give a parser the options of groups; those of one title stand together."""
    headings = {title: parser.add_argument_group(title) for title in dict.fromkeys(group.title for group in groups)}
    for group in groups:
        for one in fields(group.options):
            option: Option = one.metadata[KEY]
            taken = {**_taken(one.type, option), "default": one.default, "help": option.help}
            headings[group.title].add_argument(*names_of(one.name, option), dest=one.name, **taken)


def _taken(annotation: object, option: Option) -> dict[str, Any]:
    """Return how an option of a type is read."""
    if option.counted:
        return {"action": "count"}
    kind = bare(annotation)
    if kind is bool:
        return {"action": "store_true"}
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return {"choices": choices, "type": one_of(choices)}
    return {"metavar": option.metavar, **_values(kind)}


def _values(kind: Any) -> dict[str, Any]:
    """Return how many values of which type are read."""
    if get_origin(kind) is not tuple:
        return {"type": kind}
    each = get_args(kind)
    count = {"nargs": "+" if each[-1] is Ellipsis else len(each)}
    if get_origin(each[0]) is Literal:
        choices = get_args(each[0])
        return {"choices": choices, "type": one_of(choices), **count}
    return {"type": folder if each[0] is Path else each[0], **count}


def bare(annotation: object) -> Any:
    """Return a type without None."""
    if get_origin(annotation) not in {Union, UnionType}:  # the former where one of its types is a Literal
        return annotation
    (kind,) = (one for one in get_args(annotation) if one is not NoneType)
    return kind


def folder(word: str) -> Path:
    """Read a folder, with or without a name before it."""
    name, equals, path = word.partition("=")
    return Path(path if equals and "/" not in name else word)


def read_options(arguments: argparse.Namespace, group: type[Any]) -> Any:
    """Return the options of a group as they were given."""
    values = {one.name: getattr(arguments, one.name) for one in fields(group)}
    return group(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
