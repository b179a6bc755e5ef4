"""From the output token of each token to a Reduction and its group sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch


def token_sizes(signals: Signals) -> torch.Tensor:
    """Return the number of patches of each current token [n]; ones if the signals do not say."""
    return signals["sizes"] if "sizes" in signals else torch.ones(signals.n or 0)


def original_numbers(signals: Signals) -> torch.Tensor:
    """Return the original number of each current token [n]; 0..n-1 if the signals do not say."""
    return signals["index"] if "index" in signals else torch.arange(signals.n or 0)


def merge_labels(
    label: torch.Tensor, weight: torch.Tensor, number: torch.Tensor, **provenance: Any
) -> Reduction:
    """Return the reduction in which tokens with the same label become their weighted mean.

    Args:
        label: int64 [n], output token of each token, 0 to m - 1 without gaps; -1 drops it.
        weight: [n], positive weight of each token in its group.
        number: int64 [n], original numbers; the lowest one of a group becomes its representative.
        **provenance: fields of Reduction.

    Returns:
        A Reduction whose rows sum to 1.
    """
    rows, weights = label.cpu().numpy(), weight.double().cpu().numpy()
    kept = np.flatnonzero(rows >= 0)
    m = int(rows.max(initial=-1)) + 1
    total = np.bincount(rows[kept], weights[kept], minlength=m)
    position = np.zeros(m, np.int64)
    by_number = kept[np.argsort(-number.cpu().numpy()[kept], kind="stable")]
    position[rows[by_number]] = by_number  # the lowest number is written last and stays
    return Reduction.from_entries(
        rows[kept], kept, weights[kept] / total[rows[kept]], len(rows), m, position, **provenance
    )


def merged_sizes(reduction: Reduction, sizes: np.ndarray) -> np.ndarray:
    """Return the sizes of the output tokens [m]; the sizes of tokens that are not removed add up.

    The size of a token with several output tokens is divided in proportion to its weights.

    Args:
        reduction: W [m, n].
        sizes: [n], number of patches of each token.
    """
    weights = np.abs(reduction.weights.astype(np.float64))
    spread = np.bincount(reduction.cols, weights, minlength=reduction.n)
    share = np.asarray(sizes, np.float64)[reduction.cols] * weights / spread[reduction.cols]
    return np.bincount(reduction.rows, share, minlength=reduction.m)
