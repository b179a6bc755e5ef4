"""SmolVLM (and SmolVLM2): the same as Idefics3 with other class names and smaller sizes.

The first SmolVLM checkpoints have `idefics3` in their config and belong to that family. A film's
frames are one tile each, with their times as text before them.
"""

from __future__ import annotations

from tokviz.models.families.family import family
from tokviz.models.families.film_pixels import SmolPixels
from tokviz.models.families.idefics3 import Idefics3


@family
class SmolVLM(Idefics3):
    """The layout, tower and connector of Idefics3."""

    film = "One tile per frame, behind its time as text."
    film_pixels = SmolPixels
    name = "smolvlm"
    title = "SmolVLM"
    model_types = ("smolvlm",)
