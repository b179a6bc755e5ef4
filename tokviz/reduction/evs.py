"""EVS: which tokens of a film differ from those at their place in the frame before?"""

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.frames import change_since

NEW = 255.0
"""Difference of a token without one before it: those of the first frame come first."""


@method(
    "evs",
    title="EVS",
    place="before",
    needs=("feats_post", "crops"),
    optional=("tile", "cell", "index"),
    images="together",
    frames=True,
    several_images=True,
    paper="https://arxiv.org/abs/2510.14624",
    year=2025,
    code="vllm-project/vllm",
    licence="Apache-2.0",
    positions="keep",
)
def evs(signals, keep: int) -> Reduction:
    """Keep the first frame, and of later frames what changed most since the frame before.

    Difference is 1 - cosine of projected features at the same place of two neighbouring frames (or
    frame pairs, or pictures of a prompt). The first frame is complete; the rest of the budget goes
    to the largest differences of the whole film, so that still scenes lose more. vLLM prunes films
    with it before the language model.

    The official count is never below one frame's tokens. A smaller `keep` here takes the first
    tokens of the first frame, which is what the official order begins with. Where an earlier step
    removed the token before, or frames differ in size, a token counts as new.
    """
    score = change_since(signals, signals["feats_post"].float(), new=NEW)
    order = np.argsort(-score, kind="stable")[:keep]
    return Reduction.select(np.sort(order), len(score), score=score)
