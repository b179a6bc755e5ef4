"""γ-MoD: do layers with simple attention need all visual tokens?"""

from typing import Annotated

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k

PUBLISHED = "published"


def skipped(text: str, layers: int) -> list[int]:
    """Return the layers that an option lists, ascending; [] for the published ones.

    Raises:
        InputError: no number, or a layer that is not there or is layer 0.
    """
    if text.strip().lower() == PUBLISHED:
        return []
    found = set()
    for word in text.replace(",", " ").split():
        if not word.isdecimal():
            raise InputError(
                f"skip must be {PUBLISHED}, or list layers such as '4 5 9', got {text[:60]!r}."
            )
        found.add(schedules.at_layer("skip", int(word), layers))
    if not found:
        raise InputError(f"skip must be {PUBLISHED}, or list at least one layer.")
    return sorted(found)


def _schedule(n: int, keep: int, layers: int, **options):
    listed = skipped(options["skip"], layers)
    if not listed:
        first = schedules.at_layer("first_layer", options["first_layer"], layers)
        # all tokens go through the last layer, as in the official setting
        listed = list(range(first, max(layers - 1, first + 1)))
    # every layer that is skipped chooses anew; behind them all tokens come back
    back = [layer + 1 for layer in listed if layer + 1 < layers and layer + 1 not in listed]
    both = [Stage(layer, keep) for layer in listed] + [Stage(layer, n) for layer in back]
    return sorted(both, key=lambda stage: stage.layer)


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
def gamma_mod(
    signals, keep: int, *, first_layer: Annotated[int, Range(1, 64, 1)] = 3, skip: str = PUBLISHED
) -> Reduction:
    """Let only `keep` visual tokens through the middle layers; the others skip each of them.

    The publication measures the rank of attention (the analysis attention_rank) and lets tokens
    skip layers of low rank; its code names these layers outright: all but the first three and the
    last. `first_layer` is the first of them here. `skip` lists other layers in their place, such as
    "4 5 9": a note of attention_rank names those of low rank in a run. Each layer chooses anew
    among all tokens.

    A stand-in for the trained router: tokens are ranked by the attention of the last prompt row
    with the next layer's queries and keys. Published is half of the tokens, those of the question
    among them; here text never skips, and the router's weighting of the outputs is left out.
    """
    score = signals["llm_peek_last"].mean(0)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
