"""PruneVid, inside the language model: each frame keeps what the question's words attend to."""

from __future__ import annotations

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.shares import counts_by_ratio
from tokviz.torch_on_use import torch


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.stages([(schedules.in_depth(11, 32, layers), keep)], n)


@method(
    "prunevid_stage",
    title="PruneVid (language-model stage)",
    place="language_model",
    needs=("llm_attn_text",),
    optional=("llm_image",),
    paper="https://arxiv.org/abs/2412.16117",
    year=2024,
    rest="prunevid",
    code="Visual-AI/PruneVid",
    licence="CC-BY-NC-SA-4.0",
    query_aware=True,
    positions="keep",
    depths=(32,),
    several_images=True,
    schedule=_schedule,
    differs=(
        "the caches of the layers before keep all tokens",
        "the still places of a scene share the budget of its first frame",
    ),
)
def prunevid_stage(signals, keep: int) -> Reduction:
    """Keep in each frame the tokens that a word after the film attends to most, before layer 11.

    A token's score is its largest attention from any text row after the film in any head of layer
    10 of 32. Each frame keeps the same share of its tokens, as published 40 %. The official code
    also removes the others from the caches of the layers before, and counts the still places of a
    scene apart from its first frame.
    """
    score = signals["llm_attn_text"].amax((0, 1)).cpu()
    image = signals["llm_image"].cpu().numpy() if "llm_image" in signals else np.zeros(len(score))
    own = [np.flatnonzero(image == number) for number in np.unique(image)]
    sizes = np.array([len(tokens) for tokens in own])
    counts = counts_by_ratio(lambda ratio: (sizes * ratio).astype(np.int64), keep)
    kept = [
        torch.as_tensor(tokens)[top_k(score[tokens], count)]
        for tokens, count in zip(own, counts, strict=True)
    ]
    return Reduction.select(torch.cat(kept), len(score), score=score)
