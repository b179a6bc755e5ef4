"""A picture that stands in a request as base64, with or without the head of a data URL."""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradio.utils import get_upload_folder

from tokviz.errors import InputError

MAX_CHARACTERS = 2_000_000
"""Longest text, 1.5 MB of a file; the body of a request may have 2 MiB (`request_limits`)."""
HEAD = re.compile(r"data:[\w.+-]{1,40}/[\w.+-]{1,80}(?:;[\w.+=-]{1,40}){0,3};base64,", re.I)
FORM = (
    "image must be a picture file in base64, such as data:image/png;base64,iVBORw0..., of at most "
    "1.5 MB. Addresses and paths are not read."
)


def picture_bytes(text: str) -> bytes:
    """Return a picture file from its text; raises InputError, which quotes nothing of it.

    The length is looked at before anything is decoded; what the file holds is for tokviz.images.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"image has {len(text):,} characters; at most {MAX_CHARACTERS:,} fit.")
    head = HEAD.match(text)
    try:
        data = base64.b64decode("".join(text[head.end() if head else 0 :].split()), validate=True)
    except ValueError:  # binascii.Error, and letters that are not ASCII
        raise InputError(FORM) from None
    if not data:
        raise InputError(FORM)
    return data


@contextmanager
def as_upload(data: bytes) -> Iterator[dict[str, object]]:
    """Keep a file among the uploads while the block runs; yield what Gradio's image input reads."""
    home = Path(get_upload_folder())
    home.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=home)
    try:
        file = Path(folder, "picture")
        file.write_bytes(data)
        yield {"path": str(file), "meta": {"_type": "gradio.FileData"}}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
