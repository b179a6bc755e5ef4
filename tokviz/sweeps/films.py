"""Films in a sweep: which frames a question shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tokviz.film import open_film
from tokviz.film.choice import arguments, request
from tokviz.film.opening import is_moving
from tokviz.sweeps.question import Question


def with_frames(
    questions: Sequence[Question],
    frames: int | None = None,
    rate: float | None = None,
    times: Sequence[float] | None = None,
) -> list[Question]:
    """Return the questions, those about a film with a choice of frames; raise InputError.

    With a choice, an animated GIF or WebP is a film, too.
    """
    if frames is None and rate is None and times is None:
        return list(questions)
    choice = arguments(request(frames, rate, times))
    files = {q.images[0] for q in questions if len(q.images) == 1}
    films = {file for file in files if is_moving(file)}
    return [
        replace(q, **choice) if len(q.images) == 1 and q.images[0] in films else q
        for q in questions
    ]


def shown(images: Sequence[str], choice: Mapping[str, Any]) -> list[Any]:
    """Return pictures as they are, or a film with the frames that were chosen."""
    return [open_film(images[0], **choice)] if choice else list(images)
