"""How concentrated is a map?"""

from __future__ import annotations

import numpy as np


def shares(values: np.ndarray) -> np.ndarray:
    """Return values / their sum along the last axis, float64; zeros where the sum is 0."""
    values = np.asarray(values, np.float64)
    total = values.sum(-1, keepdims=True)
    return values / np.where(total > 0, total, 1)


def entropy(values: np.ndarray) -> np.ndarray:
    """Return the entropy of maps over the entropy of an even map.

    Args:
        values: [..., n], not negative.

    Returns:
        float64 [...], 0 = all on one token (or nothing anywhere), 1 = even.
    """
    share = shares(values)
    nats = -(share * np.log(np.where(share > 0, share, 1))).sum(-1)
    return np.clip(nats / np.log(max(share.shape[-1], 2)), 0, 1)


def tokens_for_mass(values: np.ndarray, part: float) -> np.ndarray:
    """Return how many of the largest values together make up a part of the sum.

    Args:
        values: [..., n], not negative.
        part: 0 to 1.

    Returns:
        int64 [...]; 0 where the sum is 0.
    """
    # shares in falling order, added up: [..., n]; 1e-9 forgives the rounding of the sum
    cumulative = np.cumsum(-np.sort(-shares(values), -1), -1)
    enough = (cumulative < part - 1e-9).sum(-1) + 1
    return np.where(cumulative[..., -1] > 0, np.minimum(enough, cumulative.shape[-1]), 0)


def area_of_mass(values: np.ndarray, part: float) -> np.ndarray:
    """Return the share of tokens that make up a part of each map's sum, [...]."""
    return tokens_for_mass(values, part) / max(np.shape(values)[-1], 1)
