"""OPERA's warning sign: does the answer keep going back to one of its own words?"""

import math

import torch

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, Place, Recipe

SCALE = 50.0
UNIT = 1e-7
SHORT = 10
"""Words of an answer that are judged by their look at the image."""
LARGEST = 300.0
"""Exponent at which a penalty is cut off, so that it stays a finite number."""


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
    """Measure for each word how much the answer leans on one earlier word; changes nothing.

    In the last layer, highest of the heads, each word's attention is scaled to sum 1 over all keys;
    the part on the answer so far is times 50. The product down a column, times 1e-7, is that word's
    score, and the largest is the over-trust of the answer so far. `log10_over_trust` rises where
    every new word looks back at the same one (`anchor`). `penalty` is what the code would take from
    the word's logit: for the first ten words minus their share of attention on the image
    (`image_share`), then the over-trust. The published decoding does so with candidates of a beam
    search and goes back when an anchor repeats: greedy decoding cannot host that. Logarithms,
    because the code's float16 under- and overflows. The last word has no value when the answer was
    cut short.
    """

    def look(logits: torch.Tensor, place: Place) -> None:
        if place.prefill:
            return
        row = over_all_keys(logits[:, -1].softmax(-1))
        rows = place.memory.setdefault("rows", [])
        rows.append(row[place.answer].cpu())
        score = column_scores(rows)
        note = {
            "log10_over_trust": round(float(score.max()), 6),
            "anchor": int(score.argmax()),
            "image_share": round(float(row[place.image].sum()), 6),
        }
        note["penalty"] = penalty(len(rows), note["log10_over_trust"], note["image_share"])
        for name, value in note.items():
            place.told.setdefault(name, []).append(value)

    return Recipe(AttentionEdit(look, rows="last", last_layer_only=True))


def over_all_keys(weights: torch.Tensor) -> torch.Tensor:
    """Return the highest of the heads [k], scaled to sum 1 over all keys, from weights [h, k].

    The scaling comes before the answer is cut out: scaled over the answer alone, one word that
    looks at the answer with 1 % of its attention would count like one that looks nowhere else.
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
    """Return what the code takes from the logit of the word number `written`, counted from 1.

    The first ten words are too few for a column to stand out: there it is -image_share, so that
    a word is preferred which looks at the image.
    """
    if written <= SHORT:
        return -image_share
    return 10.0 ** min(log10_over_trust, LARGEST)
