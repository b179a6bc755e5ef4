"""VFlowOpt, inside the language model: two stages by the vision tower's importance map."""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


def last_token_fidelity(full: torch.Tensor, reduced: torch.Tensor) -> float:
    """Return the cosine between the last prompt row's last states with all and with fewer tokens.

    The authors' parameter search maximises it; 1 = no change.

    Args:
        full: [d].
        reduced: [d].
    """
    return float(torch.nn.functional.cosine_similarity(full.double(), reduced.double(), dim=0))


def _schedule(n: int, keep: int, layers: int, **options):
    counts = schedules.geometric(n, keep, (options["first_stage"], 1))
    at = [schedules.in_depth(layer, 28, layers) for layer in (9, 18)]
    return schedules.stages(zip(at, counts, strict=True), n)


@method(
    "vflowopt_stages",
    title="VFlowOpt (language-model stages)",
    place="language_model",
    needs=("llm_tower_map",),
    fallbacks={"llm_tower_map": "recv_attn"},
    paper="https://arxiv.org/abs/2508.05211",
    year=2025,
    rest="vflowopt",
    code="sihany077/VFlowOpt",
    licence="CC-BY-NC-4.0",
    positions="keep",
    depths=(28,),
    schedule=_schedule,
)
def vflowopt_stages(
    signals, keep: int, *, first_stage: Annotated[float, Range(0, 1, 0.01)] = 0.29
) -> Reduction:
    """Remove tokens twice inside the language model, only by the vision tower's importance map.

    No attention of the language model is read. Before layers 9 and 18 of 28, scaled to the depth.
    `first_stage` is the part of the cut, on a log scale, that the first stage makes; 0.29 is the
    published setting for half of the tokens (0.7487, then 0.4870), found there by a search over
    last-token fidelity. Stage 0, recycling before the language model, is the method "vflowopt".
    """
    if "llm_tower_map" in signals:
        score, note = signals["llm_tower_map"], ""
    else:
        score = signals.at("recv_attn", -1)
        note = "No map of the tower was given: the attention that each patch receives was used."
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order, notes=(note,) * bool(note))
