"""DyVTE: after which layer can all visual tokens be removed without changing the answer?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts.exits import leave
from tokviz.reduction.parts.schedules import at_depth
from tokviz.torch_on_use import torch


def is_safe(full: torch.Tensor, exited: torch.Tensor, labels: torch.Tensor) -> bool:
    """Return whether an exit keeps a given answer: the rule that labels the router's training data.

    Args:
        full: [t, v], logits at the answer tokens with all visual tokens.
        exited: [t, v], the same with the early exit.
        labels: int64 [t], the answer of the full model.

    Returns:
        True when more than 99 % of the argmaxes agree and the cross-entropy grows less than 3 %.
    """
    agreement = (full.argmax(-1) == exited.argmax(-1)).double().mean()
    before, after = (
        torch.nn.functional.cross_entropy(logits.double(), labels) for logits in (full, exited)
    )
    return bool(agreement > 0.99 and after < 1.03 * before)


def earliest_safe_exit(safe: Callable[[int], bool], layers: int) -> int:
    """Return the lowest layer from which on all exits up to the last layer are safe.

    Safety need not be monotone, so every layer is tried, from the last one down to the first
    that is not safe.

    Args:
        safe: says whether all visual tokens may leave before this layer.
        layers: layers of the language model; `layers` itself means no exit.
    """
    earliest = layers
    while earliest > 1 and safe(earliest - 1):
        earliest -= 1
    return earliest


def _schedule(n: int, keep: int, layers: int, **options):
    return [Stage(at_depth("depth", options["depth"], layers, default=0.5), keep)]


@method(
    "dyvte",
    title="DyVTE (exit at a chosen layer)",
    training_free=False,
    place="language_model",
    needs=("llm_attn_last",),
    paper="https://arxiv.org/abs/2411.19628",
    year=2024,
    code="DoubtedSteam/DyVTE",
    licence="none stated",
    positions="keep",
    adaptive=True,
    verified=False,
    schedule=_schedule,
)
def dyvte(
    signals,
    keep: int,
    *,
    depth: Annotated[float, Range(0, 1, 0.01)] = 0.5,
    everything: bool = True,
) -> Reduction:
    """Remove every visual token at one layer; the earliest safe layer can be searched.

    `depth` is the share of the layers that see the image. With `everything` off, `keep` tokens are
    kept: those that the last row attends to most. keep = all tokens switches the exit off.

    A stand-in for the trained router of the paper, which chooses the layer for each prompt. The
    rule that labels its training data is `is_safe`, and `earliest_safe_exit` finds the layer for
    one prompt by trying all layers.
    """
    return leave(signals["llm_attn_last"].mean(0), keep, everything)
