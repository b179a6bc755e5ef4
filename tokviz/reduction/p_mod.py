"""p-MoD: can visual tokens skip more and more layers without being removed?"""

import math
from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k


def ratio(layer: int, layers: int) -> float:
    """Return the share of visual tokens that go through a layer: half a cosine from 1 to 0."""
    return 0.5 * math.cos(math.pi * layer / max(layers - 1, 1)) + 0.5


def _schedule(n: int, keep: int, layers: int, **options):
    schedules.clamped(1, layers)
    shares = [ratio(layer, layers) for layer in range(layers)]
    counts = [n if s > options["dense"] else max(math.floor(n * s), keep) for s in shares]
    counts[-1] = keep
    sparse = [Stage(layer, counts[layer]) for layer in range(1, layers) if counts[layer] < n]
    return sparse or [Stage(layers - 1, keep)]


@method(
    "p_mod",
    title="p-MoD (schedule)",
    training_free=False,
    place="language_model",
    needs=("llm_peek_last",),
    paper="https://arxiv.org/abs/2412.04449",
    year=2024,
    code="MCG-NJU/p-MoD",
    licence="Apache-2.0",
    query_aware=True,
    positions="keep",
    removes=False,
    effect="bypass",
    verified=False,
    schedule=_schedule,
)
def p_mod(signals, keep: int, *, dense: Annotated[float, Range(0.5, 1, 0.01)] = 0.85) -> Reduction:
    """Process fewer visual tokens in each layer; the others skip it and return in the next layer.

    The share falls along half a cosine; layers with a share above 0.85 process all tokens, and the
    smallest number is `keep` (published: 15 %). Each layer chooses among all visual tokens.

    A stand-in for the trained router of the paper: only its schedule is used. Tokens are ranked by
    the attention of the last prompt row with the next layer's queries and keys, because tokens that
    skipped the previous layer were not in its attention. The router's weighting of the outputs is
    left out.
    """
    score = signals["llm_peek_last"].mean(0)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
