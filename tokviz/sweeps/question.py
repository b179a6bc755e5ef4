"""One question of a sweep: pictures, a prompt, and the right answer if it is known."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokviz.errors import InputError
from tokviz.film.choice import CHOICES
from tokviz.keywords import tells_fields
from tokviz.text.lines import lines_of

KINDS = ("exact", "yes_no", "choice", "chair", "open")
"""How an answer is judged. open = without a right answer, only stability is measured."""
MAX_LIST_BYTES = 4 * 2**20
MAX_TEXT = 8000
"Characters of a prompt, a right answer or a choice."


@tells_fields
@dataclass(frozen=True)
class Question:
    """One row of a data set."""

    images: tuple[str, ...]
    "Paths."
    prompt: str
    truth: str | None = None
    "The right answer; for `choice` its letter or text, for `chair` the objects, comma-separated."
    kind: str = "exact"
    "One of KINDS."
    choices: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    "For `exact`: all answers that count, see `evaluation.accepted_score`; `truth` names them."
    name: str = ""
    "The name in the data set, for the user; it does not identify the question."
    frames: int | None = None
    "How many frames of a film are shown; None = the default, or as one of the next two says."
    rate: float | None = None
    "Instead: frames per second."
    times: tuple[float, ...] | None = None
    "Instead: the frames at these seconds."

    def __post_init__(self) -> None:
        """Check the texts; raise InputError."""
        if self.kind not in KINDS:
            raise InputError(f"kind must be one of {', '.join(KINDS)}, got {self.kind[:40]!r}.")
        if not self.images:
            raise InputError(f"the question {self.prompt[:60]!r} has no image.")
        for text in (self.prompt, self.truth or "", *self.choices, *self.accepted):
            if len(text) > MAX_TEXT:
                raise InputError(f"a text of {len(text):,} characters; at most {MAX_TEXT:,}.")

    @property
    def judged(self) -> bool:
        """True if there is a right answer."""
        return self.truth is not None and self.kind != "open"

    @property
    def choice(self) -> dict[str, Any]:
        """Which frames of a film are shown, as arguments of `open_film`; {} for the default."""
        given = {name: getattr(self, name) for name in CHOICES}
        return {name: value for name, value in given.items() if value is not None}

    def digest(self) -> str:
        """Return a hash of the pictures' bytes and of what is asked; file names do not count."""
        asked = {k: v for k, v in asdict(self).items() if k not in ("images", "name")}
        if not self.accepted:
            del asked["accepted"]  # so that older questions keep their hash
        for name in CHOICES:
            if asked[name] is None:
                del asked[name]
        return digest([[file_digest(path) for path in self.images], asked])


def digest(value: object) -> str:
    """Return a hash of a JSON-ready value, 32 hex digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@lru_cache(maxsize=4096)
def file_digest(path: str) -> str:
    """Return the hash of a file's bytes; raise InputError when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise InputError(f"the image {path!r} cannot be read: {error.strerror}.") from error


def text_lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a small text file that are not empty; raise InputError."""
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise InputError(f"{path.name!r} is over {MAX_LIST_BYTES >> 20} MB.")
        lines = lines_of(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)[:200]!r} cannot be read as UTF-8 text.") from error
    return tuple(line for line in lines if line.strip())
