"""PPE: a merged token can keep several of its members' positions instead of one."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.options import fitted
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.density import density_peaks

NEIGHBOURS = 5


@method(
    "ppe",
    title="PPE",
    place="before",
    kind="merge",
    needs=("feats_post",),
    positions="keep",
    paper="https://arxiv.org/abs/2510.22936",
    year=2025,
    member_positions=lambda done: position_hypotheses(done),
    code="MouxiaoHuang/PPE",
    licence="Apache-2.0",
)
def ppe(signals, keep: int, *, neighbours: Annotated[int, Range(1, 64)] = NEIGHBOURS) -> Reduction:
    """Merge clusters around density peaks into means (published budget: 45 % of the tokens).

    A centre is dense (its `neighbours` nearest tokens, itself included, are close) and far from
    every denser token. Output order: strongest centre first, each at its centre's position. The
    official code adds noise up to 1e-6 to densities to break ties; here the lower index wins.

    The method's point is what M-RoPE models do with the positions: in Qwen2-VL and Qwen2.5-VL each
    token's rotary frequencies are split over eight of its members (`position_hypotheses`,
    `rotary_sections` in this module). Elsewhere a token has its centre's position alone. Choose
    positions = repack for the clusters without it.
    """
    features = signals["feats_post"].cpu()
    n = len(features)
    near, notes = fitted("neighbours", neighbours, NEIGHBOURS, n, f"there are {n} tokens")
    centres, label = density_peaks(features, keep, neighbours=near)
    cluster = label.numpy()
    sizes = np.bincount(cluster, minlength=keep)
    return Reduction.from_entries(
        cluster, np.arange(len(cluster)), 1 / sizes[cluster], len(cluster), keep, centres.numpy(),
        order=centres, notes=notes,
    )  # fmt: skip


def position_hypotheses(reduction: Reduction, count: int = 8) -> np.ndarray:
    """Return int64 [m, count], the source tokens whose positions each output token keeps.

    Members are taken from the last one backwards, over and over until there are enough, as the
    official code does; the paper takes those closest to the centre first.
    """
    starts = np.searchsorted(reduction.rows, np.arange(reduction.m + 1))
    found = np.empty((reduction.m, count), np.int64)
    for row, (start, end) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
        members = reduction.cols[start:end][::-1]
        found[row] = np.resize(members if len(members) else reduction.position[row], count)
    return found


def rotary_sections(sections: tuple[int, ...], count: int = 8) -> list[int]:
    """Return how many rotary frequencies each hypothesis gets, axis after axis (t, h, w).

    Args:
        sections: frequencies of each axis, such as (16, 24, 24).
        count: hypotheses per token; must divide every section, else they alternate frequency by
            frequency and every entry is 1.
    """
    if count < 1:
        raise InputError(f"a token needs at least 1 position, got {count}.")
    if any(section % count for section in sections):
        return [1] * sum(sections)
    return [section // count for section in sections for _ in range(count)]
