"""ApET, inside the language model: the same choice once more, on the states of a middle layer."""

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.apet import rebuilt
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.stages([(schedules.in_depth(16, 32, layers), keep)], n)


@method(
    "apet_stage",
    title="ApET (language-model stage)",
    place="language_model",
    kind="both",
    needs=("llm_hidden",),
    paper="https://arxiv.org/abs/2602.19870",
    year=2026,
    rest="apet",
    code="MaQianKun0/ApET",
    licence="MIT",
    depths=(32,),
    schedule=_schedule,
)
def apet_stage(
    signals,
    keep: int,
    *,
    basis: Annotated[int, Range(1, 64, 1)] = 10,
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
) -> Reduction:
    """Keep the tokens that a few basis tokens rebuild worst, before layer 16 of 32.

    The same as "apet" on the states of that layer, except that the basis tokens overwrite the last
    kept tokens in the order of their errors. The official code for Qwen2.5-VL overwrites them by
    half only and uses a ridge of 0.1; here it is that for LLaVA.
    """
    return rebuilt(signals["llm_hidden"].float(), keep, basis, seed, by_error=True)
