"""Does it help to turn the image up in the upper layers?"""

from typing import Annotated

import torch

from tokviz.mitigation import AttentionEdit, Place, Recipe, mitigation
from tokviz.options import Range


@mitigation("example_louder", title="Louder image", kinds=("attention",))
def example_louder(*, factor: Annotated[float, Range(1, 8, 0.5)] = 2.0) -> Recipe:
    """Multiply the last row's attention on the image, and make the row sum to 1 again."""

    def change(logits: torch.Tensor, place: Place) -> torch.Tensor:
        weights = logits.softmax(-1) * torch.where(place.image, factor, 1.0)
        return weights / weights.sum(-1, keepdim=True)

    return Recipe(AttentionEdit(change) if factor > 1 else None)
