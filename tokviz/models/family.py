"""The protocol behind which model families differ: where their visual tokens come from and lie.

A family is chosen by the `model_type` of a config. The defaults here hold for most families of
transformers 5; a family file overrides what differs and nothing else.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn

from tokviz.layout import Layout

Inputs = Mapping[str, Any]


class Family(ABC):
    """Everything the engine asks about one family of models. Stateless; the model is passed in."""

    name: str = ""
    title: str = ""
    model_types: tuple[str, ...] = ()
    "Values of config.model_type that this file serves."

    # -- the language model -------------------------------------------------------------------

    def decoder(self, model: nn.Module) -> nn.Module:
        """Return the text decoder (with .layers, .norm and .rotary_emb)."""
        return model.model.get_decoder()  # type: ignore[operator, union-attr]

    def head_weight(self, model: nn.Module) -> torch.Tensor:
        """Return the weight of the language model's head, [v, d]."""
        return model.get_output_embeddings().weight  # type: ignore[operator]

    def image_token_id(self, model: nn.Module) -> int:
        """Return the id of the placeholder that stands for one visual token."""
        return int(model.config.image_token_id)  # type: ignore[union-attr, arg-type]

    def positions(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        """Return the position ids that generate() would use, [..., 1, s]."""
        count = inputs["input_ids"].shape[1]
        return torch.arange(count, device=inputs["input_ids"].device)[None]

    # -- the vision tower ---------------------------------------------------------------------

    @abstractmethod
    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""

    @abstractmethod
    def has_cls(self, model: nn.Module) -> bool:
        """Return True when token 0 of the tower is a [CLS] token."""

    @abstractmethod
    def feature_layer(self, model: nn.Module) -> int:
        """Return the tower layer (0-based) whose output gives the features."""

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the module from tower features to the language model's width."""
        return model.model.multi_modal_projector  # type: ignore[union-attr, return-value]

    def image_features(self, model: nn.Module, inputs: Inputs) -> Sequence[torch.Tensor]:
        """Run the tower and the projector; return one [n_i, d] tensor per image."""
        run = model.model.get_image_features  # type: ignore[union-attr]
        accepted = inspect.signature(run).parameters
        kwargs = {k: v for k, v in inputs.items() if k in accepted}
        return run(**kwargs, return_dict=True).pooler_output  # type: ignore[operator]

    @abstractmethod
    def encoder_outputs(self, features: torch.Tensor) -> Any:
        """Wrap features [n, d] in what the model takes as mm_encoder_outputs["image"]."""

    @abstractmethod
    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return where every visual token lies in the prompt and in the original images."""

    # -- tower run by hand, for merging inside it ---------------------------------------------

    @abstractmethod
    def tower_embed(self, model: nn.Module, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the states [b, tokens, d] that enter the first tower block."""

    @abstractmethod
    def tower_attend(
        self, block: nn.Module, states: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the states after a block's attention and residual add (its first half)."""

    @abstractmethod
    def tower_mlp(self, block: nn.Module, states: torch.Tensor) -> torch.Tensor:
        """Return the states after the block's MLP and residual add (its second half)."""
