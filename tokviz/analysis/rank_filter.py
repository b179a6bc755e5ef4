"""The rank Gaussian filter of the Token Activation Map, for many maps at once.

In each 3×3 window the sorted values are averaged with Gaussian weights around the middle rank. The
width of the Gaussian is the window's coefficient of variation: an even window gives its median, an
uneven one nearly its mean. A window of zeros gives 0. A window of equal values gives that value;
the reference divides by zero there.
"""

from __future__ import annotations

import numpy as np

LEAST_VARIATION = 1e-6
SORTING = (
    (0, 3), (1, 7), (2, 5), (4, 8), (0, 7), (2, 4), (3, 8), (5, 6), (0, 2), (1, 3), (4, 5), (7, 8),
    (1, 4), (3, 6), (5, 7), (0, 1), (2, 4), (3, 5), (6, 8), (2, 3), (4, 5), (6, 7), (1, 2), (3, 4),
    (5, 6),
)  # fmt: skip
"""A sorting network for nine values: comparing these pairs in this order sorts the nine planes of
all windows at once, many times faster than sorting each window."""


def rank_gaussian_filter(maps: np.ndarray) -> np.ndarray:
    """Smooth maps without smearing single bright pixels.

    Args:
        maps: [..., rows, cols], not negative; borders are reflected.

    Returns:
        float32 of the same shape.
    """
    rows, cols = maps.shape[-2:]
    flat = np.ascontiguousarray(maps, np.float32).reshape(-1, rows, cols)
    padded = np.pad(flat, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    # nine shifted views [maps, rows, cols], one per place of the 3x3 window
    planes = [padded[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3)]
    for low, high in SORTING:
        first, second = planes[low], planes[high]
        planes[low], planes[high] = np.minimum(first, second), np.maximum(first, second)
    smoothed = _around_the_median(planes)
    return smoothed.reshape(maps.shape)


def _around_the_median(planes: list[np.ndarray]) -> np.ndarray:
    """Return the weighted sum of nine sorted planes, 0 where all are 0."""
    mean = sum(planes[1:], planes[0]) / 9
    spread = np.zeros_like(mean)
    for plane in planes:
        spread += (plane - mean) ** 2
    variation = np.sqrt(spread / 9) / np.where(mean > 0, mean, 1)
    # Ranks at distance d from the median weigh exp(-d^2 / 2 variation^2) = one ** (d^2):
    # one, one^4, one^9, one^16 by products, since exp of a whole plane is slow.
    one = np.exp(-0.5 / np.maximum(variation, LEAST_VARIATION) ** 2)
    two = one * one
    four = two * two
    weights = (one, four, four * four * one, (four * four) ** 2)
    total, smoothed = np.ones_like(mean), planes[4].copy()
    for step, weight in enumerate(weights, 1):
        total += 2 * weight
        smoothed += weight * (planes[4 - step] + planes[4 + step])
    return np.where(mean > 0, smoothed / total, 0).astype(np.float32)
