"""One question per picture, so that every question is an independent trial.

Held-out scenes, the kinds with short answers in turn, and pictures of the easy-VQA test split. Each
picture goes through the tower once.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.measured_model import scenes
from embedded import easyvqa
from embedded.questions import ask
from embedded.wording import typed
from tokviz.capture import Capture
from tokviz.models.prepared import Prepared
from tokviz.models.runs.streaming import with_made_signals
from tokviz.models.tower.vision import Vision
from tokviz.plans import Plan

KINDS = ("existence", "what", "place", "colour", "count")
Case = tuple[Any, str, str]
"""Picture, question, right answer."""


@dataclass(frozen=True)
class Asked:
    """One picture with its question, seen by the tower."""

    source: str
    "scenes or easyvqa."
    answer: str
    prepared: Prepared
    vision: Vision


def scene_questions(vlm: Any, count: int) -> Iterator[Case]:
    """Yield held-out scenes with a question each, the kinds in turn."""
    for number, view in enumerate(scenes(vlm, count)):
        order = [*KINDS[number % len(KINDS) :], *KINDS]
        asked = (ask(view, kind, random.Random(view.seed)) for kind in order)
        question = next(one for one in asked if one is not None)
        yield view.image, typed(question.text), question.answer


def easyvqa_questions(count: int) -> Iterator[Case]:
    """Yield test pictures spread over the split, with a question each."""
    known = easyvqa.pictures("test")
    for number in range(count):
        picture = known[number * len(known) // count]
        text, answer = picture.questions[number % len(picture.questions)]
        yield picture.image, text, answer


def see(vlm: Any, scenes: int, easy: int, plans: Sequence[Plan]) -> list[Asked]:
    """Encode every picture once, with all that the plans' methods read from the tower."""
    found = []
    sources = {"scenes": scene_questions(vlm, scenes), "easyvqa": easyvqa_questions(easy)}
    for source, cases in sources.items():
        for image, text, answer in cases:
            with vlm.guarded():
                prepared = vlm.prepare([image], text)
                vision = vlm.encode(prepared, plans, Capture.nothing())
            found.append(Asked(source, answer, prepared, vision))
    return found


def with_signals(vlm: Any, asked: Sequence[Asked], chosen: Plan) -> list[Asked]:
    """Return the questions with what a plan's method reads from a run of its own.

    The oracle reads the relevance of the full answer, traced back: seconds for every picture.
    """
    return [
        replace(one, prepared=with_made_signals(vlm, one.prepared, [chosen], strict=True))
        for one in asked
    ]


def longest(vlm: Any, asked: Sequence[Asked]) -> int:
    """Return how many tokens of an answer must be seen: those of the longest right one, and one.

    A longer answer is wrong, whatever follows.
    """
    read = vlm.tokenizer
    return 1 + max(len(read(f" {one.answer}", add_special_tokens=False).input_ids) for one in asked)
