"""Many questions, one after the other: what a loop over `answer` does, with less work.

The vision tower runs once for neighbouring questions about the same pictures. Nothing is stored:
each run is handed out as soon as it is there, and only one is held. (`tokviz.sweep` is for methods
x budgets x thousands of questions, on disk.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tqdm import tqdm

from tokviz.capture import Capture
from tokviz.errors import InputError, TokvizError
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.preparing import encode, prepare
from tokviz.models.runs.streaming import check_length, stream
from tokviz.models.tower.vision import Vision
from tokviz.plans import as_plan
from tokviz.trace import Trace

FORMS = 'a pair (image, prompt), a mapping {"image": ..., "prompt": ...}, or a question of a sweep'


def answers(
    loaded: Loaded,
    questions: Iterable[Any],
    plan: Any = None,
    max_new_tokens: int = 64,
    capture: Capture | str | None = None,
    progress: bool = False,
) -> Iterator[Trace]:
    """Answer questions in turn; see `VLM.answers`."""
    max_new_tokens = check_length(max_new_tokens)
    asked, capture = as_plan(plan), Capture.of(capture)
    check_list(questions)
    held: tuple[Any, Vision | None] = ((), None)
    bar = tqdm(questions, unit="question", disable=not progress, file=sys.stderr)
    for number, given in enumerate(bar, start=1):
        try:
            images, prompt = split(given)
            with loaded.guarded():
                prepared = prepare(loaded, images, prompt)
            shared = held[1] if same(held[0], images) else None
            if shared is None:
                shared = vision_of(loaded, prepared, asked, capture)
                held = images, shared
            *_, views = stream(
                loaded, prepared, [asked], max_new_tokens, capture, strict=True, shared=shared
            )
        except TokvizError as error:
            raise type(error)(f"question {number}: {error}") from error
        yield views[0].trace  # type: ignore[misc]


def check_list(questions: Any) -> None:
    """Raise InputError for what is no list of questions; a tensor of no axis has __iter__, too."""
    try:
        listed = iter(questions) is not None and not isinstance(questions, (str, bytes, Mapping))
    except TypeError:
        listed = False
    if not listed:
        raise InputError(f"give a list of questions, each {FORMS}; got {type(questions).__name__}.")


def vision_of(loaded: Loaded, prepared: Prepared, plan: Any, capture: Capture) -> Vision:
    """Run the tower on a question's pictures."""
    with loaded.guarded():
        return encode(loaded, prepared, [plan], capture)


def split(given: Any) -> tuple[list[Any], str]:
    """Return the images and the prompt of a question in any of FORMS."""
    if isinstance(given, Mapping):
        images, prompt = given.get("images", given.get("image")), given.get("prompt")
    elif isinstance(given, tuple) and len(given) == 2:
        images, prompt = given
    else:
        images, prompt = getattr(given, "images", None), getattr(given, "prompt", None)
    if images is None or not isinstance(prompt, str):
        raise InputError(f"a question is {FORMS}, got {type(given).__name__}.")
    return list(images) if isinstance(images, (list, tuple)) else [images], prompt


def same(before: Any, images: list[Any]) -> bool:
    """Return whether two questions are about the same pictures: the same objects or paths."""
    pairs = zip(before, images, strict=False)
    alike = all(a is b or (isinstance(a, str) and a == b) for a, b in pairs)
    return len(before) == len(images) and alike
