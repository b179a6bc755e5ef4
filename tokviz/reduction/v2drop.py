"""V²Drop: do tokens that a layer hardly changes matter any more?"""

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k


def _schedule(n: int, keep: int, layers: int, **options):
    at = (schedules.in_depth(layer, 32, layers) for layer in (3, 17, 22))
    counts = (max(n // 2, keep), max(n // 2 // 2, keep), keep)
    # the variation of a layer is known after it: not before layer 1 at the earliest
    return schedules.stages(zip(at, counts, strict=True), n)


@method(
    "v2drop",
    title="V²Drop",
    place="language_model",
    needs=("llm_hidden", "llm_hidden_before"),
    paper="https://arxiv.org/abs/2509.01552",
    year=2025,
    code="xuyang-liu16/V2Drop",
    licence="Apache-2.0",
    depths=(32,),
    positions="keep",
    schedule=_schedule,
)
def v2drop(signals, keep: int) -> Reduction:
    """Keep the tokens whose state the previous layer changed most, in three stages.

    The score is the length of the change of a token's state from the input of the previous layer to
    its output. Half of the tokens are left before layer 3 of 32, a quarter before layer 17, `keep`
    before layer 22; the official code leaves one token there. A larger budget ends the halving
    earlier. Layers are scaled to the depth. It reads no attention and not the question.
    """
    score = (signals["llm_hidden"] - signals["llm_hidden_before"]).norm(dim=-1)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
