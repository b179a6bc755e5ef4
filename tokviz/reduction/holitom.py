"""HoliTom, before the language model: what stands still over a stretch of frames is merged once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.density import density_peaks
from tokviz.reduction.parts.frames import by_place, change_since
from tokviz.reduction.parts.rows import Rows
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.shares import counts_by_ratio
from tokviz.torch_on_use import torch

NEIGHBOURS = 7
Window = tuple[int, int]
"""First and last frame."""


@method(
    "holitom",
    title="HoliTom",
    place="before",
    kind="both",
    needs=("feats_post", "recv_attn", "crops"),
    optional=("tile", "cell", "index"),
    images="together",
    frames=True,
    several_images=True,
    paper="https://arxiv.org/abs/2505.21334",
    year=2025,
    code="cokeshao/HoliTom",
    licence="Apache-2.0",
    adaptive=True,
    rest="holitom_stage",
)
def holitom(
    signals,
    keep: int,
    *,
    still: Annotated[float, Range(-1, 1, 0.01)] = 0.8,
    centre_weight: Annotated[float, Range(0, 1, 0.05)] = 0.6,
    context: Annotated[float, Range(0, 1, 0.05)] = 0.0,
    layer: int = -1,
) -> Reduction:
    """Average places that stand still over a window of frames; keep the best-attended of the rest.

    A place stands still between two frames when the cosine of its projected features is above
    `still`. The film is cut into windows so that as many tokens as possible are saved, which is a
    search over all cuts. In a window the still places are averaged over its frames and grouped by
    density peaks: `centre_weight` of a centre plus the mean of its other members. Of the moving
    places each frame keeps those that receive most attention in the tower; `context` of that share
    goes to density peaks of the others instead.

    All parts keep the same share, which follows from the budget; what rounding leaves goes to the
    first of them. A film that stands still may have fewer tokens than the budget after the
    averaging alone. The second part is "holitom_stage". The official code adds noise to densities,
    by which it settles ties; here the first token wins.
    """
    features = signals["feats_post"].float().cpu()
    score = signals.at("recv_attn", layer).cpu()
    table = by_place(signals)
    change = change_since(signals, features)
    standing = np.where(table[1:] >= 0, 1 - change[table[1:]], -1) > still
    parts = [part for window in windows_of(standing) for part in split(table, standing, window)]
    rows, sizes = Rows(), np.array([part.shape[1] for part in parts])
    counts = counts_by_ratio(rounded(sizes, [len(part) > 1 for part in parts]), keep)
    for part, count in zip(parts, counts, strict=True):
        if len(part) > 1:
            averages = features[torch.as_tensor(part)].mean(0)
            merge_peaks(rows, part, averages, int(count), centre_weight)
            continue
        tokens, most = part[0], round(int(count) * (1 - context))
        chosen = np.sort(top_k(score[tokens], most).numpy())
        rows.copies(tokens[chosen])
        others = np.setdiff1d(np.arange(len(tokens)), chosen)
        merge_peaks(rows, part[:, others], features[tokens[others]], count - most, centre_weight)
    averaged = np.concatenate(
        [np.zeros(0, int), *(part.ravel() for part in parts if len(part) > 1)]
    )
    return rows.reduction(len(features), score=score, roles={"standing still": averaged})


def windows_of(standing: np.ndarray) -> list[Window]:
    """Return the windows that save most tokens when still places are averaged, in order.

    Args:
        standing: bool [frames - 1, places], whether a place stands still from one frame to the
            next.
    """
    count = len(standing) + 1
    best, start = np.zeros(count), np.zeros(count, np.int64)
    for last in range(count):
        most, first = (best[last - 1] if last else 0.0), last
        still = np.ones(standing.shape[1], bool)
        for begin in range(last - 1, -1, -1):
            still = still & standing[begin]
            saved = (best[begin - 1] if begin else 0.0) + still.sum() * (last - begin)
            if saved > most:
                most, first = saved, begin
        best[last], start[last] = most, first
    found, last = [], count - 1
    while last >= 0:
        found.append((int(start[last]), last))
        last = int(start[last]) - 1
    return found[::-1]


def split(table: np.ndarray, standing: np.ndarray, window: Window) -> list[np.ndarray]:
    """Return a window's still places, tokens [frames, places], and each frame's others [1, k].

    Args:
        table: token at each place of each frame, -1 = none.
        standing: see `windows_of`.
        window: first and last frame.
    """
    first, last = window
    still = standing[first:last].all(0) & (last > first)
    moving = [table[frame, ~still] for frame in range(first, last + 1)]
    parts = [table[first : last + 1, still], *(tokens[tokens >= 0][None] for tokens in moving)]
    return [part for part in parts if part.size]


def rounded(sizes: np.ndarray, averaged: list[bool]) -> Callable[[float], np.ndarray]:
    """Return how many tokens of each part a ratio keeps, as the official code rounds them."""

    def counts_at(ratio: float) -> np.ndarray:
        near, up = np.rint(sizes * ratio), np.ceil(sizes * ratio)
        return np.where(averaged, near, up).astype(np.int64)

    return counts_at


def merge_peaks(
    rows: Rows, part: np.ndarray, features: torch.Tensor, count: int, centre_weight: float
) -> None:
    """Add one row for each density peak of these places, with the places nearest to it.

    Args:
        rows: gets the rows.
        part: tokens [frames, places]; a place is the mean over the frames.
        features: [places, d].
        count: number of peaks.
        centre_weight: share of the peak itself where others join it.
    """
    if count < 1:
        return
    centres, _ = density_peaks(features, count, neighbours=min(NEIGHBOURS, count))
    centres = centres.sort().values
    nearest = torch.cdist(features.double(), features.double())[:, centres].argmin(1)
    nearest[centres] = torch.arange(count)
    for number, centre in enumerate(centres.tolist()):
        joined = np.setdiff1d(np.flatnonzero(nearest.numpy() == number), centre)
        own = centre_weight if len(joined) else 1.0
        shares = np.full(1 + len(joined), (1 - own) / max(len(joined), 1))
        shares[0] = own
        places = np.concatenate([[centre], joined])
        weights = np.tile(shares / len(part), (len(part), 1))
        rows.add(part[:, places].ravel(), weights.ravel(), part[0, centre])
