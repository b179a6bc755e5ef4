"""YOPO's head mask: heads with little attention to the image get none of it."""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, EditContext, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch


@mitigation(
    "yopo_heads",
    title="YOPO (head mask)",
    kinds=("attention",),
    paper="https://arxiv.org/abs/2410.06169",
    year=2024,
    code="ZhangAIPI/YOPO_MLLM_Pruning",
    licence="MIT",
    verified=False,
)
def yopo_heads(*, threshold: Annotated[float, Range(0, 2, 0.005)] = 0.077) -> Recipe:
    """Cut heads off from the image if they attend to it much less than to the text.

    From layer 2 on, a head is cut when attention to visual keys / attention to all other keys, over
    the rows after the image, is at most `threshold`: its weights on visual keys become 0 and are
    not made up for, and so does its output at visual rows. A stand-in: published masks come from
    100 calibration samples (a head stays if it passes in more than 40 of them) of rows that the
    repository does not name; here the question itself is the only sample. .077 is the threshold
    that cuts 20 heads of LLaVA-1.5-13B. threshold = 0 cuts no head. It saves compute in the paper;
    here the weights are edited and nothing is saved. On a model all of
    whose heads look at the image more than that, nothing acts: the run counts the heads it cut.
    """

    def change(logits: torch.Tensor, context: EditContext) -> torch.Tensor | None:
        if "cut" not in context.memory:
            cut = head_ratio(context.text(), context.image) <= threshold
            context.memory["cut"] = cut
            measured = context.measured
            measured["heads"] = measured.get("heads", 0) + len(cut)
            measured["cut_heads"] = measured.get("cut_heads", 0) + int(cut.sum())
        if not context.memory["cut"].any():
            return None
        weights = logits.softmax(-1)
        return cut_off(weights, context.memory["cut"], context.image, context.visual_rows)

    return Recipe(AttentionEdit(change, rows="all") if threshold > 0 else None)


def head_ratio(weights: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Return attention on visual keys over attention on all others, [h].

    Args:
        weights: [h, r, k].
        image: bool [k].
    """
    visual = (weights * image).sum((-2, -1))
    return visual / (weights * ~image).sum((-2, -1)).clamp_min(1e-12)


def cut_off(
    weights: torch.Tensor, cut: torch.Tensor, image: torch.Tensor, visual_rows: torch.Tensor
) -> torch.Tensor:
    """Set to 0 the weights of cut heads on visual keys, and all their weights in visual rows.

    Args:
        weights: [h, r, k]; afterwards rows of cut heads sum to less than 1, as in the paper.
        cut: bool [h].
        image: bool [k].
        visual_rows: bool [r].
    """
    gone = image | visual_rows[:, None]
    return weights.masked_fill(cut[:, None, None] & gone, 0)
