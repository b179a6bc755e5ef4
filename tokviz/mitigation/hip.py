"""HiP: what if each row attended only to the keys that a tree search finds for it?"""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.pai import HIDDEN
from tokviz.mitigation.recipe import AttentionEdit, EditContext, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch


@mitigation(
    "hip",
    title="HiP attention",
    kinds=("attention",),
    paper="https://arxiv.org/abs/2406.09827",
    year=2024,
    code="DeepAuto-AI/hip-attention",
    licence="none stated",
    verified=False,
)
def hip(
    *,
    keys: Annotated[int, Range(1, 4096, 1)] = 512,
    first_layer: Annotated[int, Range(0, 200)] = 3,
) -> Recipe:
    """Let each row attend to `keys` keys only, found by a search through a tree of key ranges.

    The keys of a row are cut into `keys` ranges. Each range is halved, a half is judged by the key
    in its middle, and the best `keys` halves are halved again until each is one key. From
    `first_layer` on, all other keys get no weight. It mitigates nothing: it shows what sparse
    attention leaves out, and saves no time here, since all products are computed anyway.

    A stand-in: the official code is a GPU kernel that searches for blocks of 32 to 64 rows
    together, keeps the first and the latest keys in any case, and differs by version; here every
    row and head searches for itself.
    """

    def change(logits: torch.Tensor, context: EditContext) -> torch.Tensor | None:
        if logits.shape[-1] <= keys:
            return None
        return only(logits, found(logits, keys)).softmax(-1)

    return Recipe(AttentionEdit(change, rows="all", first_layer=first_layer))


def found(logits: torch.Tensor, count: int) -> torch.Tensor:
    """Return the keys that the search finds for each row, int64 [h, r, count]; may repeat.

    Args:
        logits: [h, r, k], k > count; hidden keys are -inf or near the lowest float.
        count: ranges that are followed.
    """
    total = logits.shape[-1]
    ends = torch.linspace(0, total, count + 1, device=logits.device).round().long()
    shape = (*logits.shape[:2], count)
    start, end = ends[:-1].expand(shape), ends[1:].expand(shape)
    while int((end - start).max()) > 1:
        middle = (start + end + 1) // 2  # the first half takes the odd key
        start, end = torch.cat([start, middle], -1), torch.cat([middle, end], -1)
        judge = ((start + end) // 2).clamp(max=total - 1)
        score = logits.gather(-1, judge).masked_fill(end <= start, -torch.inf)
        best = score.topk(count, dim=-1).indices
        start, end = start.gather(-1, best), end.gather(-1, best)
    return start.clamp(max=total - 1)


def only(logits: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Return logits with -inf but at some keys; a row that would see none stays as it is."""
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, keys, True)
    left = logits.masked_fill(~seen, -torch.inf)
    alone = left.amax(-1, keepdim=True) <= HIDDEN
    return torch.where(alone, logits, left)
