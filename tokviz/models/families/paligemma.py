"""PaliGemma 1 and 2: one square grid per image, at the front of a prompt that is a prefix.

Three things differ from other families. The whole prompt attends in both directions (it is a
prefix; only the answer is causal), which the model reads from `token_type_ids`. Positions count
from 1. And there is no chat format: the prompt is images, <bos>, the words, a line break.
PaliGemma 2 has a Gemma 2 decoder: attention logits and word logits pass through a soft cap, and
every other layer has a sliding window (which does not apply to the prefix).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tokviz.models.families.family import Features, Inputs, family
from tokviz.models.families.llava import Llava, grid_layout
from tokviz.trace.layout import Layout


@family
class PaliGemma(Llava):
    """SigLIP tower, one matrix, Gemma; the image is squashed to a square."""

    name = "paligemma"
    title = "PaliGemma"
    model_types = ("paligemma",)
    bare_prompt = True

    def positions(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        """Return 1, 2, 3 ...: forward() expects positions from 1, generate() from 0."""
        return super().positions(model, inputs) + 1

    def process(self, processor: Any, images: Sequence[Image.Image], text: str) -> Mapping:
        """Return the model inputs, without the labels that the processor adds for training."""
        batch = super().process(processor, images, text)
        return {name: value for name, value in batch.items() if name != "labels"}

    def plain_prompt(
        self, processor: Any, prompt: str, images: int, marks: str | None = None
    ) -> str:
        """Return images and words; the processor adds <bos> between them and a final line break."""
        return self.image_mark(processor) * images + prompt

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer; a norm follows it."""
        return len(self.tower_layers(model)) - 1

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the tower's last norm of the last layer's states."""
        norm = model.model.vision_tower.post_layernorm  # type: ignore[union-attr]
        return norm(squares.flatten(1))  # type: ignore[operator]

    def encoder_outputs(self, features: Features) -> BaseModelOutputWithPooling:
        """Wrap features as one batch [1, n, d]."""
        return BaseModelOutputWithPooling(pooler_output=features.tokens[None])

    def cap_logits(self, model: nn.Module, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits as PaliGemma 2 caps them: c tanh(x / c)."""
        cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)  # type: ignore
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the length of an image in tokens."""
        vision = model.config.vision_config  # type: ignore[union-attr]
        count = (vision.image_size // vision.patch_size) ** 2
        return [("image_seq_length", getattr(processor, "image_seq_length", None), count)]

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return one grid per image, over all of it."""
        vision = model.config.vision_config  # type: ignore[union-attr]
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        side = vision.image_size // vision.patch_size
        return grid_layout(is_visual, [image.size for image in images], (side, side))
