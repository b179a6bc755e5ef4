"""The answer without the picture, and how probable the full answer's words are then."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokviz.evaluation.same_answer import same_answer
from tokviz.trace import Trace
from tokviz.view.word_prob import AnswerWord, word_probabilities
from tokviz.view.words import compare_words

from ..runs.models import Models
from ..runs.pictures import given
from ..runs.stops import Stop
from .run_request import RunRequest
from .zero_gpu import on_zero_gpu

SHORT = 200
"""Characters of an answer that are shown."""


@dataclass
class Blind:
    """The answer without the picture."""

    text: str
    prob: Any
    "Probability of each token of the full answer, [t]."


def blind_seconds(models: Models, request: RunRequest, trace: Trace, flag: Stop) -> int:
    """Return for how many seconds a GPU is needed."""
    return 15 + int(0.1 * request.limit)


@on_zero_gpu(blind_seconds)
def without_picture(
    models: Models, request: RunRequest, trace: Trace, flag: Stop
) -> Generator[Blind]:
    """Yield the answer with no visual token at all, once, unless a stop was asked for.

    Args:
        models: with the request's model.
        request: with an opened picture.
        trace: the full answer.
        flag: nothing is begun when it is set.
    """
    if flag.is_set():
        return
    runs = models.get(request.model).further_runs(
        given(request.image), request.prompt, trace, request.limit
    )
    text = runs.answers([np.zeros(0, np.int64)])[0]
    yield Blind(text, runs.without_image())


def blind_value(
    blind: Blind | None, words: Sequence[AnswerWord], full: str | None
) -> dict[str, Any] | None:
    """Return the answer without the picture, compared with the full one."""
    if blind is None or full is None:
        return None
    return {
        "text": blind.text[:SHORT],
        "words": compare_words(blind.text[:SHORT], full[:SHORT]),
        "state": "same" if same_answer(blind.text, full) else "changed",
        "prob": word_probabilities(words, blind.prob) if words else [],
    }
