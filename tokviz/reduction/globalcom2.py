"""GlobalCom²: the thumbnail's scores set each crop's budget, and help to choose inside it."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.crops import CropLayout, crop_scores
from tokviz.reduction.parts.selection import best_of
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch


@method(
    "globalcom2",
    title="GlobalCom²",
    place="before",
    tiles="own",
    needs=("crops", "thumb_cls_logits", "crop_cls_logits"),
    fallbacks={"thumb_cls_logits": "cls_logits", "crop_cls_logits": "cls_logits"},
    optional=("tile", "cell", "unpad_mask"),
    paper="https://arxiv.org/abs/2501.05179",
    year=2025,
    official_fallbacks=("thumb_cls_logits", "crop_cls_logits"),
    code="xuyang-liu16/GlobalCom2",
    licence="Apache-2.0",
    adaptive=True,
)
def globalcom2(
    signals,
    keep: int,
    *,
    temperature: Annotated[float, Range(0.1, 100)] = 10.0,
    variant: Literal["paper", "code"] = "paper",
    layer: int = -1,
) -> Reduction:
    """Keep the thumbnail's best tokens, and of each crop a share by the score of its region.

    Scores are [CLS] logits of the last layer before the softmax, mean over heads. With R = keep / n
    a crop keeps R (1 + p - mean p) of its tokens, p being the softmax over crops of the summed
    logits of its region / temperature. Inside, the crop's own logits and the thumbnail's, resized
    to the crops' canvas, count the same after L2 normalisation. Shares round down, so a few tokens
    less than the budget may be kept; newline tokens are not part of the decision. The thumbnail's
    tokens come first, best first.

    "code" places the tokens of a padded image as the official code does: it uses their number among
    the tokens without padding as their place in the grid.
    """
    layout = CropLayout.of(signals)
    if layout.thumbnail is None or not layout.tiles:
        raise InputError("GlobalCom² needs an image with a thumbnail and crops.")
    score, cells = crop_scores(signals, layout, "logits", layer)
    whole = "thumb_cls_logits" not in signals or "crop_cls_logits" not in signals
    notes = ("The crops' logits were read from cls_logits.",) if whole else ()
    n, share = len(score), keep / len(score)
    first = layout.members(layout.thumbnail)
    thumb = best_of(score, first, max(int(len(first) * share), 1))
    tiles = [_shown(signals, layout.members(crop)) for crop in layout.tiles]
    ratio = crop_ratios(region_sums(cells, layout), share, temperature)
    count = [int(len(t) * r) for t, r in zip(tiles, ratio, strict=True)]
    count = _within(count, keep - len(thumb))
    seen = resized(cells, layout, np.concatenate(tiles))
    chosen = []
    for tokens, k in zip(tiles, count, strict=True):
        both = np.zeros(n, np.float32)
        both[tokens] = combined(score[tokens], seen[tokens])
        chosen.append(np.sort(best_of(both, tokens, k)))
    rest = np.sort(np.concatenate(chosen))
    if variant == "code":
        rest = misplaced(chosen, tiles, layout)
    order = np.concatenate([thumb, rest])
    return Reduction.from_entries(
        np.arange(len(order)), order, np.ones(len(order)), n, len(order), order,
        score=score, order=order, notes=notes,
    )  # fmt: skip


def region_sums(cells: np.ndarray, layout: CropLayout) -> np.ndarray:
    """Return the sum of the thumbnail's scores over the region of each tile."""
    region = layout.regions()
    return np.bincount(region[region >= 0], cells[region >= 0], minlength=len(layout.tiles))


def crop_ratios(sums: np.ndarray, share: float, temperature: float = 10.0) -> np.ndarray:
    """Return the part of its tokens that each crop keeps, at most 1."""
    weight = np.exp((sums - sums.max()) / temperature)
    weight /= weight.sum()
    return np.minimum(share * (1 + weight - weight.mean()), 1)


def combined(local: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the sum of two score vectors [k], each at L2 length 1."""
    lengths = [max(float(np.linalg.norm(v)), 1e-12) for v in (local, seen)]
    return (local / lengths[0] + seen / lengths[1]).astype(np.float32)


def resized(cells: np.ndarray, layout: CropLayout, tokens: np.ndarray) -> np.ndarray:
    """Return the thumbnail's scores at the places of some tiles' tokens, in an array [n].

    Bilinear, over the part of the canvas that those tokens span.
    """
    thumb = layout.crops[layout.thumbnail or 0]
    _, row, col = layout.places()
    top, left = row[tokens].min(), col[tokens].min()
    size = (int(row[tokens].max() - top) + 1, int(col[tokens].max() - left) + 1)
    image = torch.as_tensor(cells).reshape(1, 1, thumb.rows, thumb.cols)
    large = torch.nn.functional.interpolate(image, size, mode="bilinear", align_corners=False)
    seen = np.zeros(len(layout.tile), np.float32)
    seen[tokens] = large[0, 0].numpy()[row[tokens] - top, col[tokens] - left]
    return seen


def misplaced(chosen: list[np.ndarray], tiles: list[np.ndarray], layout: CropLayout) -> np.ndarray:
    """Return the chosen tokens in raster order of the cells that the official code gives them."""
    keys, tokens = [], []
    for crop, kept, all_tokens in zip(layout.tiles, chosen, tiles, strict=True):
        cell, shape = np.searchsorted(all_tokens, kept), layout.crops[crop]
        keys.append(np.stack([cell // shape.cols + shape.row0, cell % shape.cols + shape.col0]))
        tokens.append(kept)
    row, col = np.concatenate(keys, axis=1)
    return np.concatenate(tokens)[np.lexsort((col, row))]


def _shown(signals: Signals, tokens: np.ndarray) -> np.ndarray:
    """Return the tokens that show some of the image."""
    if "unpad_mask" not in signals:
        return tokens
    return tokens[signals["unpad_mask"].cpu().numpy()[tokens] > 0]


def _within(count: list[int], room: int) -> list[int]:
    """Return the budgets, cut in proportion where together they are more than `room`."""
    total = sum(count)
    return count if total <= room else [k * room // total for k in count]
