"""Scenes of a film: stretches of frames, from a group number for each frame."""

from __future__ import annotations

import numpy as np

Scene = tuple[int, int]
"""First and last frame."""
OPEN = -1
"""A frame that is still to join a neighbour."""


def runs_of(label: np.ndarray) -> list[Scene]:
    """Return the stretches of frames with the same label."""
    cuts = np.flatnonzero(label[1:] != label[:-1])
    firsts, lasts = [0, *(cuts + 1)], [*cuts, len(label) - 1]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


def joined_scenes(group: np.ndarray) -> np.ndarray:
    """Return the groups of frames in which each stretch is a group's longest, int64 [frames].

    Shorter stretches of a group, and groups of single frames, join the neighbouring stretch that is
    longer; of equal ones the left. The rule is PruneVid's.

    Args:
        group: int [frames], from a clustering.
    """
    label = np.array(group, np.int64)
    longest: dict[int, int] = {}
    stretches = runs_of(group)
    for first, last in stretches:
        own = int(group[first])
        longest[own] = max(longest.get(own, 0), last - first + 1)
    for first, last in stretches:
        most = longest[int(group[first])]
        if most == 1 or last - first + 1 < most:
            label[first : last + 1] = OPEN
    for first, last in runs_of(label):
        if label[first] == OPEN:
            label[first : last + 1] = neighbour(label, first, last)
    return label


def neighbour(label: np.ndarray, first: int, last: int) -> int:
    """Return the label of the longer stretch beside frames `first` to `last`; 0 without one."""
    left = right = 0
    while first - left > 0 and label[first - left - 1] == label[first - 1]:
        left += 1
    while last + right < len(label) - 1 and label[last + right + 1] == label[last + 1]:
        right += 1
    if not left and not right:
        return 0
    return int(label[first - 1] if left >= right else label[last + 1])
