"""OPERA's over-trust measure: does the answer attend again and again to one of its own words?"""

from __future__ import annotations

import math

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, EditContext, Recipe
from tokviz.torch_on_use import torch

SCALE = 50.0
UNIT = 1e-7
SHORT = 10
"""Number of first tokens of an answer whose penalty is their attention to the image."""
LARGEST = 300.0
"""Largest exponent of a penalty, so that it stays finite in float64."""


@mitigation(
    "opera",
    title="OPERA (diagnostic)",
    kinds=("diagnostic",),
    paper="https://arxiv.org/abs/2311.17911",
    year=2023,
    differs=("it measures and goes on: the published beam search that goes back is not run",),
    code="shikiw/OPERA",
    licence="MIT",
)
def opera() -> Recipe:
    """Measure for each word how much the answer attends to one earlier word; changes nothing.

    Each word's attention in the last layer (the maximum over heads) is scaled to sum 1 over all
    keys; its part on the answer so far is multiplied by 50. The product of a column times 1e-7 is
    the score of that column's word, and the largest score is the over-trust of the answer so far.
    `log10_over_trust` rises when every new word attends to the same word (`anchor`). `penalty` is
    what the official code subtracts from the word's logit: for the first ten words minus their
    share of attention on the image (`image_share`), afterwards the over-trust. The published method
    penalises candidates of a beam search and goes back when an anchor repeats, which greedy
    decoding cannot do. Logarithms replace the code's float16, which under- and overflows. The last
    word has no value if the answer was cut off.
    """

    def measure(logits: torch.Tensor, context: EditContext) -> None:
        if context.prefill:
            return
        row = over_all_keys(logits[:, -1].softmax(-1))
        rows = context.memory.setdefault("rows", [])
        rows.append(row[context.answer].cpu())
        score = column_scores(rows)
        values = {
            "log10_over_trust": round(float(score.max()), 6),
            "anchor": int(score.argmax()),
            "image_share": round(float(row[context.image].sum()), 6),
        }
        values["penalty"] = penalty(len(rows), values["log10_over_trust"], values["image_share"])
        for name, value in values.items():
            context.measured.setdefault(name, []).append(value)

    return Recipe(AttentionEdit(measure, rows="last", last_layer_only=True))


def over_all_keys(weights: torch.Tensor) -> torch.Tensor:
    """Return the maximum over heads [k], scaled to sum 1 over all keys, from weights [h, k].

    It is scaled over all keys, not over the answer: otherwise a word with 1 % of its attention on
    the answer would count as much as a word with all of it there.
    """
    row = weights.amax(0).double()
    return row / row.sum()


def column_scores(rows: list[torch.Tensor]) -> torch.Tensor:
    """Return log10 of each column's score, [w].

    Args:
        rows: w rows of attention among the words of an answer, the first [1], the last [w]; shares
            of the attention to all keys, so each sums to less than 1.
    """
    total = torch.full((len(rows),), math.log10(UNIT), dtype=torch.float64)
    for row in rows:
        total[: len(row)] += (SCALE * row.double()).clamp_min(1e-300).log10()
    return total


def penalty(written: int, log10_over_trust: float, image_share: float) -> float:
    """Return what the official code subtracts from the logit of word `written`, counted from 1.

    Ten words are too few for a column to stand out. For them it is -image_share, which prefers
    words that attend to the image.
    """
    if written <= SHORT:
        return -image_share
    return 10.0 ** min(log10_over_trust, LARGEST)
