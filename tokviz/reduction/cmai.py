"""CMAI: which patches does the text attend to, directly and through other words?"""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


def focus(text_text: torch.Tensor, text_image: torch.Tensor) -> torch.Tensor:
    """Return the focus of every text row on every visual token [m, n]: one step through the text.

    Args:
        text_text: [m, m], attention among text rows.
        text_image: [m, n], attention of text rows to visual tokens.
    """
    return text_text @ text_image


def _schedule(n: int, keep: int, layers: int, **options):
    at = schedules.at_depth("depth", options["depth"], layers, default=0.25)
    return schedules.stages([(at, keep)], n)


@method(
    "cmai",
    title="CMAI",
    place="language_model",
    needs=("llm_attn_text", "llm_attn_text_text"),
    paper="https://arxiv.org/abs/2411.15453",
    year=2024,
    query_aware=True,
    positions="keep",
    removes=False,
    effect="mask",
    verified=False,
    schedule=_schedule,
)
def cmai(signals, keep: int, *, depth: Annotated[float, Range(0, 1, 0.05)] = 0.25) -> Reduction:
    """Hide the visual tokens on which the text has little focus, counted through other words.

    Focus is the attention among text rows times their attention to the image, mean over heads. A
    stand-in: the paper masks single (word, patch) pairs, and its layers, thresholds and
    normalisation are not known. Here a token's focus is the mean over the words, and the token is
    hidden from all words, once, at the chosen depth.
    """
    text_image, text_text = signals["llm_attn_text"].mean(0), signals["llm_attn_text_text"].mean(0)
    score = focus(text_text, text_image).mean(0)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
