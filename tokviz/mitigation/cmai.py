"""CMAI: hide from each word the visual tokens that get little attention directly or via words."""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, EditContext, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch


@mitigation(
    "cmai",
    title="CMAI",
    kinds=("attention",),
    paper="https://arxiv.org/abs/2411.15453",
    year=2024,
    verified=False,
)
def cmai(
    *,
    share: Annotated[float, Range(0, 0.95, 0.05)] = 0.3,
    first_layer: Annotated[int, Range(0, 200)] = 2,
) -> Recipe:
    """Hide from each word the visual tokens with the least attention through other words.

    The focus of a word on a visual token is its attention to words times their attention to the
    image, F = A_tt A_ti, mean over heads, words = rows after the image. The `share` of visual
    tokens with the lowest focus is hidden from the row before its softmax. A stand-in: no code is
    public, and counts, layers and threshold are not stated; per row, from `first_layer` on and .3
    are ours. share = 0 hides nothing, nor does a share of so few tokens that none
    is left over. It acts on every model, from `first_layer` on; the run says in how many layers.
    Its first half, VMTC, is a reduction method.
    """

    def change(logits: torch.Tensor, context: EditContext) -> torch.Tensor:
        weights = logits.softmax(-1).mean(0)  # [h, r, k] -> [r, k]
        # attention of all words so far to the image, [t, m]: rows of earlier calls, then the new
        to_image, before = weights[:, context.image], context.memory.get("to_image")
        if before is not None:  # a sliding window may have dropped the first visual tokens
            to_image = torch.cat([before[:, before.shape[1] - to_image.shape[1] :], to_image])
        context.memory["to_image"] = to_image
        to_words = weights[:, int(context.image.nonzero()[-1]) + 1 :]
        # Columns and rows must be the same words: a prefill comes in chunks, so later words have
        # no row yet; a window may have dropped the keys of the first words.
        among = min(to_words.shape[1], len(to_image))
        hidden = least(focus(to_words[:, :among], to_image[-among:]), share)
        return without(logits, context.image, hidden).softmax(-1)

    edit = AttentionEdit(change, rows="after_image", first_layer=first_layer)
    return Recipe(edit if share > 0 else None)


def focus(words: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Return A_tt A_ti [r, m] from attention among words [r, t] and from words to image [t, m]."""
    return words @ image


def least(focus: torch.Tensor, share: float) -> torch.Tensor:
    """Return the `share` (rounded down) of each row's columns with the lowest focus, bool [r, m].

    Of columns with equal focus, those with the higher index are returned.
    """
    kept = focus.shape[-1] - int(share * focus.shape[-1])
    order = focus.sort(dim=-1, descending=True, stable=True).indices
    return torch.ones_like(focus, dtype=torch.bool).scatter(-1, order[..., :kept], False)


def without(logits: torch.Tensor, image: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Return logits [h, r, k] with -inf at the `hidden` [r, m] ones of the m visual keys."""
    gone = torch.zeros_like(logits[0], dtype=torch.bool)
    gone[:, image] = hidden
    return logits.masked_fill(gone, -torch.inf)
