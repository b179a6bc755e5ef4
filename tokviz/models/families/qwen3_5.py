"""Qwen3.5: Qwen3-VL's tower without deepstack; three of four decoder layers are linear attention.

A layer of linear attention (a gated delta rule behind a short convolution) keeps one state of fixed
size instead of keys: it has no attention map, and nothing can be evicted from it. Positions (M-RoPE
with alternating axes) count in the other layers only; in a linear layer a removed token leaves no
gap, whether positions are kept or renumbered.
"""

from __future__ import annotations

from torch import nn

from tokviz.models.families.family import family
from tokviz.models.families.film_pixels import Qwen3Pixels
from tokviz.models.families.qwen2_vl import Qwen2VL


@family
class Qwen35(Qwen2VL):
    """Qwen3-VL's tower and merger without deepstack; linear attention in most decoder layers."""

    film = "A grid per pair of frames, each behind its time as text."
    film_pixels = Qwen3Pixels
    name = "qwen3_5"
    title = "Qwen3.5"
    model_types = ("qwen3_5",)

    def rotary_sections(self, decoder: nn.Module) -> tuple[int, ...]:
        """Return (): the frequencies of the axes alternate, there are no sections."""
        return ()
