"""SmolVLM (and SmolVLM2): what Idefics3 does, under other class names and with smaller parts.

The first SmolVLM checkpoints say `idefics3` in their config and are served by that file. The
processor can also read videos, for which transformers asks for torchvision and num2words; only
still images are read here, without torchvision if need be.
"""

from __future__ import annotations

from tokviz.models.families.family import family
from tokviz.models.families.idefics3 import Idefics3


@family
class SmolVLM(Idefics3):
    """The layout, tower and connector of Idefics3."""

    name = "smolvlm"
    title = "SmolVLM"
    model_types = ("smolvlm",)
