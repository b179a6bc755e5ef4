"""LLaVA-OneVision: LLaVA-NeXT's tiles with a SigLIP tower; several images get one tile each.

A film's frames get one tile each too, scaled down by two on each side after the projector (27 x 27
patches give 14 x 14 tokens), and there is one separator at the end of the film.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tokviz.film import Film
from tokviz.models.families.anyres import Cutting, Tokens, around
from tokviz.models.families.family import Features, Inputs, family
from tokviz.models.families.film_pixels import FilmPixels
from tokviz.models.families.llava import Box
from tokviz.models.families.llava_next import LlavaNext
from tokviz.trace.layout import SEPARATOR, Layout


@family
class LlavaOnevision(LlavaNext):
    """SigLIP tower without [CLS], MLP projector, Qwen2."""

    film = "A grid per frame, scaled down by two on each side; one separator at the end."
    film_pixels = FilmPixels
    name = "llava_onevision"
    title = "LLaVA-OneVision"
    model_types = ("llava_onevision",)

    def cutting(self, model: nn.Module) -> Cutting:
        """Return how the checkpoint cuts pictures; "anyres_max_9" is nine tiles."""
        aspect: str = model.config.vision_aspect_ratio  # type: ignore[union-attr, assignment]
        most = int(aspect.removeprefix("anyres_max_"))
        return replace(super().cutting(model), most_tiles=most)

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return what this processor has of them."""
        config: Any = model.config
        count = self.cutting(model).grid ** 2
        given = super().settings(model, processor)
        names = ("vision_feature_select_strategy", "vision_aspect_ratio")
        alike = [(name, getattr(processor, name, None), getattr(config, name)) for name in names]
        return [given[-1], *alike, ("num_image_tokens", processor.num_image_tokens, count)]

    def cuts(self, images: Sequence[Image.Image]) -> bool:
        """Return True for one picture; several are padded."""
        return len(images) == 1

    def process(self, processor: Any, images: Sequence[Image.Image], text: str) -> Mapping:
        """Return the model inputs; several images of one prompt are padded, not cut into tiles."""
        return self.call(processor, [list(images)], text)

    def tokens(self, model: nn.Module, inputs: Inputs) -> Tokens:
        """Return the visual tokens of a prompt."""
        if "pixel_values_videos" in inputs:
            return self.film_tokens(model, inputs)
        sizes = inputs["image_sizes"].tolist()
        if len(sizes) == 1:
            return super().tokens(model, inputs)
        tokens = Tokens(self.cutting(model))
        for image, (height, width) in enumerate(sizes):
            tokens.square(image, around((width, height)), "whole")
            tokens.structural(SEPARATOR)
        return tokens

    def film_tokens(self, model: nn.Module, inputs: Inputs) -> Tokens:
        """Return the visual tokens of a film; boxes are parts of a frame of 1 x 1."""
        tokens = Tokens(self.cutting(model))
        side = math.ceil(tokens.cutting.grid / 2)
        for frame in range(inputs["pixel_values_videos"].shape[1]):
            tokens.scaled(frame, side)
        tokens.structural(SEPARATOR)
        return tokens

    def film_layout(self, model: nn.Module, processor: Any, inputs: Inputs, film: Film) -> Layout:
        """Return one grid per frame, over the whole frame."""
        ids = inputs["input_ids"][0].cpu().numpy()
        is_visual = ids == self.visual_token_id(model, ids)
        sizes = [frame.size for frame in film.frames]
        layout = self.tokens(model, inputs).layout(is_visual, sizes)
        width, height = film.size
        tiles = [replace(t, box=over(t.box, width, height)) for t in layout.tiles]
        times = [(time, time) for time in film.times]
        return replace(layout, tiles=tuple(tiles)).timed(times)

    def film_outputs(self, features: Features) -> BaseModelOutputWithPooling:
        """Wrap features; the model takes [1, n, d] of a film."""
        return BaseModelOutputWithPooling(pooler_output=features.tokens[None])  # type: ignore


def over(box: Box, width: int, height: int) -> Box:
    """Return a box of a frame of 1 x 1 in pixels of the frame."""
    x0, y0, x1, y1 = box
    return x0 * width, y0 * height, x1 * width, y1 * height
