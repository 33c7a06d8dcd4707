"""Files that are there completely or not at all, and the same bytes from every process."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_t1.data.errors import CannotCreateOutputError, InputOutputError
from bids_t1.scratch import scratch, set_aside
from bids_t1.stopping import without_stopping

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

BIDS_VERSION = "1.10.0"
"""Version of BIDS that datasets written here follow."""


_TIMES = 10
"""How often a folder is put in its place where other processes keep putting theirs there."""


def as_json(content: Any) -> str:
    """Return readable JSON; what is not a number, or infinite, is null, as JSON has no word for it."""
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def as_tsv(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return tab-separated values, n/a where there is none; line breaks and tabs become spaces."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
    writer.writerow(columns)
    for row in rows:
        writer.writerow("n/a" if value is None else " ".join(str(value).replace('"', "'").split()) for value in row)
    return text.getvalue()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there completely or not at all, also after a power cut; not if it is there already.

    Raises
    ------
    InputOutputError
        If it cannot be written.
    """
    content = text.encode("utf-8")
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        with scratch(path.parent) as folder:
            unfinished = folder / "new"
            unfinished.write_bytes(content)
            unfinished.chmod(0o644)
            _to_disk(unfinished)
            unfinished.replace(path)
        _to_disk(path.parent)
    except OSError as error:
        raise InputOutputError(
            f"{path}: cannot be written ({error.strerror}); nothing half-written was left there. "
            "Check the disk and run again."
        ) from error


@contextmanager
def publishing(root: Path, folder: Path, own: Collection[str] | None = None) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``root/folder`` by one rename when all went well.

    Parameters
    ----------
    root
        Of the dataset.
    folder
        Relative to it.
    own
        Which files of an earlier run go, see `publish`.

    Raises
    ------
    CannotCreateOutputError
        If the folder cannot be written.
    InputOutputError
        If writing fails on the way, such as on a full disk.
    """
    with staging(root) as stage, writing(root / folder):
        fresh = stage / folder
        fresh.mkdir(parents=True)
        yield fresh
        publish(stage, root, folder, own)


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Give an empty folder on the file system of a dataset, hidden in it, for what is not to be seen yet.

    Raises
    ------
    CannotCreateOutputError
        If the folder, or that of the dataset, cannot be made.
    """
    with ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(scratch(root))
        except OSError as error:
            raise CannotCreateOutputError(
                f"{root}: cannot be written ({error.strerror}). Check the output folder."
            ) from error
        yield folder


@contextmanager
def writing(what: Path) -> Iterator[None]:
    """Turn what the system refuses inside of a block into an error that names what was to be written.

    Raises
    ------
    InputOutputError
        If something cannot be written, such as on a full disk.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputOutputError(
            f"{what}: reading or writing failed ({reason}); nothing half-written was left there. "
            "Check the disk and run again."
        ) from error


def publish_file(stage: Path, root: Path, path: Path) -> None:
    """Move ``stage/path`` to ``root/path``, where it takes the place of what there is.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    _to_disk(stage / path)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (stage / path).replace(root / path)
    _to_disk((root / path).parent)


def publish(stage: Path, root: Path, folder: Path, own: Collection[str] | None) -> tuple[str, ...]:
    """Move ``stage/folder`` to ``root/folder`` by one rename; return the files there that were kept.

    What was there is moved away just before, and comes back if the rename fails or the process ends between.

    Parameters
    ----------
    stage
        What `staging` gave.
    root
        Of the dataset.
    folder
        Relative to both.
    own
        Files that an earlier run of this program left there, relative to the root: they go where they are not made
        anew. All others are somebody else's and are kept. None: the folder as a whole is this program's.

    Raises
    ------
    CannotCreateOutputError
        If there is a file or a link in place of the folder.
    OSError
        If something cannot be moved.
    """
    final, fresh = root / folder, stage / folder
    if final.is_symlink() or (final.exists() and not final.is_dir()):
        what = "link" if final.is_symlink() else "file"
        raise CannotCreateOutputError(f"{final}: is a {what}; expected a folder, or nothing. Move it away.")
    for path in (*fresh.rglob("*"), fresh):
        _to_disk(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    with without_stopping():
        kept = _swap(stage, root, folder, own)
    _to_disk(final.parent)
    return kept


def _swap(stage: Path, root: Path, folder: Path, own: Collection[str] | None) -> tuple[str, ...]:
    """Exchange a folder; another process may do the same between any two steps."""
    for attempt in range(1, _TIMES + 1):
        kept = () if own is None else tuple(_carry_over(stage, root, folder, own))
        with suppress(FileNotFoundError):
            set_aside(stage, root, folder)
        try:
            (stage / folder).rename(root / folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or attempt == _TIMES:
                raise
        else:
            break
    return kept


def _carry_over(stage: Path, root: Path, folder: Path, own: Collection[str]) -> Iterator[str]:
    """Put what is not this program's into the folder that is to take the place of the old one."""
    for place, folders, files in os.walk(root / folder):
        within = Path(place).relative_to(root)
        links = [name for name in folders if (root / within / name).is_symlink()]
        for name in (*files, *links):
            path = within / name
            if path.as_posix() not in own and not os.path.lexists(stage / path):
                (stage / within).mkdir(parents=True, exist_ok=True)
                _link(root / path, stage / path)
                yield path.as_posix()
        if not folders and not files:
            (stage / within).mkdir(parents=True, exist_ok=True)


def _link(old: Path, new: Path) -> None:
    """Give a file, or a link, a second place; a copy where the file system has no second names."""
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:
        shutil.copy2(old, new, follow_symlinks=False)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are where no power cut takes them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # not every file system does this for folders
            raise
    finally:
        os.close(descriptor)
