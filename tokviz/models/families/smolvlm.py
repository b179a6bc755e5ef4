"""SmolVLM (and SmolVLM2): the same as Idefics3 with other class names and smaller sizes.

The first SmolVLM checkpoints have `idefics3` in their config and belong to that family. The
processor can also read videos, for which transformers needs torchvision and num2words; here only
still images are read, which works without torchvision.
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
