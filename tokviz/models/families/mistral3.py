"""Mistral 3 and Ministral 3: pictures of any size, 2 x 2 patches to a token, a break after a row.

The prompt has a token for the end of every row of visual tokens (`[IMG_BREAK]`) and one for the end
of a picture. They are words of the vocabulary, not visual tokens: a reduction leaves all of them.
"""

from __future__ import annotations

from tokviz.models.families.family import family
from tokviz.models.families.packed import PackedTower


@family
class Mistral3(PackedTower):
    """Pixtral's tower, a norm, a matrix over four patches, an MLP; Mistral or Ministral 3.

    In Ministral 3 queries far behind the start are longer, by their position.
    """

    name = "mistral3"
    title = "Mistral 3"
    model_types = ("mistral3",)
