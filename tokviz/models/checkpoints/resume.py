"""Downloads large files from the Hub so that one that was broken off goes on where it ended.

huggingface_hub deletes an unfinished file. Here it stays, under a name of its own beside the place
where huggingface_hub keeps the finished one; once whole and checked it is moved there, and
huggingface_hub finds it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.file_download import HfFileMetadata, http_get, repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers
from tqdm import tqdm

from tokviz.errors import ModelError

UNFINISHED = ".unfinished"
SHA256 = re.compile(r"[0-9a-f]{64}")
"""What the Hub calls a large file: the hash of its content."""
BLOCK = 1 << 22
RANGE_REFUSED = 416
"""Status: a server does not send a file from such a byte on."""


def fetch_large(name: str, commit: str, files: Iterable[str], bar: tqdm) -> None:
    """Download files into huggingface_hub's cache, each from where an earlier try ended.

    Args:
        name: a Hub id.
        commit: the commit whose files they are.
        files: their paths in the repository.
        bar: counts the bytes; whatever it raises ends the download.

    Raises:
        ModelError: a file is not what the Hub says it is; it is deleted.
        HTTPError: as huggingface_hub raises it.
        OSError: the disk is full, or a file cannot be written.
    """
    folder = repo_folder_name(repo_id=name, repo_type="model")
    blobs = Path(constants.HF_HUB_CACHE, folder, "blobs")
    blobs.mkdir(parents=True, exist_ok=True)
    for file in files:
        url = hf_hub_url(name, file, revision=commit)
        about = get_hf_file_metadata(url)
        if about.etag is None or (blobs / about.etag).exists():
            continue
        unfinished = blobs / f"{about.etag}{UNFINISHED}"
        with WeakFileLock(f"{unfinished}.lock"):
            _go_on(url, about, unfinished, bar)
            unfinished.replace(blobs / about.etag)


def _go_on(url: str, about: HfFileMetadata, unfinished: Path, bar: tqdm) -> None:
    """Download what is still missing of one file, and check the whole."""
    with unfinished.open("ab") as opened:
        done = opened.tell()
        bar.update(done)
        if about.size is None or done < about.size:
            try:
                _request(url, about, opened, bar)
            except HfHubHTTPError as error:
                if not done or error.response.status_code != RANGE_REFUSED:
                    raise
                opened.truncate(0)
                bar.update(-done)
                _request(url, about, opened, bar)
    if not _is_whole(unfinished, about):
        unfinished.unlink()
        raise ModelError("a downloaded file is damaged, and was deleted: try again.")


def _request(url: str, about: HfFileMetadata, opened: BinaryIO, bar: tqdm) -> None:
    """Ask for the bytes behind those that are in a file, and append them.

    Raises:
        ModelError: what came is not the beginning of a safetensors file, but a page of a proxy, to
            sign in for one; it is deleted.
        OSError: the answer ended too early, or the disk is full.
    """
    elsewhere = urlsplit(about.location).netloc != urlsplit(url).netloc
    try:
        http_get(
            about.location,
            opened,
            resume_size=opened.seek(0, os.SEEK_END),
            # a store of files on another host must not see the token
            headers=build_hf_headers(token=False if elsewhere else None),
            expected_size=about.size,
            tqdm_class=_forwarding(bar),
        )
    except OSError as error:
        if error.errno is not None or isinstance(error, HTTPError):
            raise  # of the disk, or of the Hub
        opened.flush()
        if _begins_well(Path(opened.name), about):
            raise  # the next try goes on
        opened.truncate(0)
        raise ModelError(
            "what came is no file of a model: something between this machine and the Hub answers "
            "instead, such as a page to sign in to this network. Look at the Hub in a browser, "
            "then try again."
        ) from error


def _begins_well(file: Path, about: HfFileMetadata) -> bool:
    """Return whether a file may be the beginning of a safetensors file of its size.

    That is the length of a JSON object, 8 bytes, and the object
    (https://huggingface.co/docs/safetensors).
    """
    with file.open("rb") as opened:
        begin = opened.read(9)
    size = file.stat().st_size
    return begin[8:] in (b"", b"{") and (about.size is None or size < about.size)


def _is_whole(file: Path, about: HfFileMetadata) -> bool:
    """Return whether a file has the size and, where the Hub tells one, the hash it must have."""
    if about.size is not None and file.stat().st_size != about.size:
        return False
    if not SHA256.fullmatch(about.etag or ""):
        return True
    found = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            found.update(block)
    return found.hexdigest() == about.etag


def _forwarding(bar: tqdm) -> Any:
    """Return a class of bars, one for each file, that count on one bar for all files."""

    class Forwarding:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """Take what tqdm takes; what was there before was counted already."""

        def __enter__(self) -> Forwarding:
            return self

        def __exit__(self, *error: object) -> None:
            """Leave the bar open for the next file."""

        def close(self) -> None:
            """Leave the bar open for the next file."""

        def update(self, n: float | None = 1) -> None:
            bar.update(n)

    return Forwarding
