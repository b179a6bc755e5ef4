"""Gemma 4: pictures of any shape within a budget of tokens, 3 x 3 patches averaged to each.

The processor resizes a picture to as many whole tokens as the budget allows, in its own shape, and
fills the row of patches up to the budget; the tower hides what was filled. In the language model
of the large checkpoints the tokens of a picture attend to each other in both directions, in layers
with a sliding window only. In E2B and E4B they do not; their last layers read the keys of earlier
ones (`shared_keys.py`), and every layer has an input of its own for each token, which leaves with
the token. A merged token keeps that of its representative. Their audio tower is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.masking_utils import create_bidirectional_mask

from tokviz.models.families.family import Family, Inputs, family
from tokviz.models.families.qwen2_vl import stretched_layout
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout

BUDGETS = (1120, 560, 280, 140, 70)
"""Visual tokens of a picture that the processor can be set to."""


@family
class Gemma4(Family):
    """A rotary tower, average pooling, a norm and one matrix, Gemma 4."""

    name = "gemma4"
    title = "Gemma 4"
    model_types = ("gemma4",)

    def cap_logits(self, model: nn.Module, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits as the model caps them: c tanh(x / c)."""
        cap: Any = model.config.get_text_config().final_logit_softcapping  # type: ignore
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def window_mask(self, model: nn.Module, inputs: Inputs, rows: torch.Tensor) -> Any:
        """Return the model's own mask of layers with a sliding window, see `Family`."""
        masks = model.create_masks_for_generate(  # type: ignore[operator]
            config=model.config,
            inputs_embeds=torch.empty(1, len(rows), 0, device=rows.device),
            attention_mask=None,
            past_key_values=None,
            position_ids=None,
            mm_token_type_ids=inputs["mm_token_type_ids"][:, rows],
        )
        return masks["sliding_attention"]

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the budget to the largest one that is not above `most`."""
        images = processor.image_processor
        budget = next((one for one in BUDGETS if one <= most), BUDGETS[-1])
        if budget >= images.max_soft_tokens:
            return False
        images.max_soft_tokens = budget
        return True

    # -- the tower --------------------------------------------------------------------------------

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.vision_tower.encoder.layers  # type: ignore[union-attr, return-value]

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer."""
        return len(self.tower_layers(model)) - 1

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the norm before the matrix, whose input is the averaged patches."""
        return model.model.embed_vision.embedding_pre_projection_norm  # type: ignore

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return averaged patches [m, d_v] after the norm and the matrix, [m, d]."""
        return model.model.embed_vision(pre)  # type: ignore[union-attr, operator]

    def grids(self, model: nn.Module, inputs: Inputs) -> np.ndarray:
        """Return rows and columns of visual tokens of each picture, int64 [images, 2]."""
        side: Any = model.config.vision_config.pooling_kernel_size  # type: ignore[union-attr]
        # [images, patches, (x, y)], -1 where the row is filled up
        last = inputs["image_position_ids"].amax(1).cpu().numpy()
        return (last[:, ::-1] + 1) // side

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return one grid per picture, over all of it."""
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        shapes = self.grids(model, inputs).tolist()
        return stretched_layout(is_visual, [image.size for image in images], shapes)

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the square of patches of each token."""
        side: Any = model.config.vision_config.pooling_kernel_size  # type: ignore[union-attr]
        length = inputs["image_position_ids"].shape[1]
        return Sources.squares(layout, self.grids(model, inputs) * side, side, length)

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the mean of each square, scaled and standardized as the tower does it.

        The tower's pooling gets the squares below each other, as one picture a square wide.
        """
        tower: Any = model.model.vision_tower  # type: ignore[union-attr]
        count, side = len(squares), tower.config.pooling_kernel_size
        y, x = torch.meshgrid(
            torch.arange(count * side, device=squares.device),
            torch.arange(side, device=squares.device),
            indexing="ij",
        )
        place = torch.stack([x.flatten(), y.flatten()], -1)[None]
        pooled, _ = tower.pooler(
            squares.flatten(0, 1)[None], place, torch.zeros_like(place[..., 0]).bool(), count
        )
        if tower.config.standardize:
            pooled = (pooled - tower.std_bias.float()) * tower.std_scale.float()
        return pooled[0].to(squares.dtype)

    def tower_follow(
        self, model: nn.Module, inputs: Inputs, given: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        """Return each patch's rotary angles and place; what was filled is at (-1, -1)."""
        cos, sin = given["position_embeddings"]
        return {"cos": cos, "sin": sin, "place": given["position_ids"]}

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states after attention, the norm behind it and the residual add."""
        block: Any = self.tower_layers(model)[layer]
        place = follow["place"]
        attended, _ = block.self_attn(
            hidden_states=block.input_layernorm(states),
            position_embeddings=(follow["cos"], follow["sin"]),
            attention_mask=create_bidirectional_mask(
                config=block.config,
                inputs_embeds=states,
                attention_mask=(place != -1).any(-1),
            ),
            position_ids=place,
        )
        return states + block.post_attention_layernorm(attended)

    def tower_mlp(self, model: nn.Module, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Return the states after the MLP, the norms around it and the residual add."""
        block: Any = self.tower_layers(model)[layer]
        made = block.mlp(block.pre_feedforward_layernorm(states))
        return states + block.post_feedforward_layernorm(made)
