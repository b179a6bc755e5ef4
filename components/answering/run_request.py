"""What a visitor asked for: everything that one run needs, before any model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..runs.lane_request import LaneRequest
from ..runs.pictures import Sent
from ..settings import Settings
from ..site import Site

MAX_NEW_TOKENS = 64


@dataclass
class RunRequest:
    """What one visitor asked for, checked as far as possible without a model."""

    image: Any
    prompt: str
    model: str
    lanes: list[LaneRequest] = field(default_factory=list)
    limit: int = MAX_NEW_TOKENS
    "Tokens that an answer may have."
    seconds: float = 300.0
    "Seconds after which the run is stopped."
    example: str = ""
    "Stored example whose picture and question these are, or nothing."
    source: str = ""
    "Stored example whose picture this is, several with commas between, or nothing."


def ask_about(
    settings: Settings,
    image: Any,
    prompt: str | None,
    model: str,
    lanes: Sequence[LaneRequest] = (),
    example: str = "",
    source: str = "",
) -> RunRequest:
    """Return a visitor's request within the server's limits."""
    limit, seconds = settings.max_new_tokens, settings.max_seconds
    return RunRequest(image, prompt or "", model, list(lanes), limit, seconds, example, source)


def ask_about_shown(
    site: Site,
    session: str,
    prompt: str | None,
    model: str,
    lanes: Sequence[LaneRequest] = (),
    upload: Any = None,
) -> RunRequest:
    """Return a request about an uploaded picture, or else about the one that a session shows.

    Args:
        site: where runs are kept.
        session: name of the run that the page shows.
        prompt: the question.
        model: name of the model.
        lanes: the lanes besides the full answer.
        upload: path of a picture, or a `Sent`, to use instead of the shown one. The picture box
            also holds the picture of an example that a lesson opened: that is no upload.
    """
    shown = site.run(session)
    examples = site.stored.with_picture(upload) if isinstance(upload, str) else []
    if shown is not None and shown.source in examples:
        upload = None
    if upload or shown is None:
        source = upload.source if isinstance(upload, Sent) else next(iter(examples), "")
        return ask_about(site.settings, upload, prompt, model, lanes, source=source)
    same = shown.prompt.strip() == (prompt or "").strip()
    example = shown.example if same else ""
    return ask_about(site.settings, shown.image, prompt, model, lanes, example, shown.source)
