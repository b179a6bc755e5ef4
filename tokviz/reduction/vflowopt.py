"""VFlowOpt: remove tokens with little attention, but keep a summary of every region."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch

SHARES = (0.1166, 0.2651, 0.7233)
THRESHOLDS = (39.26, 34.76, 28.68)
CELLS = (17.39, 15.58, 11.76)
"""Published presets: share kept, threshold, and cell size on a grid of 27 x 27 tokens."""
GREY_WEIGHT = 0.3333
"""Weight of each channel in the code; white is 254.97, which rounds to 255."""


@method(
    "vflowopt",
    title="VFlowOpt",
    place="before",
    kind="both",
    needs=("full_attn", "grid"),
    fallbacks={"full_attn": "recv_attn", "grid": "cell"},
    optional=("patch_entropy", "pixels", "crops", "tile", "cell"),
    read_with={"patch_entropy": "entropy", "pixels": "entropy"},
    paper="https://arxiv.org/abs/2508.05211",
    year=2025,
    rest="vflowopt_stages",
    official_fallbacks=("grid",),
    code="sihany077/VFlowOpt",
    licence="CC-BY-NC-4.0",
)
def vflowopt(
    signals,
    keep: int,
    *,
    threshold: Annotated[float | None, Range(0, 1000)] = None,
    cell: Annotated[float | None, Range(1, 1000)] = None,
    entropy: Annotated[float, Range(-1, 1, 0.05)] = 0.0,
    layer: int = -2,
) -> Reduction:
    """Keep the tokens that the tower's global patches attend to, merge the rest cell by cell.

    Importance is the mean attention row of the patches that receive more than `threshold` x the
    mean attention, plus `entropy` x softmax of each patch's entropy in bits (0 in all released
    settings). n - keep + int(n / cell²) of the least important tokens are recycled: those in one
    cell x cell square become one mean, weighted by importance, in the place of their best member.
    Threshold and cell follow from the budget by the published presets, cell scaled to the grid. To
    search them for another model and other prompts, together with the stages inside the language
    model, use `tokviz.models.runs.schedule_search.search_vflowopt`.

    The official count of squares may miss the budget; here a few more or fewer tokens are recycled
    until it is met, and a cell that leaves too many squares grows. Inside the language model the
    published method prunes again: chain the method "vflowopt_stages".
    """
    n, share = signals.n, keep / signals.n
    if threshold is None:
        threshold = threshold_of(share)
    if cell is None:
        cell = max(float(np.interp(share, SHARES, CELLS)) * n**0.5 / 27, 1.0)
    score, notes = tower_importance(signals, layer, threshold)
    if entropy:
        score = score + entropy * patch_entropy(signals).softmax(0).to(score.device)
    importance = score.cpu().numpy().astype(np.float64)
    layout = CropLayout.of(signals)
    recycled, square, grown = recycled_tokens(importance, keep, cell, layout)
    if grown:
        notes += ("The cells were enlarged: there were more of them than tokens to keep.",)
    kept = np.setdiff1d(np.arange(n), recycled)
    label = np.concatenate([np.arange(len(kept)), len(kept) + square])
    cols = np.concatenate([kept, recycled])
    weight = np.concatenate([np.ones(len(kept)), np.maximum(importance[recycled], 1e-30)])
    weight /= np.bincount(label, weight)[label]
    position = np.zeros(len(kept) + len(set(square)), np.int64)
    weakest_first = np.lexsort((-cols, importance[cols]))
    position[label[weakest_first]] = cols[weakest_first]
    roles = {"kept": kept, "recycled": recycled}
    return Reduction.from_entries(
        label, cols, weight, n, len(position), position, score=score, roles=roles, notes=notes
    ).in_raster_order()


def importance_map(attention: torch.Tensor, threshold: float) -> tuple[torch.Tensor, bool]:
    """Return the importance [n] and whether any patch passed the threshold.

    Args:
        attention: [n, n], head mean, rows are queries.
        threshold: a patch is global when it receives more than this many times the mean.
    """
    received = attention.mean(0)
    chosen = received > threshold * received.mean()
    if not chosen.any():
        return received, False
    return attention[chosen].mean(0), True


def recycled_tokens(
    importance: np.ndarray, keep: int, cell: float, layout: CropLayout
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the tokens to recycle, the number of each one's square, and whether cells grew.

    Their number is the published one, moved until kept tokens and squares together are `keep`.
    """
    n, grown = len(importance), False
    weakest = np.lexsort((-np.arange(n), importance))
    canvas, row, col = layout.places()
    while True:
        square = canvas * n * n + (row // cell).astype(np.int64) * n + (col // cell).astype(int)
        firsts = np.unique(square[weakest], return_index=True)[1]
        opened = np.isin(np.arange(n), firsts).cumsum()
        left = n - np.arange(1, n + 1) + opened
        meets = np.flatnonzero(left == keep) + 1
        if len(meets):
            break
        if cell > max(row.max(), col.max()):  # one square each: join thumbnail and tiles
            canvas = np.zeros_like(canvas)
        cell, grown = cell * 1.25, True
    published = n - keep + int(n / cell**2)
    count = meets[np.abs(meets - published).argmin()]
    recycled = np.sort(weakest[:count])
    return recycled, np.unique(square[recycled], return_inverse=True)[1], grown


def patch_entropy(signals: Signals) -> torch.Tensor:
    """Return the entropy [n] in bits of each token's part of the picture.

    Raises:
        MissingSignal: neither patch_entropy nor pixels and grid were given.
    """
    if "patch_entropy" in signals:
        return signals["patch_entropy"]
    rows, cols = (int(length) for length in signals["grid"])
    return entropies(signals["pixels"], rows, cols)


def entropies(pixels: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    """Return the entropy [rows * cols], in bits, of the 256 grey levels in each cell of a picture.

    As in the code, channels become whole numbers first and their mean is rounded. Pixels that a
    processor has normalised are stretched to 0..1 before; the code lets them wrap around 8 bits.

    Args:
        pixels: [3, height, width], 0 to 1; any other range is stretched to that.
        rows: cells down.
        cols: cells across.
    """
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 1:
        pixels = (pixels - low) / (high - low).clamp(min=1e-12)
    levels = (pixels * 255).to(torch.uint8).float().cpu()
    grey = (levels * GREY_WEIGHT).sum(0).round().long()
    row, col = cell_of(grey.shape[0], rows), cell_of(grey.shape[1], cols)
    # one histogram for all cells: 256 bins each, one cell after the other
    bins = ((row[:, None] * cols + col) * 256 + grey).flatten()
    counts = torch.bincount(bins, minlength=rows * cols * 256).view(rows * cols, 256)
    shares = counts / counts.sum(1, keepdim=True)
    return torch.special.entr(shares).sum(1) / math.log(2)


def cell_of(length: int, cells: int) -> torch.Tensor:
    """Return the cell [length] of each pixel when the first cells take what is left over."""
    parts = torch.arange(length).tensor_split(cells)
    return torch.cat([torch.full((len(part),), number) for number, part in enumerate(parts)])


def threshold_of(share: float) -> float:
    """Return the published threshold for a share of the tokens that is kept."""
    return float(np.interp(share, SHARES, THRESHOLDS))


def tower_importance(
    signals: Signals, layer: int, threshold: float
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return the importance [n] of each token by the tower's maps, and notes for the reader.

    Args:
        signals: full_attn, or recv_attn in its place.
        layer: of the tower.
        threshold: see `importance_map`.
    """
    if "full_attn" not in signals:
        note = "full_attn is missing: the attention that each patch receives was used unchanged."
        return signals.at("recv_attn", layer), (note,)
    attention = signals.patches("full_attn", layer, axis=2).mean(0)[-(signals.n or 0) :]
    score, found = importance_map(attention, threshold)
    note = "No patch passed the threshold: all patches count as global."
    return score, () if found else (note,)
