"""Gemma 3n: 256 tokens of a picture from a convolutional tower, and states in several versions.

A picture is resized to a square of 768 pixels, of which the tower MobileNetV5 (package timm) makes
16 x 16 tokens. The tower has no layers of tokens: its maps shrink from stage to stage, and the few
stages with attention are inside timm, where it is not seen. So there is no attention of the tower,
no [CLS], no norms by layer, and no method acts inside it.

The decoder keeps four versions of each state (`state_versions.py`), and its last layers read the
keys of earlier ones (`shared_keys.py`). Unlike those of Gemma 4 they compute every row of a prompt.
Every layer has an input of its own for each token, which leaves with the token: of a visual token
it is made from the padding's and from the token's features; a merged token keeps that of its
representative where it is merged inside the language model. The audio tower is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tokviz.interruption import check_stop
from tokviz.models.families.family import Family, Features, Inputs, family
from tokviz.models.families.qwen2_vl import stretched_layout
from tokviz.models.families.sources import Sources
from tokviz.models.hooks import hooked
from tokviz.trace.layout import Layout


@family
class Gemma3n(Family):
    """A convolutional tower, a norm and one matrix, four versions of each state, Gemma 3n."""

    name = "gemma3n"
    title = "Gemma 3n"
    model_types = ("gemma3n",)
    backends = ("timm",)
    extra = "timm"

    def notes(self, model: nn.Module) -> tuple[str, ...]:
        """Say what the recorded states are, and what of the tower is not shown."""
        return (
            "The vision tower of Gemma 3n is convolutional: there are no layers of tokens, no "
            "[CLS] and no attention of it to show.",
            "Gemma 3n keeps several versions of each state. Shown are, of what enters a layer, the "
            "version on which the layer works, and of what leaves it, the average of all that the "
            "model's final norm would see.",
        )

    def cap_logits(self, model: nn.Module, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits as the model caps them: c tanh(x / c)."""
        cap: Any = model.config.get_text_config().final_logit_softcapping  # type: ignore
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def tower_refusal(self, model: nn.Module, layout: Layout, sources: Sources) -> str:
        """Say that there are no layers of tokens in which a method could act."""
        return (
            f"the vision tower of {self.title} is convolutional: it has no layers of tokens that "
            "a method could act in. Choose a method that acts before or inside the language model."
        )

    # -- the tower --------------------------------------------------------------------------------

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return no blocks: the tower has no layers of tokens."""
        return nn.ModuleList()

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return -1, the input of a first layer: here the map that becomes the features."""
        return -1

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the norm before the matrix, whose input is the tower's map, scaled."""
        return model.model.embed_vision.soft_embedding_norm  # type: ignore

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return states of the map [m, d_v] after the norms and the matrix, [m, d]."""
        return model.model.embed_vision(inputs_embeds=pre)  # type: ignore[union-attr, operator]

    def tower_outputs(self, model: nn.Module, inputs: Inputs) -> Any:
        """Run the tower and the projector; a stop acts before each convolution of the tower."""
        tower: Any = model.model.vision_tower  # type: ignore[union-attr]
        parts = [part for part in tower.modules() if isinstance(part, nn.Conv2d)]
        with hooked(part.register_forward_pre_hook(lambda *_: check_stop()) for part in parts):
            return super().tower_outputs(model, inputs)

    def encoder_outputs(self, features: Features) -> BaseModelOutputWithPooling:
        """Wrap features as one batch [1, n, d]."""
        return BaseModelOutputWithPooling(pooler_output=features.tokens[None])

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return one square grid per picture, over all of it."""
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        count: Any = model.config.vision_soft_tokens_per_image  # type: ignore[union-attr]
        side = int(np.sqrt(count))
        return stretched_layout(
            is_visual, [image.size for image in images], [(side, side)] * len(images)
        )
