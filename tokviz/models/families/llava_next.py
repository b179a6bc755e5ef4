"""LLaVA-NeXT (1.6): a thumbnail and several tiles of each picture, with newlines ("anyres")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn

from tokviz.errors import ModelError
from tokviz.models.families.anyres import Cutting, Tokens, check_canvas
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

    def check_model(self, model: nn.Module) -> None:
        """Raise ModelError also where a tile's tokens would be no whole grid."""
        super().check_model(model)
        strategy = model.config.vision_feature_select_strategy  # type: ignore[union-attr]
        if (strategy == "default") != self.has_cls(model):
            tower = type(model.model.vision_tower).__name__  # type: ignore[union-attr]
            has = "a [CLS] token" if self.has_cls(model) else "no [CLS] token"
            raise ModelError(
                f"its vision_feature_select_strategy {strategy!r} does not fit its vision tower "
                f"{tower}, which has {has}: the tokens of a tile would be no whole grid. Set it to "
                f"{'default' if self.has_cls(model) else 'full'!r} in config.json."
            )

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the canvases as well."""
        theirs = processor.image_processor.image_grid_pinpoints
        ours = model.config.image_grid_pinpoints  # type: ignore[union-attr]
        canvases = ("image_grid_pinpoints", _pairs(theirs), _pairs(ours))
        return [*super().settings(model, processor), canvases]

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Leave out canvases of too many tiles, in the processor and in the model's config."""
        config, cutting = model.config, self.cutting(model)  # type: ignore[union-attr]
        side = cutting.side
        tiles = max(most // cutting.grid**2 - 1, 1)
        smallest = min(height * width for height, width in cutting.pinpoints)
        area = max(tiles * side**2, smallest)
        kept = [[h, w] for h, w in cutting.pinpoints if h * w <= area]
        if len(kept) == len(cutting.pinpoints):
            return False
        processor.image_processor.image_grid_pinpoints = kept
        config.image_grid_pinpoints = kept  # type: ignore[union-attr]
        return True

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
        for width, height in sizes if self.cuts(images) else ():
            theirs = processor.image_processor.image_grid_pinpoints
            check_canvas((height, width), theirs, self.cutting(model).pinpoints)
        return self.tokens(model, inputs).layout(is_visual, sizes)

    def cuts(self, images: Sequence[Image.Image]) -> bool:
        """Return whether the pictures of a prompt are cut into tiles."""
        return True

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the patch of each token; newlines have none, patches of padding have no token."""
        return self.tokens(model, inputs).sources()

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return the projector's input [tiles * patches, d_v] in the order of the tokens."""
        return sources.mean_states(flat.reshape(sources.rows, sources.patches, -1))


def _pairs(pinpoints: Any) -> list[list[int]]:
    return [list(pair) for pair in pinpoints]
