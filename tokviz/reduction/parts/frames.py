"""The tokens of a decision as frames of a film: which token of the frame before is at its place."""

from __future__ import annotations

import numpy as np

from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch


def frames_of(signals: Signals) -> np.ndarray:
    """Return the number of each token's frame, int64 [n]; several crops count as frames."""
    return CropLayout.of(signals).tile


def members(frame: np.ndarray, count: int) -> list[np.ndarray]:
    """Return the tokens of each frame."""
    return [np.flatnonzero(frame == number) for number in range(count)]


def before(signals: Signals, back: int = 1) -> np.ndarray:
    """Return the token at the same place in an earlier frame, int64 [n]; -1 where none is.

    None is in the first frames, or where an earlier step removed it, or where frames differ in
    size.

    Args:
        signals: of the decision.
        back: how many frames earlier.
    """
    layout = CropLayout.of(signals)
    known = {
        (int(frame), int(cell)): token
        for token, (frame, cell) in enumerate(zip(layout.tile, layout.cell, strict=True))
    }
    pairs = zip(layout.tile.tolist(), layout.cell.tolist(), strict=True)
    same = [
        known.get((frame - back, cell), -1) if _alike(layout, frame, back) else -1
        for frame, cell in pairs
    ]
    return np.array(same, np.int64)


def change_since(
    signals: Signals, features: torch.Tensor, back: int = 1, new: float = 2.0
) -> np.ndarray:
    """Return 1 - cosine of each token and the one at its place in an earlier frame, float32 [n].

    Args:
        signals: of the decision.
        features: [n, d].
        back: how many frames earlier.
        new: change of a token that has none there; 2 is the largest difference of two tokens.
    """
    at = before(signals, back)
    other = features[torch.as_tensor(at.clip(0), device=features.device)]
    change = 1 - torch.nn.functional.cosine_similarity(features, other, dim=-1)
    return np.where(at >= 0, change.cpu().numpy(), np.float32(new))


def by_place(signals: Signals) -> np.ndarray:
    """Return the token at each place of each frame, int64 [frames, places]; -1 where none is.

    Frames of other sizes fill only their first places.
    """
    layout = CropLayout.of(signals)
    table = np.full((len(layout.crops), max(crop.size for crop in layout.crops)), -1)
    table[layout.tile, layout.cell] = np.arange(len(layout.tile))
    return table


def _alike(layout: CropLayout, frame: int, back: int) -> bool:
    """Return whether a frame and an earlier one have the same grid."""
    if frame < back:
        return False
    one, other = layout.crops[frame], layout.crops[frame - back]
    return (one.rows, one.cols) == (other.rows, other.cols)
