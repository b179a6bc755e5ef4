"""Is a map large at the right place, if the right place is known?

Pointing game, energy inside the region, and the scores of the Token Activation Map paper: the
overlap of a noun's map with its object at Otsu's threshold, and how low the maps of function words
are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokviz.errors import InputError
from tokviz.trace.layout import Layout


def tokens_inside(layout: Layout, boxes: Sequence[Sequence[float]], image: int = 0) -> np.ndarray:
    """Return the visual tokens whose centre is in a region, bool [n].

    Args:
        layout: the places of the tokens.
        boxes: x0, y0, x1, y1 in pixels of the original image; the region is their union.
        image: the image of the boxes.
    """
    box = layout.box
    x, y = (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2
    inside = np.zeros(layout.n, bool)
    for x0, y0, x1, y1 in boxes:
        inside |= (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return inside & (layout.image == image)


def pointing_hit(importance: np.ndarray, region: np.ndarray) -> bool:
    """Return whether the largest value is in the region (the first of equal ones)."""
    return bool(region.ravel()[int(np.argmax(importance))])


def pointing_energy(importance: np.ndarray, region: np.ndarray) -> float:
    """Return the share of the map's sum that lies in the region; 0 for an empty map.

    Raises:
        InputError: the map has negative values, for which a share is not defined.
    """
    if np.min(importance, initial=0) < 0:
        raise InputError("energy needs a map without negative values.")
    total = float(np.sum(importance))
    return float(np.sum(importance[region])) / total if total > 0 else 0.0


def otsu_threshold(values: np.ndarray) -> float:
    """Return Otsu's threshold of a map: the largest variance between the two classes.

    Values above the threshold are bright. A constant map gives its value: nothing is bright.
    """
    levels, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    if len(levels) < 2:
        return float(levels[0]) if len(levels) else 0.0
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sum_below = np.cumsum(counts * levels)[:-1]
    sum_above = (counts * levels).sum() - sum_below
    above = total - below
    between = below * above * (sum_below / below - sum_above / above) ** 2
    return float(levels[int(between.argmax())])


def overlap(importance: np.ndarray, region: np.ndarray) -> dict[str, float]:
    """Compare the bright part of a map (above Otsu's threshold) with a region.

    Returns:
        iou, precision and recall; 0 if nothing is bright or the region is empty.
    """
    bright = importance > otsu_threshold(importance)
    both = float((bright & region).sum())
    sizes = {
        "iou": (bright | region).sum(),
        "precision": bright.sum(),
        "recall": region.sum(),
    }
    return {name: both / float(size) if size else 0.0 for name, size in sizes.items()}
