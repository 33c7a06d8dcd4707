"""Hidden folders that are being filled, and what becomes of them when their process ends before they are done.

The process that fills one holds a lock in it. The kernel lets go of the lock when the process is no more, however it
ended, so that another process on the same machine knows at once. On another machine nothing is known of it, as
network file systems need not carry locks; such a folder waits until it is old.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bids_t1.stopping import without_stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = ".bids_t1-"
"""Beginning of their names."""

ABANDONED = 2 * 24 * 3600
"""Age from which one of another machine, or without a lock, belongs to nobody [s]."""

_OWNER, _UNLOCKED, _PLACE, _ASIDE = "owner", "unlocked", "place", "aside"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Give an empty hidden folder; it is gone afterwards, and what was set aside in it is back in its place.

    Parameters
    ----------
    root
        Where it is made: on the file system of what is to become of its content.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    folder, lock = _own(root)
    try:
        yield folder
    finally:
        with without_stopping():
            if lock is not None:  # before the folder goes: a network file system keeps open files
                os.close(lock)
            _clear(folder, root)


def set_aside(folder: Path, root: Path, place: Path) -> None:
    """Move ``root/place`` into a scratch folder, from where it comes back unless something takes its place.

    What was set aside before has been replaced since, and goes.

    Raises
    ------
    OSError
        If it cannot be moved; `FileNotFoundError` where there is nothing.
    """
    if os.path.lexists(root / place):
        shutil.rmtree(folder / _ASIDE, ignore_errors=True)
    (folder / _PLACE).write_text(place.as_posix(), encoding="utf-8")
    (root / place).rename(folder / _ASIDE)


def sweep(root: Path) -> None:
    """Remove what processes that are no more left unfinished below a folder, and put back what they had set aside."""
    for folder in sorted(root.glob(f"{PREFIX}*")):
        with suppress(OSError):
            if _is_abandoned(folder):
                _clear(folder, root)
            elif _is_of_here(folder):
                _clear_unclaimed(folder)


def _clear(folder: Path, root: Path) -> None:
    """Remove a scratch folder, its owner last; never what is set aside in it and has no other place."""
    aside = folder / _ASIDE
    if os.path.lexists(aside):
        place = root / (folder / _PLACE).read_text(encoding="utf-8")
        if not os.path.lexists(place):
            aside.rename(place)
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != _OWNER:
                _remove(path)
        # Ended between any two of these steps, the rest is known to be nobody's.
        (folder / _OWNER).unlink(missing_ok=True)
        folder.rmdir()


def _remove(path: Path) -> None:
    """Remove a folder with what is in it, or a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _clear_unclaimed(folder: Path) -> None:
    """Remove a folder that is empty, or has a file that was not locked yet; a process about to do so makes another.

    Raises
    ------
    OSError
        If a process holds the lock, or there is more in the folder.
    """
    with suppress(FileNotFoundError):
        descriptor = os.open(folder / _UNLOCKED, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / _UNLOCKED).unlink()
        finally:
            os.close(descriptor)
    folder.rmdir()


@cache
def _machine() -> str:
    """Return a name of this machine since it was started, of which nothing can be learned; empty where unknown."""
    try:
        return _BOOT.read_text(encoding="ascii")[:8]
    except OSError:
        return ""


def _own(root: Path) -> tuple[Path, int | None]:
    """Make a folder and lock a file in it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{_machine()}-", dir=root))
        try:
            return folder, _claim(folder)
        except (FileNotFoundError, BlockingIOError):
            continue  # another process took it for one that was left: it had no owner yet
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _claim(folder: Path) -> int | None:
    """Lock a file in a folder until this process ends; None where the file system has no locks.

    Raises
    ------
    FileNotFoundError, BlockingIOError
        If another process is removing the folder.
    """
    unlocked = folder / _UNLOCKED
    descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(folder / _OWNER)  # nobody ever sees an owner that has no lock yet
    except (FileNotFoundError, BlockingIOError):
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_of_here(folder: Path) -> bool:
    """Tell whether a process of this machine, since it was started, made a folder."""
    return bool(_machine()) and folder.name.startswith(f"{PREFIX}{_machine()}-")


def _is_abandoned(folder: Path) -> bool:
    """Tell whether the process that fills a folder is no more, or must be taken for it."""
    if _is_of_here(folder):
        with suppress(FileNotFoundError):
            return not _is_locked(folder / _OWNER)
    return time.time() - folder.lstat().st_mtime > ABANDONED


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
