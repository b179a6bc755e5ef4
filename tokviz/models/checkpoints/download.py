"""Downloads a checkpoint from the Hub and reports the progress.

Only files that tokviz reads are downloaded: configs, tokenizer, chat template and safetensors at
the top of the repository. Files that are already on this machine are used, also without network,
and a download that was broken off goes on where it ended.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub import DryRunFileInfo, constants, get_session, snapshot_download
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from tokviz.errors import ModelError, Stopped
from tokviz.models.checkpoints.cards import MODELS
from tokviz.models.checkpoints.resume import fetch_large
from tokviz.names import did_you_mean

ProgressLine = Callable[[str], None]
"Called with one line of text at a time."

FETCHED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
NOT_FETCHED = ["*/*.safetensors", "*/*.json", "consolidated*"]
REACH_TIMEOUT_S = 2.0
LINE_INTERVAL_S = 2.0
"Seconds between two lines of progress."
SIGN_IN = "sign in with `hf auth login` or set HF_TOKEN"
STOPPED = "stopped. What was downloaded is kept, and the next try goes on from there."


def is_folder(name: str, revision: str | None) -> bool:
    """Return whether a checkpoint is a local folder; raise ModelError for a name of neither."""
    if Path(name).is_dir():
        if revision is not None:
            raise ModelError("revision is for models on the Hub, and this is a folder.")
        return True
    if "/" not in name and (guess := did_you_mean(name, MODELS)):
        raise ModelError(f"there is no such folder, and no model of this name.{guess}")
    return False


def local_copy(
    name: str,
    revision: str | None,
    progress: ProgressLine,
    stop: threading.Event | None = None,
) -> str:
    """Return the folder of a checkpoint; download it from the Hub unless `name` is a folder.

    Args:
        name: a local folder or a Hub id.
        revision: branch, tag or commit on the Hub.
        progress: called with lines about the download.
        stop: when set, the download ends at its next block of bytes.

    Raises:
        Stopped: `stop` was set.
        ModelError: no such repository or revision, no access, or no network and no copy.
        OSError: the disk is full, or a file cannot be written.
    """
    if is_folder(name, revision):
        return name
    bars = reporting(progress, stop)
    try:
        missing = [one for one in remote_files(name, revision) if one.will_download]
        large = [one for one in missing if one.filename.endswith(".safetensors")]
        if large:
            size = sum(one.file_size or 0 for one in large)
            with bars(total=size, unit="B") as bar:
                fetch_large(name, large[0].commit_hash, [one.filename for one in large], bar)
        return snapshot_download(
            name,
            revision=revision,
            allow_patterns=FETCHED,
            ignore_patterns=NOT_FETCHED,
            tqdm_class=bars,
        )
    except (HFValidationError, HTTPError, LocalEntryNotFoundError) as error:
        raise ModelError(refusal(error, revision)) from error
    except OSError as error:
        if error.errno is not None:  # of the system; huggingface_hub's own are files cut short
            raise
        raise ModelError(refusal(error, revision)) from error


def remote_files(name: str, revision: str | None) -> list[DryRunFileInfo]:
    """Return the files of a Hub id that tokviz reads; none where the Hub is out of reach.

    Raises:
        HTTPError: the Hub refuses.
    """
    try:
        return snapshot_download(
            name,
            revision=revision,
            allow_patterns=FETCHED,
            ignore_patterns=NOT_FETCHED,
            tqdm_class=reporting(lambda line: None),
            dry_run=True,
        )
    except DryRunError:
        return []


def hub_answers() -> bool:
    """Return whether the Hub can be reached from here; asked once a minute at most."""
    return _asked_in_minute(int(time.monotonic() // 60), constants.ENDPOINT)


@lru_cache(maxsize=2)
def _asked_in_minute(minute: int, address: str) -> bool:
    """Return whether a server answers; `minute` makes the answer grow old."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(address, timeout=REACH_TIMEOUT_S)
    except (HTTPError, OSError):
        return False
    return True


def is_here(name: str, revision: str | None = None) -> bool:
    """Return whether all files of a Hub id are on this machine."""
    try:
        folder = snapshot_download(
            name,
            revision=revision,
            allow_patterns=FETCHED,
            ignore_patterns=NOT_FETCHED,
            local_files_only=True,
        )
    except (HFValidationError, OSError):
        return False
    return any(Path(folder).glob("*.safetensors"))


def refusal(error: Exception, revision: str | None) -> str:
    """Return why the download failed and what to do, as a clause."""
    if isinstance(error, HFValidationError):
        return "there is no such folder, and a Hub id has the form owner/name."
    if isinstance(error, GatedRepoError):
        return f"its licence must be accepted first: do so on its Hub page, then {SIGN_IN}."
    if isinstance(error, RepositoryNotFoundError):
        return f"the Hub has no such model, or it is private: check the name, or {SIGN_IN}."
    if isinstance(error, RevisionNotFoundError):
        return f"the Hub has this model, but not its revision {str(revision)[:60]!r}."
    if isinstance(error, LocalEntryNotFoundError):
        if isinstance(error.__cause__, HfHubHTTPError):
            return f"{answered(error.__cause__)}, and there is no copy on this machine: try again."
        which = f"revision {revision[:60]!r} of it" if revision else "it"
        return (
            f"the Hub cannot be reached from here, and no whole copy of {which} is on this machine."
            " Connect to the network, or give a folder with config.json and .safetensors files."
        )
    what = answered(error) if isinstance(error, HfHubHTTPError) else "the connection broke off"
    return f"{what}. The files so far are kept: try again, and the download goes on."


def answered(error: HfHubHTTPError) -> str:
    """Return what the Hub said instead of sending a file."""
    return f"the Hub answered with an error of its own (status {error.response.status_code})"


def reporting(progress: ProgressLine, stop: threading.Event | None = None) -> type[tqdm]:
    """Return a progress bar class that draws nothing and reports its bytes as lines of text.

    Args:
        progress: called with a line every few seconds, and one at the end.
        stop: when set, the next count raises Stopped, which ends the download.
    """
    speed = Speed()

    class Reporting(tqdm):
        """The bar of one download; it reports bytes on disk, not files or network traffic."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            on_wire = str(kwargs.get("desc")).startswith("Downloading bytes")
            self.counts_bytes = kwargs.get("unit") == "B" and not on_wire
            self.last_line = time.monotonic()
            super().__init__(*args, **kwargs, file=io.StringIO())  # it ends with a line break

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            """Draw nothing."""

        def update(self, n: float | None = 1) -> bool | None:
            """Count, and report the progress of the download."""
            if stop is not None and stop.is_set():
                raise Stopped(STOPPED)
            drawn = super().update(n)
            if self.counts_bytes:
                speed.count(max(n or 0, 0))  # less than 0: bytes that are asked for again
            now, total = time.monotonic(), self.total or 0
            over = bool(total) and self.n >= total
            if self.counts_bytes and (over or now - self.last_line >= LINE_INTERVAL_S):
                self.last_line = now
                left = speed.time_left(total - self.n)
                progress(f"fetching: {amount(self.n, total)} of {amount(total)}{left}")
            return drawn

    return Reporting


def amount(size: float, unit_of: float | None = None) -> str:
    """Return bytes in MB or GB; given `unit_of`, as a number in the unit that one is written in."""
    large = (size if unit_of is None else unit_of) >= 1e9
    number = f"{size / 1e9:.2f}" if large else f"{size / 1e6:.1f}"
    return number if unit_of is not None else f"{number} {'GB' if large else 'MB'}"


class Speed:
    """How fast bytes come over the network, since the first of them."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.bytes = 0.0

    def count(self, more: float) -> None:
        """Add bytes that have come; the first, which may be those of an earlier try, start it."""
        if self.began is None:
            self.began = time.monotonic()
            return
        self.bytes += more

    def time_left(self, bytes_left: float) -> str:
        """Return ", about 40 s left"; "" when that is not known yet, or nothing is left."""
        if self.began is None or not self.bytes or bytes_left <= 0:
            return ""
        seconds = bytes_left * (time.monotonic() - self.began) / self.bytes
        if seconds < 90:
            return f", about {seconds:.0f} s left"
        return f", about {seconds / 60:.0f} min left"
