"""Qwen3.5 MoE: Qwen3.5 with a language model that chooses experts for each token.

Which experts a token goes through follows from its own state alone.
"""

from __future__ import annotations

from tokviz.models.families.family import family
from tokviz.models.families.qwen3_5 import Qwen35


@family
class Qwen35Moe(Qwen35):
    """Tower and layers of Qwen3.5; experts, and one that every token passes, as its MLPs."""

    name = "qwen3_5_moe"
    title = "Qwen3.5 MoE"
    model_types = ("qwen3_5_moe",)
