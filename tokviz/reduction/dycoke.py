"""DyCoke: which tokens of a frame differ from those of the frame that it is compared with?"""

from typing import Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.frames import change_since, frames_of, members
from tokviz.reduction.parts.shares import even_counts

WINDOW = 4
"""As published, the first of four frames stays complete."""


@method(
    "dycoke",
    title="DyCoke",
    place="before",
    needs=("feats_post", "crops"),
    optional=("tile", "cell", "index"),
    images="together",
    frames=True,
    several_images=True,
    paper="https://arxiv.org/abs/2411.15024",
    year=2024,
    code="KD-TAO/DyCoke",
    licence="Apache-2.0",
    differs=(
        "the second part, which exchanges tokens of the KV cache while the answer is written, is "
        "not made",
        "tokens of a frame stay in raster order, where the official code orders them by change",
    ),
)
def dycoke(signals, keep: int, *, variant: Literal["code", "paper"] = "code") -> Reduction:
    """Keep every fourth frame complete, and of the others what changed most.

    Of four frames the second and the fourth are compared with the frame before, the third with the
    first; a token's change is 1 - cosine of the projected features at the same place. Each
    compared frame keeps the same number of tokens, those that changed most; as published 30 %. The
    official code leaves the third frame of the last four complete ("code"); "paper" does not. It
    drops the last frame of an odd number, which is complete or compared here like any other.

    Temporal merging means that a token stands for the similar ones that are dropped: features are
    not averaged. A budget below the complete frames makes the windows longer: 8 frames, 16, and so
    on, in which frames are compared with the nearest earlier frame of a shorter step. A budget
    below one frame keeps the first tokens of the first frame.
    """
    features = signals["feats_post"].float()
    frame = frames_of(signals)
    count = int(frame.max()) + 1
    own = members(frame, count)
    sizes = np.array([len(tokens) for tokens in own])
    steps = steps_within(sizes, keep, variant == "code")
    change = np.full(len(frame), 2.0, np.float32)
    for step in np.unique(steps[steps > 0]):
        here = np.isin(frame, np.flatnonzero(steps == step))
        change[here] = change_since(signals, features, int(step))[here]
    room = np.where(steps > 0, sizes, 0)
    counts = np.where(steps > 0, 0, sizes)
    if counts.sum() > keep:
        counts = np.where(np.arange(count) == 0, keep, 0)
    counts = counts + even_counts(room, keep - counts.sum())
    kept = [
        tokens[np.argsort(-change[tokens], kind="stable")[:most]]
        for tokens, most in zip(own, counts, strict=True)
    ]
    return Reduction.select(np.concatenate(kept), len(frame), score=change)


def steps_within(sizes: np.ndarray, keep: int, code: bool) -> np.ndarray:
    """Return how many frames back each frame is compared, int64 [frames]; 0 = it stays complete.

    The window is doubled until the complete frames fit into the budget.

    Args:
        sizes: tokens of each frame.
        keep: the budget.
        code: leave the third frame of the last window complete, as the official code does, where
            the budget allows.
    """
    frame = np.arange(len(sizes))
    lowest = frame & -frame  # 1, 2, 1, 4, 1, 2, 1, 8: the frame minus this is a coarser step
    window = WINDOW
    steps = np.where(frame % window == 0, 0, lowest)
    last = (frame % WINDOW == 2) & (frame >= len(frame) - 2)
    if code and sizes[(steps == 0) | last].sum() <= keep:
        steps[last] = 0
    while sizes[steps == 0].sum() > keep and window < len(frame):
        window *= 2
        steps = np.where(frame % window == 0, 0, lowest)
    return steps
