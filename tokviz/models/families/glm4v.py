"""GLM-4.1V and 4.6V: Qwen2-VL's grids and positions; a convolution joins a token's patches.

A film is given frame by frame, as pictures. The published model reads films in another way: each
pair of frames becomes one grid, with its time as text behind it. tokviz does not build that prompt.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tokviz.models.families.family import Family, family
from tokviz.models.families.qwen2_vl import Qwen2VL
from tokviz.models.families.sources import Sources


@family
class Glm4V(Qwen2VL):
    """Differs from Qwen2-VL in what follows the tower: norm, convolution, then the merger.

    A decoder layer has norms before and after attention and MLP; half of a head is rotated.
    """

    film = Family.film
    film_pixels = None
    name = "glm4v"
    title = "GLM-4.1V"
    model_types = ("glm4v", "glm46v")

    def image_mark(self, processor: Any) -> str:
        """Return the placeholder between its start and end tokens."""
        return f"<|begin_of_image|>{processor.image_token}<|end_of_image|>"

    def frames_per_image(self, model: nn.Module) -> int:
        """Return 1: each frame is a picture of its own."""
        return 1

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return tokens [m, d] behind the convolution after the merger, [m, d]."""
        return self.projector(model)(pre)

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return the merger's inputs as they are: one state per visual token."""
        return flat

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the states after the last norm and the convolution, one per visual token."""
        visual: Any = model.model.visual  # type: ignore[union-attr]
        side = visual.spatial_merge_size
        # [m, side x side, d] -> [m, d, side, side], the square that the convolution covers at once
        cells = visual.post_layernorm(squares).unflatten(1, (side, side)).permute(0, 3, 1, 2)
        return visual.downsample(cells).flatten(1)
