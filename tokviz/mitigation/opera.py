"""OPERA's warning sign: does the answer keep going back to one of its own words?"""

import math

import torch

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, Place, Recipe

SCALE = 50.0
UNIT = 1e-7


@mitigation(
    "opera",
    title="OPERA (diagnostic)",
    kinds=("diagnostic",),
    paper="https://arxiv.org/abs/2311.17911",
    year=2023,
    code="shikiw/OPERA",
    licence="MIT",
)
def opera() -> Recipe:
    """Measure for each word how much the answer leans on one earlier word; changes nothing.

    In the last layer, highest of the heads, each word's attention to the answer so far is scaled to
    sum 1 and times 50; the product down a column, times 1e-7, is that word's score, and the largest
    is the over-trust of the answer so far. `log10_over_trust` rises where every new word looks back
    at the same one (`anchor`). The published decoding subtracts it from candidates of a beam search
    and goes back when an anchor repeats: greedy decoding cannot host that. Logarithms, because the
    code's float16 under- and overflows. The last word has no value when the answer was cut short.
    """

    def look(logits: torch.Tensor, place: Place) -> None:
        if place.prefill:
            return
        own = logits[:, -1].softmax(-1)[:, place.answer]
        row = own.amax(0)
        rows = place.memory.setdefault("rows", [])
        rows.append((row / row.sum().clamp_min(1e-30)).double().cpu())
        score = column_scores(rows)
        place.told.setdefault("log10_over_trust", []).append(round(float(score.max()), 6))
        place.told.setdefault("anchor", []).append(int(score.argmax()))

    return Recipe(AttentionEdit(look, rows="last", last_layer_only=True))


def column_scores(rows: list[torch.Tensor]) -> torch.Tensor:
    """Return log10 of each column's score, [w].

    Args:
        rows: w rows of attention among the words of an answer, the first [1], the last [w]; each
            sums to 1.
    """
    total = torch.full((len(rows),), math.log10(UNIT), dtype=torch.float64)
    for row in rows:
        total[: len(row)] += (SCALE * row.double()).clamp_min(1e-300).log10()
    return total
