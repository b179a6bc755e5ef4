"""DART: which tokens are least like a few that stand for all the others?"""

from __future__ import annotations

from typing import Annotated, Literal

from tokviz.matrix import Reduction
from tokviz.options import fitted
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch

PIVOTS = 4
"""Published number of pivots of the image, and of the text."""


def _schedule(n: int, keep: int, layers: int, **options):
    at = schedules.at_layer("layer", options["layer"], layers)
    return schedules.stages([(at, keep)], n)


@method(
    "dart",
    title="DART",
    place="language_model",
    needs=(
        "llm_normed",
        "llm_text_normed",
        "llm_keys_before",
        "llm_text_keys_before",
        "llm_visual_rows",
    ),
    paper="https://arxiv.org/abs/2502.11494",
    year=2025,
    code="ZichenWen1/DART",
    licence="Apache-2.0",
    query_aware=True,
    positions="keep",
    depths=(28, 32),
    schedule=_schedule,
)
def dart(
    signals,
    keep: int,
    *,
    layer: Annotated[int, Range(1, 64, 1)] = 2,
    image_pivots: Annotated[int, Range(1, 32, 1)] = PIVOTS,
    text_pivots: Annotated[int, Range(0, 32, 1)] = PIVOTS,
    variant: Literal["code", "paper"] = "code",
) -> Reduction:
    """Keep a few pivots and, for each of them, the tokens that duplicate it least.

    Pivots are the visual tokens and the text rows after the image whose keys in the previous layer
    have the largest sum of absolute values. Each pivot in turn adds the visual tokens, of those
    left over, that are least similar to it: the lowest cosine of the states before `layer`, after
    the model's final norm. Pivots of the image are kept, those of the text stay with the text.

    The official code takes the pivots in the order in which Python's set gives their row numbers
    (variant "code"); "paper" takes image pivots first, the largest before others. It adds the same
    number per pivot beside the pivots, so it may keep a few more than the budget; here a remainder
    goes to the first pivots and the count is exact.
    """
    rows = signals["llm_visual_rows"].tolist()
    own, text = signals["llm_keys_before"], signals["llm_text_keys_before"]
    first, few = fitted("image_pivots", image_pivots, PIVOTS, keep, f"{keep} tokens are kept")
    after = text.shape[1]
    why = f"the text after the image has {after} tokens"
    second, few_words = fitted("text_pivots", text_pivots, PIVOTS, after, why, 0)
    pivots = top_k(size(own), first).tolist()
    words = top_k(size(text), second).tolist()
    states = torch.cat([signals["llm_normed"], signals["llm_text_normed"]])
    # the number in the prompt of each pivot -> its place in `states`
    of_row = {rows[token]: token for token in pivots}
    of_row |= {max(rows) + 1 + word: len(rows) + word for word in words}
    order = list(of_row)
    # a set made from a list: from a dictionary's keys Python lays it out in another order
    order = list(set(order)) if variant == "code" else order
    each, more = divmod(keep - len(pivots), len(order))
    kept = list(pivots)
    left = [token for token in range(len(rows)) if token not in of_row.values()]
    for number, row in enumerate(order):
        similar = torch.nn.functional.cosine_similarity(
            states[of_row[row]][None], states[torch.tensor(left, dtype=torch.long)], dim=-1
        )
        added = {left[i] for i in top_k(-similar, each + (number < more)).tolist()}
        kept += sorted(added)
        left = [token for token in left if token not in added]
    notes = (*few, *few_words)
    return Reduction.select(kept, len(rows), order=kept, roles={"pivot": pivots}, notes=notes)


def size(keys: torch.Tensor) -> torch.Tensor:
    """Return the sum of absolute values of each row's keys over all heads, [h, m, d] -> [m]."""
    return keys.abs().sum((0, 2))
