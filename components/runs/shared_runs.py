"""Shared runs, as files: whoever has a link's name can open it, whoever has its key can delete it.

Both are random and cannot be guessed; of the key only a hash is kept. A run is kept as its traces,
whose pictures are the small ones that the viewer draws, not the file that was uploaded.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokviz.errors import InputError, TokvizError
from tokviz.trace import open_trace

from .lane_request import LaneRequest
from .runs import FULL, KeptRun

ROOM = 512 * 2**20
"""Bytes of all shared runs together; the oldest are deleted first."""
MAX_RUN = 64 * 2**20
"""Bytes of one shared run."""
NAME = re.compile(r"[A-Za-z0-9_-]{22,44}")
ABOUT = "about.json"
GONE = "This link is no longer kept here: its time is over, or whoever made it deleted it."


@dataclass(frozen=True)
class Link:
    """What the one who shares gets."""

    name: str
    key: str
    until: float
    "Seconds since 1970."


class SharedRuns:
    """The shared runs of a server. Thread-safe."""

    def __init__(self, folder: Path, hours: float, room: int = ROOM) -> None:
        """Args: where the files are, how long they are kept (0 = nothing is shared), and bytes."""
        self.folder, self.hours, self.room = folder, hours, room
        self._lock = threading.Lock()

    def share(self, run: KeptRun, view: Mapping[str, Any]) -> Link:
        """Keep a run for whoever has the link.

        Raises:
            InputError: nothing is shared here, or the run is too large.
        """
        if not self.hours:
            raise InputError("this server makes no links to visitors' own pictures.")
        files = {f"{number}.safetensors": t.to_bytes() for number, t in run.traces.items()}
        if sum(map(len, files.values())) > MAX_RUN:
            raise InputError(
                f"this run is larger than {MAX_RUN // 2**20} MB, so it cannot be shared by a link. "
                "Save the trace and send that file instead."
            )
        link = Link(
            secrets.token_urlsafe(24), secrets.token_urlsafe(24), time.time() + 3600 * self.hours
        )
        about = {
            "key": hashed(link.key),
            "until": link.until,
            "prompt": run.prompt,
            "model": run.model,
            "lanes": {str(number): lane.to_json() for number, lane in run.lanes.items()},
            "view": dict(view),
        }
        with self._lock:
            self._tidy(sum(map(len, files.values())))
            home = self.folder / link.name
            home.mkdir(parents=True, mode=0o700)
            for name, data in files.items():
                (home / name).write_bytes(data)
            (home / ABOUT).write_text(json.dumps(about), "utf-8")
        return link

    def open(self, name: object) -> tuple[KeptRun, dict[str, Any], float]:
        """Return a shared run without its pictures, its view, and until when it is kept.

        Raises:
            InputError: there is no such link (any more).
        """
        about = self._about(name)
        if about is None:
            raise InputError(GONE)
        home = self.folder / str(name)
        try:
            traces = {int(p.stem): open_trace(p) for p in sorted(home.glob("*.safetensors"))}
        except (OSError, ValueError, TokvizError) as error:
            raise InputError(GONE) from error
        if not traces:
            raise InputError(GONE)
        lanes = {int(k): LaneRequest.from_json(v) for k, v in about.get("lanes", {}).items()}
        run = KeptRun(None, str(about.get("prompt", "")), str(about.get("model", "")), traces)
        run.lanes = {number: lane for number, lane in lanes.items() if number in traces}
        return run, dict(about.get("view", {})), float(about["until"])

    def delete(self, name: object, key: object) -> bool:
        """Delete a shared run; return whether the key was its own."""
        about = self._about(name)
        if about is None or not isinstance(key, str):
            return False
        if not hmac.compare_digest(str(about.get("key", "")), hashed(key)):
            return False
        with self._lock:
            shutil.rmtree(self.folder / str(name), ignore_errors=True)
        return True

    def tidy(self) -> None:
        """Delete what is over."""
        with self._lock:
            self._tidy(0)

    def _about(self, name: object) -> dict[str, Any] | None:
        """Return what is kept beside a run's traces; None when there is no such run any more."""
        if not self.hours or not isinstance(name, str) or not NAME.fullmatch(name):
            return None
        try:
            about = json.loads((self.folder / name / ABOUT).read_text("utf-8"))
            over = float(about["until"]) < time.time()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if over:
            self.tidy()
            return None
        return dict(about)

    def _tidy(self, more: int) -> None:
        """Delete runs that are over, then the oldest until `more` bytes have room."""
        if not self.folder.is_dir():
            return
        kept = []
        for home in self.folder.iterdir():
            try:
                until = float(json.loads((home / ABOUT).read_text("utf-8"))["until"])
            except (OSError, ValueError, KeyError, TypeError):
                until = 0.0
            if until < time.time():
                shutil.rmtree(home, ignore_errors=True)
            else:
                kept.append((until, sum(p.stat().st_size for p in home.iterdir()), home))
        kept.sort()
        total = more + sum(size for _, size, _ in kept)
        for _, size, home in kept:
            if total <= self.room:
                return
            shutil.rmtree(home, ignore_errors=True)
            total -= size


def hashed(key: str) -> str:
    """Return a key as it is kept."""
    return hashlib.sha256(key.encode()).hexdigest()


def full_lane(run: KeptRun) -> int:
    """Return the lane that is shown first."""
    return FULL if FULL in run.traces else min(run.traces)
