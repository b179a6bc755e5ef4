"""Qwen3-VL: Qwen2-VL with features of several tower layers (deepstack).

Besides the last tower layer, the outputs of some earlier layers pass through mergers, and are added
to the visual tokens after the first layers of the language model. They are merged and removed
together with their visual token, before the language model and inside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

from tokviz.models.apply_reduction import apply_reduction
from tokviz.models.families.family import Features, Inputs, family
from tokviz.models.families.film_pixels import Qwen3Pixels
from tokviz.models.families.qwen2_vl import Qwen2VL

if TYPE_CHECKING:
    from tokviz.models.decoder.remove_tokens import DecoderStages


@family
class Qwen3VL(Qwen2VL):
    """Differs from Qwen2-VL in the features added inside the language model."""

    film = "A grid per pair of frames, each behind its time as text."
    film_pixels = Qwen3Pixels
    name = "qwen3_vl"
    title = "Qwen3-VL"
    model_types = ("qwen3_vl",)

    def rotary_sections(self, decoder: nn.Module) -> tuple[int, ...]:
        """Return (): the frequencies of the axes alternate, there are no sections."""
        return ()

    def image_features(self, model: nn.Module, inputs: Inputs) -> Features:
        """Run the tower, its merger and its deepstack mergers."""
        output = self.tower_outputs(model, inputs)
        deep = tuple(torch.cat(list(images)) for images in output.deepstack_features)
        return Features(torch.cat(list(output.pooler_output)), deep)

    def tower_deep(self, model: nn.Module, layer: int, squares: torch.Tensor) -> list[torch.Tensor]:
        """Return the deepstack features of a layer; [] if the layer has none."""
        visual: Any = model.model.visual  # type: ignore[union-attr]
        mergers = zip(visual.deepstack_visual_indexes, visual.deepstack_merger_list, strict=True)
        return [merger(squares.flatten(0, 1)) for at, merger in mergers if at == layer]

    def encoder_outputs(self, features: Features) -> BaseModelOutputWithDeepstackFeatures:
        """Wrap features, including the deepstack features."""
        return BaseModelOutputWithDeepstackFeatures(
            pooler_output=[features.tokens],  # type: ignore[arg-type]
            deepstack_features=[[deep] for deep in features.extra],  # type: ignore[misc]
        )

    @contextmanager
    def during_prefill(self, model: nn.Module, stages: DecoderStages) -> Iterator[None]:
        """Reduce the added features together with the tokens.

        Tokens that bypass layers do not get the features that are added after those layers.
        """
        decoder = self.decoder(model)
        later = iter(range(len(decoder.layers)))  # type: ignore[arg-type]

        def add(hidden: torch.Tensor, _: torch.Tensor, deep: torch.Tensor) -> torch.Tensor:
            left = apply_reduction(deep, stages.reduction_at(next(later)))
            place = torch.searchsorted(stages.alive, stages.visual)
            hidden = hidden.clone()
            hidden[0, place] += left.to(hidden.device, hidden.dtype)
            return hidden

        decoder._deepstack_process = add  # type: ignore[assignment]
        try:
            yield
        finally:
            del decoder._deepstack_process
