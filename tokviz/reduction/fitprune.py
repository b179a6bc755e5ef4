"""FitPrune: which tokens can go so that the two attention distributions stay as they were?"""

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k

TOKENS, LAYERS = 576, 32
_RECIPES = """
0 0 1 2 1 0 1 4 5 5 11 4 2 2 0 0 1 1 2 4 2 10 1 1 1 2 1 1 0 1
0 0 3 3 1 1 4 16 14 15 24 4 2 3 2 0 6 0 5 13 4 19 2 1 1 1 1 1 2 1
0 0 7 6 4 5 16 40 24 21 24 4 2 3 4 0 16 0 11 26 6 32 3 1 0 1 2 2 4
0 1 21 13 14 11 41 53 29 15 14 5 1 4 5 1 26 1 13 28 6 27 2 1 0 0 1 1 2
3 7 49 24 29 17 59 41 26 8 10 6 2 5 7 2 30 3 13 27 5 23 2 1 0 0 1 1 2
6 17 69 31 34 19 59 30 23 6 8 7 2 5 8 2 29 4 12 25 4 19 2 1 0 0 1 0 1
14 33 89 36 36 20 55 21 18 4 7 5 2 5 7 4 26 5 11 24 4 18 2 1 0 0 1 0 1
48 79 118 41 33 17 36 9 9 2 3 2 1 3 4 8 18 7 8 20 4 13 2 1 0 0 1 0 1
128 127 118 35 26 8 13 3 2 1 0 0 0 2 1 8 7 8 5 11 2 6 1 1 0 0 0 1
262 153 80 19 13 1 2 0 0 0 0 0 0 0 0 1 1 2 1 2 0 1 0 0 0 0 0 1
"""
RECIPES = [[int(count) for count in line.split()] for line in _RECIPES.split("\n")[1:-1]]
"""Tokens that the official recipes remove in layers 0, 1, ... of 32, out of 576, for 10, 20, 30,
40, 50, 55, 60, 70, 80 and 90 % of the computation saved."""


def removed_shares(share: float) -> list[float]:
    """Return the share of the tokens that is gone before each of layers 0 to 32.

    Args:
        share: of the tokens that are gone in the end, 0 to 1.

    Returns:
        33 numbers, rising from 0 to `share`: the official recipe that ends there, or a mean of the
        two whose ends lie around it; beyond the last recipe its shape.
    """
    curves = [[0.0] * (LAYERS + 1)]
    for recipe in RECIPES:
        gone = [sum(recipe[:layer]) / TOKENS for layer in range(LAYERS + 1)]
        curves.append(gone)
    ends = [curve[-1] for curve in curves]
    if share >= ends[-1]:
        return [gone * share / ends[-1] for gone in curves[-1]]
    high = next(number for number, end in enumerate(ends) if end > share)
    weight = (share - ends[high - 1]) / (ends[high] - ends[high - 1])
    pairs = zip(curves[high - 1], curves[high], strict=True)
    return [low + weight * (more - low) for low, more in pairs]


def _schedule(n: int, keep: int, layers: int, **options):
    last = schedules.clamped(layers - 1, layers)
    gone = removed_shares(1 - keep / n)
    counts = [
        max(round(n * (1 - gone[round(at * LAYERS / layers)])), keep) for at in range(1, last)
    ]
    return schedules.stages(zip(range(1, layers), [*counts, keep], strict=True), n)


@method(
    "fitprune",
    title="FitPrune",
    place="language_model",
    needs=("llm_attn_all", "llm_visual_rows"),
    paper="https://arxiv.org/abs/2409.10197",
    year=2024,
    code="ywh187/FitPrune",
    licence="Apache-2.0",
    query_aware=True,
    positions="keep",
    gradual=True,
    depths=(LAYERS,),
    schedule=_schedule,
)
def fitprune(signals, keep: int) -> Reduction:
    """Remove in many layers the tokens that neither the image nor the text attends to.

    The score is the attention that a token receives from all visual tokens times what it receives
    from the rows after the image, each the maximum over heads, in the layer before.

    How many go in each layer is a recipe that the authors fitted to LLaVA-1.5-7B on a few hundred
    questions, so that both distributions change little for ten amounts of saved computation. Their
    recipes are used where `keep` of 576 tokens is what one of them leaves at the end; other budgets
    take a mean of the two nearest, and other depths read it at the same share. Nothing is fitted
    here. The official code removes tokens between the attention and the MLP of a layer, which is
    the same as before the next layer: no other row reads what the MLP would have added to them.
    """
    rows = signals["llm_visual_rows"]
    strongest = signals["llm_attn_all"].amax(0)[:, rows]  # [a, n]
    by_image = (strongest[rows] / len(rows)).sum(0)
    by_text = strongest[int(rows.max()) + 1 :].sum(0)
    score = by_text * by_image
    order = top_k(score, keep)
    return Reduction.select(order, len(rows), score=score, order=order)
