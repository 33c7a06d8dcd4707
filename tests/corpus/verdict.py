"""What a case came to, held against what has to come of it."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bids_t1.bids.timing import ENDING as TIMING
from tests.corpus.case import BAD, GOOD, Wanted
from tests.corpus.forks import MOST_MEMORY, MOST_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.corpus.case import Case, Place
    from tests.corpus.forks import Ran

Listing = dict[str, tuple[int, int]]

MAPS = re.compile(r"desc-(IRT1|MP2RAGE|UNIT1|MEGRE)_(T1map|T2starmap)\.nii\.gz$")
"""The maps that everything else is about."""

CHANGED = 1e-3
"""Largest relative change of the median voxel that is no change of T1: rounding of other data types."""

CHANGED_AT_MOST = 0.02
"""Of 99 % of the voxels: a cost with two near minima may fall into the other one."""

BUG = re.compile(r"Traceback \(most recent call last\)|this is a bug|Exception ignored")


@dataclass(frozen=True, slots=True)
class Before:
    """What there was before the command."""

    bids_dir: Listing
    out_dir: dict[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with one case; nothing where it held."""

    case: Case
    ran: Ran
    complaints: tuple[str, ...]

    @property
    def held(self) -> bool:
        return not self.complaints


def look(place: Place) -> Before:
    """Remember input and output as they are before the command."""
    return Before(_listing(place.bids_dir), contents(place.out_dir))


def judge(case: Case, place: Place, before: Before, ran: Ran, processed: Path) -> Verdict:
    """Hold a command against its case; ``processed`` is out_dir of the intact data."""
    complaints = [*_ending(case, ran), *_left(place, before)]
    if _listing(place.bids_dir) != before.bids_dir:
        complaints.append("bids_dir was changed")
    if case.never and not ran.ended:
        complaints += _betrayed(case, place, ran)
    if not ran.ended:
        complaints += _outcome(case, place, before, ran, processed)
    if case.wanted is not Wanted.REFUSED and case.level == "participant" and max(case.exit_codes) <= 1:
        complaints += _neighbour(case, place.out_dir, processed)
    return Verdict(case, ran, tuple(complaints))


def _ending(case: Case, ran: Ran) -> Iterator[str]:
    """Say what is wrong with the way it ended, whatever it wrote."""
    if ran.ended:
        yield f"ended from outside: {ran.ended}"
    elif ran.code not in case.exit_codes:
        yield f"exit code {ran.code}, not {' or '.join(map(str, case.exit_codes))}"
    if BUG.search(ran.said):
        yield f"traceback: {ran.said.strip().splitlines()[-1][:160]}" if "Traceback" in ran.said else "called a bug"
    if ran.seconds > MOST_SECONDS:
        yield f"{ran.seconds:.0f} s"
    if ran.memory > MOST_MEMORY:
        yield f"{ran.memory:.0f} MB"
    if re.search(case.names, ran.said, re.DOTALL) is None:
        yield f"does not say /{case.names}/"


def _betrayed(case: Case, place: Place, ran: Ran) -> Iterator[str]:
    """Say where a word stands that may not leave the headers."""
    pattern = re.compile(case.never.encode(), re.IGNORECASE)
    if pattern.search(ran.said.encode()):
        yield f"the terminal says /{case.never}/"
    for path in sorted(place.out_dir.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        if pattern.search(str(path.relative_to(place.out_dir)).encode() + b"\n" + content):
            yield f"/{case.never}/ stands in {path.relative_to(place.out_dir)}"


def _left(place: Place, before: Before) -> Iterator[str]:
    """Say what is half-written, or stayed and should not."""
    for path in sorted(place.out_dir.rglob("*")) if place.out_dir.is_dir() else ():
        if path.name.startswith(".") and path.name != ".bidsignore":
            yield f"left behind: {path.relative_to(place.out_dir)}"
        elif path.is_file() and not _is_whole(path) and str(path.relative_to(place.out_dir)) not in before.out_dir:
            yield f"half-written: {path.relative_to(place.out_dir)}"


def _is_whole(path: Path) -> bool:
    try:
        if path.suffix == ".gz":
            gzip.decompress(path.read_bytes())
        elif path.suffix == ".json" and (path.name.startswith(BAD) or path.name == "dataset_description.json"):
            json.loads(path.read_text(encoding="utf-8"))
    except (OSError, EOFError, ValueError, RecursionError):
        return False
    return True


def _outcome(case: Case, place: Place, before: Before, ran: Ran, processed: Path) -> Iterator[str]:
    """Say what is wrong with the results of the participant whose data were changed."""
    if case.wanted is Wanted.REFUSED:
        if contents(place.out_dir) != before.out_dir:
            yield "out_dir was changed"
    elif case.level == "participant":
        if ran.code:
            yield from _failure(case, place.out_dir, ran)
        if not ran.code or case.wanted is Wanted.FINE:
            yield from _success(case, place.out_dir, ran, processed)


def _failure(case: Case, out_dir: Path, ran: Ran) -> Iterator[str]:
    """Say what is wrong where something failed; what is told may be one run of several, or another participant."""
    if case.wanted is Wanted.TOLD and any(_maps(out_dir)) and re.search(case.names, _page(out_dir)) is None:
        yield f"maps of it were written, and the page does not say /{case.names}/"
    if case.wanted is Wanted.FAILED and any(_maps(out_dir)):
        yield "maps of it were written"
    if " with failures: " not in ran.said.strip().splitlines()[-1]:
        yield "the last line does not tell of it"


def _success(case: Case, out_dir: Path, ran: Ran, processed: Path) -> Iterator[str]:
    """Say what is wrong where all went well: numbers that changed without a word."""
    told = bool(case.names) and re.search(case.names, ran.said, re.DOTALL) is not None
    if case.wanted is Wanted.FINE or not told:
        silent = "" if case.wanted is Wanted.FINE else "silent: "
        yield from (f"{silent}{found}" for found in _numbers(out_dir, processed, case.lost))
    elif re.search(case.names, _page(out_dir)) is None:
        yield f"the page does not say /{case.names}/"


def _page(out_dir: Path) -> str:
    """Return the words of the page."""
    path = out_dir / f"{BAD}.html"
    text = re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8")) if path.is_file() else ""
    return " ".join(html.unescape(text).split())


def _maps(out_dir: Path) -> Iterator[Path]:
    return (path for path in sorted((out_dir / BAD).rglob("*.nii.gz")) if MAPS.search(path.name))


def _numbers(out_dir: Path, processed: Path, lost: float) -> Iterator[str]:
    """Compare the maps with those of the intact data, voxel by voxel."""
    wanted = {_kind(path): path for path in _maps(processed)}
    found = {_kind(path): path for path in _maps(out_dir)}
    for kind in sorted(wanted.keys() - found.keys()):
        yield f"no map {kind}"
    for kind in sorted(wanted.keys() & found.keys()):
        yield from _compare(_canonical(found[kind]), _canonical(wanted[kind]), lost)


def _kind(path: Path) -> str:
    match = MAPS.search(path.name)
    return "" if match is None else match[0]


def _canonical(path: Path) -> NDArray[np.float64]:
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj, np.float64)


def _compare(found: NDArray[np.float64], wanted: NDArray[np.float64], lost: float) -> Iterator[str]:
    if found.shape != wanted.shape:
        yield f"a map of {found.shape}, not {wanted.shape}"
        return
    other = np.count_nonzero(np.isfinite(found) != np.isfinite(wanted)) / np.count_nonzero(np.isfinite(wanted))
    both = np.isfinite(found) & np.isfinite(wanted)
    change = np.abs(found / wanted - 1)[both] if both.any() else np.array([np.inf])
    if other > lost or np.median(change) > CHANGED or np.quantile(change, 0.99) > CHANGED_AT_MOST:
        yield f"wrong numbers: median {np.median(change):.1%} off, {other:.0%} of the voxels lost or gained"


def _neighbour(case: Case, out_dir: Path, processed: Path) -> Iterator[str]:
    """Say which files of the other participant are not those of a run without broken data."""
    with_options = any("{" in option for option in case.options)
    wanted = {name: digest for name, digest in contents(processed, GOOD).items() if _comparable(name, with_options)}
    found = contents(out_dir, GOOD)
    other = [name for name, digest in wanted.items() if found.get(name) != digest]
    other += [name for name in found.keys() - wanted.keys() if _comparable(name, with_options)]
    if other:
        yield f"the other participant: {len(other)} files differ, such as {min(other)}"


def _comparable(name: str, with_options: bool) -> bool:
    """Tell whether a file says nothing of the command; where options name files, page and log do."""
    return not with_options or name.endswith(".nii.gz")


def contents(out_dir: Path, part: str = "") -> dict[str, str]:
    """Return a digest of every file, of those with a word in their path where one is given."""
    files = (path for path in sorted(out_dir.rglob("*")) if path.is_file()) if out_dir.is_dir() else ()
    named = {str(path.relative_to(out_dir)): path for path in files}
    return {name: _digest(path) for name, path in named.items() if part in name}


def _digest(path: Path) -> str:
    """Return a digest; a log without its fingerprint, which the root of the dataset enters too, times without theirs."""
    content = b"" if path.name.endswith(TIMING) else path.read_bytes()
    if path.parent.name == "logs":
        content = re.sub(rb'"fingerprint": "\w*"', b"", content)
    return hashlib.sha256(content).hexdigest()


def _listing(folder: Path) -> Listing:
    paths = list(folder.rglob("*")) if folder.is_dir() else []
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths if not path.is_dir()}
