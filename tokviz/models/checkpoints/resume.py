"""Downloads large files from the Hub so that one that was broken off goes on where it ended.

huggingface_hub deletes an unfinished file. Here it stays, under a name of its own beside the place
where huggingface_hub keeps the finished one; once whole and checked it is moved there, and
huggingface_hub finds it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.file_download import HfFileMetadata, repo_folder_name
from huggingface_hub.utils import (
    WeakFileLock,
    build_hf_headers,
    hf_raise_for_status,
    http_stream_backoff,
)
from tqdm import tqdm

from tokviz.errors import ModelError

log = logging.getLogger(__name__)

UNFINISHED = ".unfinished"
SHA256 = re.compile(r"[0-9a-f]{64}")
"""What the Hub calls a large file: the hash of its content."""
BLOCK = 1 << 22
TRIES, PAUSE_S = 5, 1.0
"""How often in turn a connection may break without a byte, and the seconds before the next try."""
OK = 200
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
    try:
        _append(url, about, opened, bar)
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


def _append(url: str, about: HfFileMetadata, opened: BinaryIO, bar: tqdm) -> None:
    """Write the missing bytes as they come; ask again, a few times, where the connection breaks.

    huggingface_hub's own `http_get` counts, and so can be stopped, only after each 10 MB.

    Raises:
        HTTPError: the Hub refuses, or the connection breaks off too often.
        OSError: as of `_request`.
    """
    elsewhere = urlsplit(about.location).netloc != urlsplit(url).netloc
    # a store of files on another host must not see the token
    headers = build_hf_headers(token=False if elsewhere else None)
    tries = 0
    while True:
        bar.update(0)  # raises where somebody has said stop
        before = opened.seek(0, os.SEEK_END)
        try:
            _stream(about.location, headers, opened, bar)
            break
        except HTTPError as error:
            tries = 1 if opened.tell() > before else tries + 1
            if isinstance(error, HfHubHTTPError) or tries > TRIES:
                raise
            log.info("the download of %s broke off, and goes on", url)
            time.sleep(PAUSE_S)
    if about.size is not None and opened.tell() != about.size:
        raise OSError(f"{opened.tell()} bytes came of {about.size}.")


def _stream(address: str, headers: Mapping[str, str], opened: BinaryIO, bar: tqdm) -> None:
    """Ask once for what is missing, and write it as it comes."""
    done = opened.tell()
    headers = {**headers, "Accept-Encoding": "identity"}  # a range is one of the file's own bytes
    if done:
        headers["Range"] = f"bytes={done}-"
    with http_stream_backoff(
        "GET", address, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        retry_on_exceptions=(), retry_on_status_codes=(408, 429),
    ) as response:  # fmt: skip
        hf_raise_for_status(response)
        if done and response.status_code == OK:  # the whole comes, from its first byte on
            opened.truncate(0)
            bar.update(-done)
        for block in response.iter_bytes():
            bar.update(len(block))
            opened.write(block)


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
