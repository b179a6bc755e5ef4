"""The rank Gaussian filter of the Token Activation Map, for many maps at once.

In each 3×3 window the sorted values are averaged with Gaussian weights around the middle rank,
whose width is the window's coefficient of variation: an even window gives its median, an uneven
one nearly its mean. A window of zeros gives 0. A window without variation gives its value, where
the reference divides by zero.
"""

from __future__ import annotations

import numpy as np

LEAST_VARIATION = 1e-6


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
    windows = np.stack(
        [padded[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3)], axis=-1
    )
    windows.sort(axis=-1)
    mean = windows.mean(-1)
    variation = windows.std(-1) / np.where(mean > 0, mean, 1)
    one = np.exp(-0.5 / np.maximum(variation, LEAST_VARIATION) ** 2)
    weights = [one**distance for distance in (1, 4, 9, 16)]
    total, smoothed = 1 + 2 * sum(weights), windows[..., 4].copy()
    for step, weight in enumerate(weights, 1):
        smoothed += weight * (windows[..., 4 - step] + windows[..., 4 + step])
    smoothed = np.where(mean > 0, smoothed / total, 0).astype(np.float32)
    return smoothed.reshape(maps.shape)
