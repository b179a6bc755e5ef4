"""What a mitigation adds to an MLP, or to heads, of the answer's lane."""

from __future__ import annotations

import torch

from tokviz.mitigation import Recipe
from tokviz.models.decoder.head_shift import ShiftedHeads
from tokviz.models.decoder.retracing import Retracing, retracing_of
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.caption_shift import shifted_heads
from tokviz.models.tower.vision import Vision


def lane_change(
    recipe: Recipe, loaded: Loaded, prepared: Prepared, vision: Vision, entering: torch.Tensor
) -> Retracing | ShiftedHeads | None:
    """Return what is added in each forward of a lane; None for nothing.

    Args:
        recipe: of the plan.
        loaded: the model, locked by the caller.
        prepared: the question.
        vision: the tower's run on the full image.
        entering: [m, d], the visual tokens that enter layer 0.
    """
    if recipe.shift:
        return shifted_heads(recipe.shift, loaded, prepared, vision.features)
    return retracing_of(recipe.retrace, loaded, entering)
