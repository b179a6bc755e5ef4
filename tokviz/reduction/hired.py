"""HiRED: let the thumbnail's early attention decide how many tokens each crop may keep."""

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.crops import CropLayout, crop_scores
from tokviz.reduction.parts.selection import best_of


@method(
    "hired",
    title="HiRED",
    place="before",
    tiles="own",
    needs=("thumb_cls_attn", "crop_cls_attn"),
    fallbacks={"thumb_cls_attn": "cls_attn", "crop_cls_attn": "cls_attn"},
    optional=("crops", "tile", "cell"),
    paper="https://arxiv.org/abs/2408.10945",
    year=2024,
    official_fallbacks=("thumb_cls_attn", "crop_cls_attn"),
    code="hasanar1f/HiRED",
    licence="MIT",
    adaptive=True,
    published=(
        Published(
            "192 tokens",
            "HoloV's paper (TextVQA with HiRED's own prompt)",
            {"GQA": 58.7, "MME": 1737, "POPE": 82.8, "TextVQA": 47.4},
        ),
        Published(
            "128 tokens",
            "HoloV's paper (TextVQA with HiRED's own prompt)",
            {"GQA": 57.2, "MME": 1710, "POPE": 79.8, "TextVQA": 46.1},
        ),
        Published(
            "64 tokens",
            "HoloV's paper (TextVQA with HiRED's own prompt)",
            {"GQA": 54.6, "MME": 1599, "POPE": 73.6, "TextVQA": 44.2},
        ),
    ),
)
def hired(
    signals,
    keep: int,
    *,
    alpha: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    budget_layer: int = 0,
    layer: int = -2,
    variant: Literal["code", "paper"] = "code",
) -> Reduction:
    """Keep a share of the thumbnail, and of each crop by the thumbnail's attention to its region.

    `alpha` of the budget goes to the thumbnail. The rest is split by the [CLS] attention of layer 0
    over the thumbnail; inside each crop the attention of `layer` chooses. The paper sums attention
    over the region that a crop covers. The code counts the thumbnail's best cells (1 - alpha of
    them) in equal runs of its flat sequence, which are not regions. Both round down and lose the
    leftovers, so a few tokens less than the budget may be kept. A single image without a thumbnail
    (LLaVA-1.5) keeps its best tokens.
    """
    layout = CropLayout.of(signals)
    score, _ = crop_scores(signals, layout, "attn", layer)
    whole = "crop_cls_attn" not in signals or "thumb_cls_attn" not in signals
    notes = ("The crops' attention was read from cls_attn.",) if whole else ()
    if layout.thumbnail is None or not layout.tiles:
        order = best_of(score, np.arange(len(score)), keep)
        return Reduction.select(order, len(score), score=score, order=order, notes=notes)
    thumb = layout.crops[layout.thumbnail]
    _, early = crop_scores(signals, layout, "attn", budget_layer)
    full = min(int(keep * alpha), thumb.size)
    quota = (marked_quotas if variant == "code" else region_quotas)(
        early, layout, keep - full, alpha
    )
    chosen = [best_of(score, layout.members(layout.thumbnail), full)]
    for crop, count in zip(layout.tiles, quota, strict=True):
        chosen.append(best_of(score, layout.members(crop), count))
    order = np.concatenate(chosen)
    if not len(order):
        order = best_of(score, np.arange(len(score)), 1)
    return Reduction.select(order, len(score), score=score, order=order, notes=notes)


def marked_quotas(early: np.ndarray, layout: CropLayout, keep: int, alpha: float) -> list[int]:
    """Return the code's budget of each tile: its run's share of the thumbnail's best cells."""
    best = best_of(early, np.arange(len(early)), int(len(early) * (1 - alpha)))
    marks = np.zeros(len(early), np.int64)
    marks[best] = 1
    runs = [run.sum() for run in np.array_split(marks, len(layout.tiles))]
    share = np.array(runs, np.float32) / np.float32(max(sum(runs), 1))
    return [int(part * np.float32(keep)) for part in share]  # float32 as there: 0.99999 is lost


def region_quotas(early: np.ndarray, layout: CropLayout, keep: int, alpha: float) -> list[int]:
    """Return the paper's budget of each tile: the attention on its region, rounded down."""
    region = layout.regions()
    seen = region >= 0
    total = np.bincount(region[seen], early[seen].astype(np.float64), minlength=len(layout.tiles))
    return [int(keep * part / max(total.sum(), 1e-30) + 1e-6) for part in total]
