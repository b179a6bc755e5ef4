"""VisionZip: keep the patches that [CLS] attends to, and merge the rest into a few tokens."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.selection import cls_score, top_k
from tokviz.reduction.parts.similarity import cosines
from tokviz.torch_on_use import torch


@method(
    "visionzip",
    title="VisionZip",
    place="before",
    tiles="each",
    kind="both",
    needs=("cls_attn", "k"),
    fallbacks={"cls_attn": "recv_attn"},
    space="pre",
    paper="https://arxiv.org/abs/2412.04467",
    year=2024,
    published_options={"cls_token": True},
    official_fallbacks=("cls_attn",),
    code="dvlab-research/VisionZip",
    licence="Apache-2.0",
    published=(
        Published(
            "192 tokens",
            "own paper, as quoted in other papers' tables",
            {"GQA": 59.3, "MME": 1783, "POPE": 85.3, "TextVQA": 57.3},
        ),
        Published(
            "128 tokens",
            "own paper, as quoted in other papers' tables",
            {"GQA": 57.6, "MME": 1762, "POPE": 83.2, "TextVQA": 56.8},
        ),
        Published(
            "64 tokens",
            "own paper, as quoted in other papers' tables",
            {"GQA": 55.1, "MME": 1690, "POPE": 77.0, "TextVQA": 55.5},
        ),
    ),
)
def visionzip(
    signals,
    keep: int,
    *,
    contextual: Annotated[float, Range(0, 1, 0.01)] = 0.15625,
    variant: Literal["code", "paper"] = "code",
    cls_token: bool = False,
    layer: int = -2,
) -> Reduction:
    """Keep the dominant patches, merge every other one into a few evenly spaced targets.

    `contextual` is the share of merged tokens, published as 10 of 64 (rounded half up). Targets are
    every step-th of the remaining patches; a patch joins the target with the most similar key
    (head mean). In the official code a merged token is its target plus the mean of its members,
    about twice as long as a patch; "paper" takes the plain mean of all. The released setting also
    gives the [CLS] state to the language model in place of one dominant patch: `cls_token`.
    Output order: dominant in raster order, then contextual.
    """
    if cls_token and keep < 2:
        raise InputError("keep must be 2 or more with cls_token: the [CLS] state is one of them.")
    score, notes = cls_score(signals, layer)
    n, merged, room = len(score), int(keep * contextual + 0.5), keep - 1 - bool(cls_token)
    if merged > room:
        merged, notes = room, (*notes, f"{room} tokens are contextual: one must be dominant.")
    dominant = torch.sort(top_k(score, keep - merged - bool(cls_token))).values.cpu().numpy()
    rest = np.setdiff1d(np.arange(n), dominant)
    targets = rest[:: max(1, len(rest) // max(merged, 1))][:merged]
    members = np.setdiff1d(rest, targets) if merged else rest[:0]
    owner = _nearest(signals.patches("k", layer).mean(0), members, targets)
    sizes = np.bincount(owner, minlength=merged)
    mean = sizes if variant == "code" else sizes + 1
    centre = np.ones(merged) if variant == "code" else 1 / mean
    rows = np.concatenate([np.arange(keep - bool(cls_token)), len(dominant) + owner])
    cols = np.concatenate([dominant, targets, members])
    weights = np.concatenate([np.ones(len(dominant)), centre, 1 / mean[owner]])
    position = np.concatenate([dominant, targets])
    roles = {"dominant": dominant, "contextual": targets}
    return Reduction.from_entries(
        rows, cols, weights, n, len(position), position, score=score, roles=roles, notes=notes,
        prefix_cls=cls_token,
    )  # fmt: skip


def _nearest(keys: torch.Tensor, members: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return, for each member, which target has the most similar key."""
    if not len(members):
        return np.zeros(0, np.int64)
    return cosines(keys[members], keys[targets]).argmax(1)
