"""Qwen3-VL MoE: Qwen3-VL with a language model that chooses experts for each token.

Which experts a token goes through follows from its own state alone, so that removing other tokens
changes nothing here beyond what it changes in attention.
"""

from __future__ import annotations

from tokviz.models.families.family import family
from tokviz.models.families.qwen3_vl import Qwen3VL


@family
class Qwen3VLMoe(Qwen3VL):
    """The tower, mergers and deepstack of Qwen3-VL; a mixture of experts in each decoder layer."""

    name = "qwen3_vl_moe"
    title = "Qwen3-VL MoE"
    model_types = ("qwen3_vl_moe",)
