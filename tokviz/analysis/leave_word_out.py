"""Which words of the question matter for the answer, and which are redundant?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import Progress
from tokviz.errors import InputError
from tokviz.options import Range
from tokviz.trace import Trace

MAX_WORDS = 200


@analysis(
    "leave_word_out",
    title="Leave one word of the prompt out",
    group="what the answer needs",
    needs=("prompt_ids",),
    asks=("reworded",),
    may_ask=("progress",),
    forwards=lambda size, **options: size.words + 1,
    meaning="Positive = without this word of the prompt the answer becomes less probable.",
    not_meaning="Two words that say the same both get 0, since either is enough; and a prompt "
    "with a hole is an unusual prompt.",
    exactness="exact",
    cost="One forward per word and one of the whole prompt. Memory: one prefill.",
)
def leave_word_out(
    trace: Trace,
    reworded: Callable[[str], float],
    progress: Progress | None = None,
    *,
    redundant: Annotated[float, Range(0, 5, 0.01)] = 0.05,
) -> Result:
    """Ask without each word in turn, and score the run's own answer again.

    Words are what blanks separate. The prompt is written and tokenised anew, so the words after a
    gap move up. A word is called redundant when the answer's log-probability changes by less than
    `redundant`.
    """
    words = tuple(trace.prompt.split())
    if not words:
        raise InputError("this run's prompt has no word that could be left out.")
    if len(words) > MAX_WORDS:
        raise InputError(f"the prompt must have at most {MAX_WORDS} words, it has {len(words)}.")
    whole, losses = reworded(trace.prompt), []
    for place in range(len(words)):
        shorter = " ".join(words[:place] + words[place + 1 :])
        losses.append(whole - reworded(shorter))
        if progress is not None:
            progress(place + 2, len(words) + 1)
    loss = np.array(losses)
    spare = np.abs(loss) < redundant
    names = ", ".join(word for word, gone in zip(words, spare, strict=True) if gone)
    parts = {
        "redundant": Part(spare, "i", "True where the answer hardly changes without the word"),
        "whole": number(whole, "log-probability of the answer with the whole prompt"),
    }
    notes = (f"Redundant words: {names}.",) if names else ()
    return Result(loss, "i", parts, {"i": words}, notes)
