"""Ovis 2: a token is a mean of 65,536 visual words, weighted by what a head makes of 2 x 2 patches.

The thumbnail comes first, then square tiles in rows. Between the tiles the prompt has marks (start,
grid, column, row, end) whose embeddings are visual words too: they are no visual tokens of the
picture, and no reduction takes them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.models.ovis2.modeling_ovis2 import (
    BaseModelOutputWithVisualIndicatorFeatures,
    hard_softmax,
)

from tokviz.errors import ModelError
from tokviz.models.families.family import Family, Features, Inputs, family
from tokviz.models.families.idefics3 import square_tiles
from tokviz.models.families.internvl import cut_into
from tokviz.models.families.parts import one
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout, Tile


@family
class Ovis2(Family):
    """AIMv2 tower without [CLS], a head over visual words, their table, Qwen2."""

    name = "ovis2"
    title = "Ovis 2"
    model_types = ("ovis2",)

    def check_model(self, model: nn.Module) -> None:
        """Raise ModelError where the visual words are drawn at random."""
        super().check_model(model)
        if model.config.vision_config.tokenize_function == "gumbel_argmax":  # type: ignore
            raise ModelError(
                "its visual words are drawn at random (tokenize_function gumbel_argmax), so that "
                "no two runs are alike. Set tokenize_function to softmax in config.json."
            )

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the number of tiles beside the thumbnail."""
        images = processor.image_processor
        tiles = max(most // processor.image_seq_length - 1, 1)
        if not images.crop_to_patches or tiles >= images.max_patches:
            return False
        images.max_patches = tiles
        return True

    def shown(self, model: nn.Module, ids: torch.Tensor, features: Features) -> dict[str, Any]:
        """Return `encoded` also where no visual token is left: the marks stay visual words."""
        return self.encoded(model, ids, features)

    def encoded(self, model: nn.Module, ids: torch.Tensor, features: Features) -> dict[str, Any]:
        """Return features as mm_encoder_outputs, with the embeddings of the marks."""
        inner: Any = model.model
        words, marks = inner.visual_vocab_size, inner.vision_tower.num_visual_indicator_tokens
        table = inner.visual_embeddings_table
        number = torch.arange(words - marks, words, device=table.weight.device)
        made = BaseModelOutputWithVisualIndicatorFeatures(
            pooler_output=features.tokens[None],  # type: ignore[arg-type]
            visual_indicator_features=table(number),
        )
        return {"image": made}

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.vision_tower.transformer.encoder.layers  # type: ignore

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer; a norm follows it."""
        return len(self.tower_layers(model)) - 1

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the head's matrix, whose input is the joined patches of a token."""
        return model.model.vision_tower.head_linear  # type: ignore[union-attr, return-value]

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return the means of visual words, [m, k d_v] -> [m, d]."""
        inner: Any = model.model
        logits = inner.vision_tower.head_norm(self.projector(model)(pre[None]))
        hard = inner.vision_tower.config.tokenize_function == "st_argmax"
        weights = hard_softmax(logits, dim=-1) if hard else logits.softmax(-1)
        marks = inner.vision_tower.num_visual_indicator_tokens
        return inner.visual_embeddings_table(nn.functional.pad(weights, (0, marks)))[0]

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the length of a tile in tokens."""
        return [("image_seq_length", processor.image_seq_length, self.side(model) ** 2)]

    def stride(self, model: nn.Module) -> int:
        """Return how many patches the side of a visual token has."""
        return int(model.config.vision_config.hidden_stride)  # type: ignore

    def side(self, model: nn.Module) -> int:
        """Return how many rows and columns of tokens a tile has."""
        vision: Any = model.config.vision_config  # type: ignore[union-attr]
        return one(vision.image_size) // one(vision.patch_size) // self.stride(model)

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return the thumbnail of each image and the tiles that the marks between them count."""
        ids, side = inputs["input_ids"][0].cpu().numpy(), self.side(model)
        names = [f"<IMG_{name}>" for name in ("START", "END", "ROW", "COL")]
        start, end, row, col = (
            np.flatnonzero(ids == i) for i in processor.tokenizer.convert_tokens_to_ids(names)
        )
        tiles: list[Tile] = []
        for image, (a, b) in enumerate(zip(start, end, strict=True)):
            rows = int(((row > a) & (row < b)).sum()) + 1
            cols = int(((col > a) & (col < b)).sum()) // rows + 1
            *parts, whole = cut_into(image, images[image].size, side, cols, rows)
            tiles += [whole, *parts]
        sizes = [image.size for image in images]
        return square_tiles(tiles, np.flatnonzero(ids == self.image_token_id(model)), sizes)

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the square of patches of each token."""
        return Sources.grid(layout, self.stride(model))

    # -- the tower block by block -----------------------------------------------------------------

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the patches of each token after the tower's last norm, one after the other."""
        return model.model.vision_tower.transformer.rms_norm(squares).flatten(1)  # type: ignore

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states after attention and residual add."""
        block: Any = self.tower_layers(model)[layer]
        return states + block.attention(hidden_states=block.rms_norm1(states))[0]

    def tower_mlp(self, model: nn.Module, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Return the states after the MLP and residual add."""
        block: Any = self.tower_layers(model)[layer]
        return states + block.ffn(block.rms_norm2(states))
