"""VisionTrim, before the language model: dominant tokens, and complements chosen by the text."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.errors import MissingSignal
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.spatial import grid_of
from tokviz.torch_on_use import torch

ROUNDS, WINDOW, PLACE_WEIGHT = 3, 1, 0.5


@method(
    "visiontrim",
    title="VisionTrim",
    place="before",
    kind="both",
    tiles="each",
    needs=("feats_pre", "cls_attn", "full_attn"),
    optional=("text_clip", "img_clip", "grid"),
    read_with={"text_clip": "complements", "img_clip": "complements"},
    space="pre",
    paper="https://arxiv.org/abs/2601.22674",
    year=2026,
    code="hanxunyu/VisionTrim",
    licence="Apache-2.0",
    query_aware=True,
    differs=("the second cut, inside the language model, is not made",),
)
def visiontrim(
    signals,
    keep: int,
    *,
    complements: Annotated[int, Range(0, 256, 1)] = 0,
    variant: Literal["code", "paper"] = "code",
    layer: int = -2,
) -> Reduction:
    """Keep dominant tokens; the rest joins a few others that fit the question.

    Dominant is what [CLS] and the other patches attend to, both scaled to length 1 ("code"), or
    [CLS] attention and likeness to the eight neighbours, weighted by the variance of the other
    ("paper"). Of the rest, `complements` tokens with the highest mean similarity to the question's
    words in CLIP's joint space stay, and the others are grouped around them three times over, by
    the similarity of similarities to the words; each time the mean of a group is added.

    The authors' repository has no code of it any more; this follows an earlier copy of it. That
    copy makes no complements and overwrites the paper's measure, so these are its defaults here.
    Its cut inside the language model ranks tokens by attention from the image to the text after it,
    which a causal mask makes 0, and is not built.
    """
    cls, attention = signals.at("cls_attn", layer).mean(0), signals.at("full_attn", layer).mean(0)
    lead = len(attention) - len(cls)  # maps of tiles, or of several patches a token, lack [CLS]
    attention = attention[lead:, lead:]
    grid_notes: tuple[str, ...] = ()
    if variant == "code":
        score = dominance(cls, attention)
    else:
        grid, grid_notes = grid_of(signals)
        score = balanced(cls, likeness(signals["feats_pre"].float(), grid))
    count = min(complements, keep - 1)
    dominant = top_k(score.cpu(), keep - count)
    if not count:
        return Reduction.select(dominant, len(score), score=score, order=dominant, notes=grid_notes)
    if "text_clip" not in signals or "img_clip" not in signals:
        raise MissingSignal(
            "VisionTrim's complements need text_clip and img_clip, the words and patches in CLIP's "
            "joint space. Set complements to 0, or load a model with its CLIP's text side."
        )
    return complemented(signals, dominant, count, score)


def dominance(cls: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
    """Return half the [CLS] attention [n] plus half what patches receive, each of length 1.

    Args:
        cls: [n].
        attention: [n, n] among the patches; a patch's attention to itself does not count.
    """
    received = attention.clone().fill_diagonal_(0).sum(0)
    unit = torch.nn.functional.normalize
    return 0.5 * unit(cls, dim=-1) + 0.5 * unit(received, dim=-1)


def likeness(features: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Return how alike each token is to the 3 x 3 tokens around it, softmax over tokens [n].

    The measure is minus the squared distance of the features over their variance, plus half minus
    the squared distance on the grid over the variance of the places; its mean over nine places, of
    which those outside the grid count as 0.
    """
    rows, cols = grid
    n = rows * cols
    place = torch.stack([torch.arange(n) // cols, torch.arange(n) % cols], 1).float()
    spread, places = features.var(), place.var()
    total = torch.zeros(n, device=features.device)
    for down in range(-WINDOW, WINDOW + 1):
        for right in range(-WINDOW, WINDOW + 1):
            row, col = place[:, 0] + down, place[:, 1] + right
            inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
            here = inside.nonzero().flatten()
            there = (row * cols + col)[here].long()
            apart = ((features[here] - features[there]) ** 2).sum(1)
            total[here] += -apart / spread - PLACE_WEIGHT * (down**2 + right**2) / places
    return (total / (2 * WINDOW + 1) ** 2).softmax(-1)


def balanced(cls: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
    """Return two measures [n] added, after a softmax, each with the variance of the other."""
    one, other = cls.softmax(-1), local.softmax(-1)
    share = other.var() / (one.var() + other.var())
    return share * one + (1 - share) * other


def complemented(signals, dominant: torch.Tensor, count: int, score: torch.Tensor) -> Reduction:
    """Return the reduction of dominant tokens and complements into which the rest is grouped."""
    unit = torch.nn.functional.normalize
    words = unit(signals["text_clip"].float().cpu(), dim=-1)
    patches = signals["img_clip"].float().cpu()
    n = len(patches)
    rest = np.setdiff1d(np.arange(n), dominant.cpu().numpy())
    fit = (words @ unit(patches[rest], dim=-1).T).mean(0)
    chosen = rest[top_k(fit, count).sort().values.numpy()]
    others = np.setdiff1d(rest, chosen)
    weights = torch.zeros(count, n)
    weights[torch.arange(count), torch.as_tensor(chosen)] = 1
    to_words = unit(patches[others], dim=-1) @ words.T
    for _ in range(ROUNDS if len(others) else 0):
        centres = unit(weights @ patches, dim=-1)
        group = (to_words @ (words @ centres.T)).argmax(1)
        sizes = torch.bincount(group, minlength=count)
        weights[group, torch.as_tensor(others)] += 1 / sizes[group]
    kept = np.sort(dominant.cpu().numpy())
    rows, cols = weights.nonzero(as_tuple=True)
    return Reduction.from_entries(
        np.concatenate([np.arange(len(kept)), len(kept) + rows.numpy()]),
        np.concatenate([kept, cols.numpy()]),
        np.concatenate([np.ones(len(kept)), weights[rows, cols].numpy()]),
        n, len(kept) + count, np.concatenate([kept, chosen]),
        score=score, order=dominant, roles={"dominant": dominant, "complement": chosen},
    )  # fmt: skip
