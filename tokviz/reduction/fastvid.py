"""FastVID: stretches of similar frames, their best-attended tokens, and anchors for the rest."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.density import density_peaks
from tokviz.reduction.parts.frames import frames_of, members
from tokviz.reduction.parts.rows import Rows
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.shares import even_counts
from tokviz.reduction.parts.similarity import unit
from tokviz.torch_on_use import torch

STRETCHES, ANCHOR_SHARE, ANCHOR_STEP, OWN_WEIGHT, NEIGHBOURS = 8, 0.4, 4, 0.6, 4
CUT = {"qwen": 0.84, "llava": 0.9}
SAME = {"qwen": 0.95, "llava": np.inf}
"""Neighbouring frames as similar as this count as one, which is the last of them."""


@method(
    "fastvid",
    title="FastVID",
    place="before",
    kind="both",
    needs=("feats_post", "q", "k", "crops"),
    optional=("tile", "cell", "index"),
    images="together",
    frames=True,
    several_images=True,
    paper="https://arxiv.org/abs/2503.11187",
    year=2025,
    code="LunarShen/FastVID",
    licence="MIT",
    positions="keep",
    adaptive=True,
    differs=(
        "with a SigLIP tower the authors compare frames, and weigh tokens, by its pooling head, "
        "which models of transformers do not load",
    ),
)
def fastvid(
    signals, keep: int, *, version: Literal["qwen", "llava"] = "qwen", layer: int = -1
) -> Reduction:
    """Cut the film where frames change, keep the best-attended tokens, and merge the rest.

    The film is cut at the seven least similar pairs of neighbouring frames, and wherever the cosine
    of their mean features is below 0.84 ("qwen", the authors' code for Qwen2.5-VL) or 0.9 ("llava",
    for LLaVA-OneVision and LLaVA-Video). Each stretch gets the same share of its tokens. Of these
    60 % are the tokens that the mean query of their frame attends to most, over the mean keys of
    each token in the tower's last layer; 40 % are anchors, the density peaks of every fourth frame
    counted from the last one. Every other token of the stretch joins, for each frame with anchors,
    the most similar of them: an anchor weighs 0.6, and the mean of its tokens 0.4. In "qwen" frames
    with a cosine of 0.95 and more count as one frame, the last of them, which alone keeps tokens,
    and anchors take at most half of a frame: what does not fit is lost, and the run keeps fewer
    tokens than the budget.

    The budget is divided over the stretches, and single tokens that are over go to the first ones.
    Where the anchors of a frame do not fit into it, the official code of "llava" fails; here more
    tokens are salient instead.
    """
    features = signals["feats_post"].float().cpu()
    frame = frames_of(signals)
    own = [tokens for tokens in members(frame, int(frame.max()) + 1) if len(tokens)]
    score = attended(signals, own, layer)
    means = unit(torch.stack([features[tokens].mean(0) for tokens in own]))
    alike = (means[:-1] * means[1:]).sum(1).numpy()
    bounds = stretches(alike, CUT[version])
    sizes = np.array([sum(map(len, own[first:last])) for first, last in bounds])
    rows, found = Rows(), []
    for (first, last), share in zip(bounds, even_counts(sizes, keep), strict=True):
        frames, apart = own[first:last], alike[first : last - 1] < SAME[version]
        lengths = np.array([len(tokens) for tokens in frames])
        salient, anchors = frame_counts(lengths, int(share), apart, version == "qwen")
        best = [tokens[top_k(score[tokens], most).numpy()]
                for tokens, most in zip(frames, salient.tolist(), strict=True)]  # fmt: skip
        found.append(merge_stretch(rows, features, frames, best, anchors))
    return rows.reduction(len(features), score=score, roles={"anchor": np.concatenate(found)})


def attended(signals, own: list[np.ndarray], layer: int) -> torch.Tensor:
    """Return the attention of each frame's mean query to the tokens' keys, mean over heads, [n].

    Args:
        signals: with the tower's q and k.
        own: the tokens of each frame.
        layer: of the tower.
    """
    query, key = (signals.patches(name, layer).cpu() for name in ("q", "k"))
    score = torch.zeros(key.shape[1])
    for tokens in own:
        mean = query[:, tokens].mean(1, keepdim=True)
        logits = mean @ key[:, tokens].transpose(1, 2) / key.shape[-1] ** 0.5
        score[tokens] = logits.softmax(-1)[:, 0].mean(0)
    return score


def stretches(alike: np.ndarray, cut: float) -> list[tuple[int, int]]:
    """Return the stretches of frames, as (first, last + 1) each.

    Args:
        alike: [frames - 1], cosine of each frame and the next.
        cut: below it the film is cut.
    """
    least = np.argsort(alike, kind="stable")[: STRETCHES - 1]
    cuts = np.union1d(least, np.flatnonzero(alike < cut)) + 1
    ends = [0, *cuts.tolist(), len(alike) + 1]
    return list(zip(ends[:-1], ends[1:], strict=True))


def frame_counts(
    sizes: np.ndarray, share: int, apart: np.ndarray, halved: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many salient tokens and how many anchors each frame of a stretch has.

    Args:
        sizes: int [frames], tokens of each frame.
        share: tokens that the stretch keeps.
        apart: bool [frames - 1], whether a frame and the next count as two.
        halved: anchors take at most half of a frame, and what does not fit is lost, as in the code
            for Qwen2.5-VL; else anchors fill what salient tokens leave, and the rest is salient.
    """
    counted = np.flatnonzero([*apart, True])
    context = min(max(int(share * ANCHOR_SHARE), int(halved)), share)
    salient, anchors = np.zeros_like(sizes), np.zeros_like(sizes)
    with_anchors = counted[::-1][::ANCHOR_STEP]
    anchors[with_anchors] = dealt(context, len(with_anchors))
    salient[counted] = dealt(share - context, len(counted))
    if halved and len(sizes) > 1:
        anchors = np.minimum(anchors, sizes // 2)
    if halved:
        return np.minimum(salient, sizes - anchors), anchors
    salient = np.minimum(salient, sizes)
    anchors = np.minimum(anchors, sizes - salient)
    room = sizes - salient - anchors
    return salient + even_counts(room, share - int((salient + anchors).sum())), anchors


def dealt(total: int, parts: int) -> list[int]:
    """Return whole numbers as equal as can be that add up to `total`, larger ones first."""
    each, more = divmod(total, parts)
    return [each + (part < more) for part in range(parts)]


def merge_stretch(
    rows: Rows,
    features: torch.Tensor,
    frames: list[np.ndarray],
    salient: list[np.ndarray],
    anchors: np.ndarray,
) -> np.ndarray:
    """Add the rows of a stretch; return its anchors.

    Args:
        rows: gets the rows.
        features: [n, d].
        frames: the tokens of each frame.
        salient: those of them that stay as they are.
        anchors: int [frames], number of anchors in each frame.
    """
    kept, every = np.concatenate(salient), np.concatenate(frames)
    rows.copies(kept)
    direction, found = unit(features), [np.zeros(0, np.int64)]
    for tokens, own, count in zip(frames, salient, anchors.tolist(), strict=True):
        if not count:
            continue
        left = np.setdiff1d(tokens, own)
        peaks = density_peaks(features[left], count, neighbours=NEIGHBOURS)[0]
        targets = left[peaks.sort().values.numpy()]
        others = np.setdiff1d(every, np.concatenate([kept, targets]))
        joins = (direction[others] @ direction[targets].T).argmax(1).numpy()
        for number, target in enumerate(targets):
            joined = others[joins == number]
            own_weight = OWN_WEIGHT if len(joined) else 1.0
            shares = np.full(len(joined), (1 - own_weight) / max(len(joined), 1))
            rows.add(np.r_[target, joined], np.r_[own_weight, shares], target)
        found.append(targets)
    return np.concatenate(found)
