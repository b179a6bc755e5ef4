"""γ-MoD: do layers with simple attention need all visual tokens?"""

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k


def _schedule(n: int, keep: int, layers: int, **options):
    first = schedules.at_layer("first_layer", options["first_layer"], layers)
    last = max(layers - 1, first)
    skipping = [Stage(layer, keep) for layer in range(first, last)]
    # all tokens go through the last layer, as in the official setting
    return [*skipping, Stage(last, n)] if skipping else [Stage(last, keep)]


@method(
    "gamma_mod",
    title="γ-MoD (schedule)",
    training_free=False,
    place="language_model",
    needs=("llm_peek_last",),
    paper="https://arxiv.org/abs/2410.13859",
    year=2024,
    code="Yaxin9Luo/Gamma-MOD",
    licence="MIT",
    query_aware=True,
    positions="keep",
    removes=False,
    effect="bypass",
    verified=False,
    schedule=_schedule,
)
def gamma_mod(signals, keep: int, *, first_layer: Annotated[int, Range(1, 64, 1)] = 3) -> Reduction:
    """Let only `keep` visual tokens through the middle layers; the others skip each of them.

    The publication measures the rank of attention (the analysis attention_rank) and lets tokens
    skip layers of low rank; its code names these layers outright: all but the first three and the
    last. `first_layer` is the first of them here. Each layer chooses anew among all tokens.

    A stand-in for the trained router: tokens are ranked by the attention of the last prompt row
    with the next layer's queries and keys. Published is half of the tokens, those of the question
    among them; here text never skips, and the router's weighting of the outputs is left out.
    """
    score = signals["llm_peek_last"].mean(0)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
