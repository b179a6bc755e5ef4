"""VidCom²: which frames are unlike the film, and which tokens are unlike their frame?"""

from __future__ import annotations

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.frames import frames_of, members
from tokviz.torch_on_use import torch

TEMPERATURE = 0.01
WIDTHS = tuple(2.0**k for k in range(-3, 2))
"""Of the Gaussian kernels that are summed up."""


@method(
    "vidcom2",
    title="VidCom²",
    place="before",
    needs=("feats_post", "crops"),
    optional=("tile", "cell", "index"),
    images="together",
    frames=True,
    several_images=True,
    paper="https://arxiv.org/abs/2505.14454",
    year=2025,
    code="xuyang-liu16/VidCom2",
    licence="Apache-2.0",
    positions="keep",
)
def vidcom2(signals, keep: int) -> Reduction:
    """Give unusual frames more tokens, and keep of each frame what is least like it and the film.

    Of the projected features the half of the channels that varies least is used, scaled to length
    1. A token's likeness to the mean of the film, and to the mean of its frame, is a sum of five
    Gaussian kernels. A frame's share of the budget grows with how unlike the film it is (softmax at
    temperature 0.01); inside it the tokens with the smallest sum of both likenesses are kept.

    The publication rounds the share of each frame, at least one token, so that the total may differ
    from the budget by a few; here the counts are corrected to `keep`, in the frames whose rounding
    was largest.
    """
    features = narrow(signals["feats_post"].float())
    frame = torch.as_tensor(frames_of(signals), device=features.device)
    count = int(frame.max()) + 1
    sizes = torch.bincount(frame, minlength=count)
    unit = torch.nn.functional.normalize(features, dim=-1)
    centres = torch.zeros(count, unit.shape[1], device=unit.device).index_add_(0, frame, unit)
    centres = centres / sizes.clamp(min=1)[:, None]
    to_film, to_frame = likeness(unit, unit.mean(0)), likeness(unit, centres[frame])
    of_frame = torch.zeros(count, device=unit.device).index_add_(0, frame, to_film)
    shares = frame_shares(-of_frame / sizes.clamp(min=1), keep / len(features))
    counts = whole_counts((shares * sizes).cpu().numpy(), sizes.cpu().numpy(), keep)
    score = -(to_film + to_frame).cpu().numpy()
    kept = [
        own[np.argsort(-score[own], kind="stable")[:most]]
        for own, most in zip(members(frame.cpu().numpy(), count), counts, strict=True)
    ]
    return Reduction.select(np.sort(np.concatenate(kept)), len(score), score=score)


def narrow(features: torch.Tensor) -> torch.Tensor:
    """Return the half of the channels that varies least over all tokens, [n, d // 2]."""
    variance = features.var(0, unbiased=False)
    return features[:, variance.topk(max(features.shape[1] // 2, 1), largest=False).indices]


def likeness(unit: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """Return a sum of Gaussian kernels of the distance to a centre, [n]."""
    distance = (unit - centre).square().sum(-1)
    return torch.stack([torch.exp(-distance / (2 * width)) for width in WIDTHS]).sum(0)


def frame_shares(unlike: torch.Tensor, base: float) -> torch.Tensor:
    """Return the share of its tokens that each frame keeps, around `base`, at most 1."""
    chance = torch.softmax((unlike - unlike.max()) / TEMPERATURE, 0)
    return (base * (1 + chance - chance.mean())).clamp(max=1.0)


def whole_counts(wanted: np.ndarray, sizes: np.ndarray, keep: int) -> np.ndarray:
    """Return whole numbers near these that add up to `keep`, none above a frame's tokens.

    They are rounded, at least one each, as published; what is too much or too little is corrected
    in single tokens, where the count is farthest from what was wanted.
    """
    counts = np.minimum(np.maximum(np.rint(wanted).astype(np.int64), 1), sizes)
    while counts.sum() != keep:
        step = 1 if counts.sum() < keep else -1
        able = counts < sizes if step > 0 else counts > 0
        far = np.where(able, step * (wanted - counts), -np.inf)
        counts[int(far.argmax())] += step
    return counts
