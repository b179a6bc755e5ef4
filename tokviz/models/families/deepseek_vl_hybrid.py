"""DeepSeek-VL 7B: each token is made of a SigLIP tower's patch and of SAM's view of the same place.

A picture is padded to a square of 1,024 pixels. SAM, a tower with windows and convolutions, reads
it whole; SigLIP reads it scaled down to 384. Both give one grid of as many rows and columns, and
the projector joins them place by place. A token's box is its patch in SigLIP. Its half of SAM also
holds what lies around: some layers attend to the whole picture, and the convolutions behind reach
two tokens up and to the left, one down and to the right.

What tokviz shows of the tower, and what acts inside it, is SigLIP's. SAM gives no attention maps;
its states pass beside every reduction, and a merged token gets the mean of its members' ones.
A token's state before the projector is both halves.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from tokviz.interruption import check_stop
from tokviz.models.families.deepseek_vl import DeepSeekVL
from tokviz.models.families.family import Features, Inputs, family
from tokviz.models.families.parts import one
from tokviz.models.hooks import hooked


@family
class DeepSeekVLHybrid(DeepSeekVL):
    """SigLIP and SAM side by side, an MLP that joins them, Llama."""

    name = "deepseek_vl_hybrid"
    title = "DeepSeek-VL 7B"
    model_types = ("deepseek_vl_hybrid",)

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the length of an image in tokens, and of the square that SAM reads."""
        sam: Any = model.config.high_res_vision_config  # type: ignore[union-attr]
        side = self.padded_to(model, processor)
        return [*super().settings(model, processor), ("high_res_size", side, one(sam.image_size))]

    def padded_to(self, model: nn.Module, processor: Any) -> int:
        """Return the side of the square that SAM reads, of which SigLIP's is a smaller copy."""
        return int(processor.image_processor.high_res_size["height"])

    def image_features(self, model: nn.Module, inputs: Inputs) -> Features:
        """Run both towers and the projector; a stop acts between SAM's layers, too."""
        layers: Any = model.model.high_res_vision_model.vision_encoder.layers  # type: ignore
        with hooked(layer.register_forward_pre_hook(lambda *_: check_stop()) for layer in layers):
            return super().image_features(model, inputs)

    # -- two states of each place -------------------------------------------------------------

    def projector_input(self, args: tuple[Any, ...]) -> torch.Tensor:
        """Return SigLIP's and SAM's states of each place next to each other, [n, d_v + d_sam]."""
        return torch.cat(args, -1).flatten(0, 1)

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return the joined states of places after the projector, [m, d_v + d_sam] -> [m, d]."""
        width = self._width(model)
        return self.projector(model)(pre[None, :, :width], pre[None, :, width:])[0]

    def tower_beside(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return SAM's states, [n, d_sam]."""
        return pre[:, self._width(model) :]

    def tower_alone(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which SAM's states are zero."""
        last: Any = model.model.high_res_vision_proj  # type: ignore[union-attr]
        return hooked([last.register_forward_hook(lambda _, args, made: torch.zeros_like(made))])

    def _width(self, model: nn.Module) -> int:
        """Width of SigLIP's states."""
        return int(model.config.vision_config.hidden_size)  # type: ignore[union-attr]
