"""LLaVA-NeXT (1.6): a thumbnail and several tiles of each picture, with newlines ("anyres")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn

from tokviz.models.families.anyres import Cutting, Tokens
from tokviz.models.families.family import Inputs, family
from tokviz.models.families.llava import Llava
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout


@family
class LlavaNext(Llava):
    """CLIP tower, MLP projector, decoder; the thumbnail's tokens first, then those of the tiles."""

    name = "llava_next"
    title = "LLaVA-NeXT"
    model_types = ("llava_next",)

    def cutting(self, model: nn.Module) -> Cutting:
        """Return how the checkpoint cuts pictures."""
        config: Any = model.config
        vision = config.vision_config
        return Cutting(vision.image_size, vision.patch_size, config.image_grid_pinpoints)

    def tokens(self, model: nn.Module, inputs: Inputs) -> Tokens:
        """Return the visual tokens of a prompt."""
        tokens = Tokens(self.cutting(model))
        for image, (height, width) in enumerate(inputs["image_sizes"].tolist()):
            tokens.cut(image, (width, height))
        return tokens

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return thumbnail, tiles and newlines of each image."""
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        sizes = [image.size for image in images]
        return self.tokens(model, inputs).layout(is_visual, sizes)

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the patch of each token; newlines have none, patches of padding have no token."""
        return self.tokens(model, inputs).sources()

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return the projector's input [tiles * patches, d_v] in the order of the tokens."""
        return sources.mean_states(flat.reshape(sources.rows, sources.patches, -1))
