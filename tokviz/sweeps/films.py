"""Films in a sweep: how many frames a question shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tokviz.film import is_film, open_film
from tokviz.film.opening import request
from tokviz.sweeps.question import Question


def with_frames(questions: Sequence[Question], frames: int | None) -> list[Question]:
    """Return the questions, those about a film with a number of frames; raise InputError."""
    if frames is None:
        return list(questions)
    count = request(frames)["count"]
    return [replace(q, frames=count) if is_film(q.images[0]) else q for q in questions]


def shown(question: Question) -> list[Any]:
    """Return a question's pictures, or its film with the frames that it shows."""
    if question.frames is None:
        return list(question.images)
    return [open_film(question.images[0], question.frames)]
