"""VTW: is everything that the image says in the text after half of the layers?"""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.exits import leave
from tokviz.torch_on_use import torch


def _schedule(n: int, keep: int, layers: int, **options):
    if options["layer"] is None:
        return [Stage(schedules.in_depth(15, 32, layers), keep)]
    return [Stage(schedules.at_layer("layer", options["layer"], layers), keep)]


@method(
    "vtw",
    title="VTW",
    place="language_model",
    needs=("llm_visual_rows",),
    paper="https://arxiv.org/abs/2405.05803",
    year=2024,
    code="lzhxmu/VTW",
    licence="none stated",
    positions="keep",
    adaptive=True,
    depths=(32,),
    schedule=_schedule,
)
def vtw(signals, keep: int, *, layer: Annotated[int | None, Range(1, 64, 1)] = None) -> Reduction:
    """Withdraw every visual token at one layer, for every question the same.

    The budget only switches it: keep = all tokens leaves everything as it is. The layer is 15 of
    32, scaled to the depth; the official search takes the first layer at which the next token's
    distribution, over 20 samples, hardly differs from the full one. The analysis `exit_layer` makes
    that search for one question: set `layer` to its `vtw`, or to its `from` where the whole answer
    is to stay. Kept text keeps its position ids, the official default.
    """
    return leave(torch.zeros(signals.n or 0), keep, everything=True)
