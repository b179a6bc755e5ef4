"""Visitors' files on this machine: in a folder of the process's own, bounded, gone after an hour.

Gradio deletes what its upload fields have taken in. It forgets what an upload that broke off, or a
tool of an MCP client, has left behind (its delete_cache looks at its own list, not at the folder),
and has no limit for all files together; so the whole folder is looked through here. How large one
file may be, and how much one address may send in a minute, is in `request_limits`; how many pixels
a picture may have, in `tokviz.images`.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Container
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "tokviz-uploads-"
LOCK = "lock"
CLEANUP_INTERVAL_S = 10
"""Seconds between two looks at the folder."""
MAX_AGE_S = 3600
"""Files that are older than so many seconds are deleted."""


def own_folder(place: str | None = None) -> str:
    """Make a folder that goes when this process ends; clear what killed ones have left.

    Args:
        place: where; None = the system's folder for temporary files.
    """
    home = Path(place or tempfile.gettempdir())
    home.mkdir(parents=True, exist_ok=True)
    for folder in home.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
    lock = lock_of(folder)
    lock.acquire()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(lock.release)  # runs first: Windows deletes no file that is open
    return str(folder)


def lock_of(folder: Path) -> FileLock:
    """Return a folder's lock; the system lets go of it when the process that holds it dies."""
    return FileLock(folder / LOCK, blocking=False, thread_local=False, preserve_lock_file=True)


def is_left(folder: Path) -> bool:
    """Return whether the process that made a folder is gone."""
    if not (folder / LOCK).exists():  # made a moment ago, its lock is still to come
        return False
    try:
        with lock_of(folder):
            return True
    except Timeout:
        return False


def delete_old(folder: Path, kept: Container[str] = (), life: float = MAX_AGE_S) -> None:
    """Delete files that have been in a folder for longer than `life` seconds, but not the kept."""
    now = time.time()
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            old = path.is_file() and now - path.lstat().st_ctime > life
            if old and path.name != LOCK and str(path) not in kept:
                path.unlink()


def make_room(folder: Path, room: int, kept: Container[str] = ()) -> None:
    """Delete files until those that may be deleted hold at most `room` bytes.

    Halves of uploads that broke off go first (a whole one is moved into a folder of its own), then
    the oldest.
    """
    found, now = [], time.time()
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and path.name != LOCK and str(path) not in kept:
                about = path.lstat()
                half = path.parent == folder and now - about.st_mtime > CLEANUP_INTERVAL_S / 2
                found.append((not half, about.st_ctime, about.st_size, path))
    left = sum(size for _, _, size, _ in found)
    for _, _, size, path in sorted(found):
        if left <= room:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        left -= size


def keep_clean(folder: Path, room: int, kept: Container[str] = ()) -> None:
    """Delete old files again and again, beside everything else, until the process ends.

    Args:
        folder: where uploads lie.
        room: bytes for all of them, but never more than half of their disk.
        kept: files that are not uploads.
    """
    room = min(room, shutil.disk_usage(folder).total // 2)

    def work() -> None:
        while True:
            time.sleep(CLEANUP_INTERVAL_S)
            delete_old(folder, kept)
            make_room(folder, room, kept)

    threading.Thread(target=work, name="tokviz-uploads", daemon=True).start()
