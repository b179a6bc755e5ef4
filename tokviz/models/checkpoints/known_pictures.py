"""Is a picture like those that a checkpoint learned from? A Gaussian over tower features.

A checkpoint folder may hold ``known_pictures.npz``: mean and inverse covariance of the mean state
of a quarter of a picture in the feature layer, over training pictures, and a limit. A picture is
unlike them when one of its quarters is further out (Mahalanobis distance, as in Lee et al., 2018,
1807.03888) than in nearly all pictures of the training world. The embedded model brings the file;
checkpoints without it are never judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokviz.errors import ModelError

FILE = "known_pictures.npz"
LARGEST = 50_000_000
"""Bytes of the file at most."""


@dataclass(frozen=True)
class KnownPictures:
    """The pictures that a model learned from, as its tower saw them."""

    mean: Tensor
    """[d], of the mean state of a quarter of a picture."""
    precision: Tensor
    """Inverse of its covariance, [d, d]."""
    limit: float
    """Largest distance of a known picture, in standard deviations."""
    what: str
    """What they show, in the plural."""

    def distance(self, patches: Tensor) -> Tensor:
        """Measure how far the farthest quarter of a picture lies out.

        Args:
            patches: states of the feature layer, [b, rows, columns, d], at least 2 x 2.

        Returns:
            [b], in standard deviations.
        """
        off = quarters(patches).to(self.mean) - self.mean
        squares = (off @ self.precision * off).sum(-1)  # [b, 4, d] -> [b, 4]
        return squares.clamp(min=0).sqrt().amax(1)

    def knows(self, patches: Tensor) -> Tensor:
        """Tell which pictures are like those of training, [b] bool; argument as `distance`."""
        return self.distance(patches) <= self.limit

    def save(self, folder: Path) -> None:
        """Write the file into a checkpoint's folder."""
        np.savez_compressed(
            folder / FILE,
            mean=self.mean,
            precision=self.precision,
            limit=np.array(self.limit),
            what=np.array(self.what),
        )


def quarters(patches: Tensor) -> Tensor:
    """Return the mean state of each quarter, [b, 4, d] of [b, rows, columns, d]."""
    _, rows, columns, _ = patches.shape
    halves = [part for half in patches.split([rows // 2, rows - rows // 2], 1)
              for part in half.split([columns // 2, columns - columns // 2], 2)]  # fmt: skip
    return torch.stack([part.mean((1, 2)) for part in halves], 1)


def read_known_pictures(folder: Path, width: int) -> KnownPictures | None:
    """Return what a checkpoint's folder says of its pictures; None where it says nothing.

    Args:
        folder: of the checkpoint.
        width: of the vision tower's states.

    Raises:
        ModelError: the file is damaged or of another tower.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    shapes = {"mean": (width,), "precision": (width, width), "limit": ()}
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST / 1e6:g} MB")
        with np.load(file, allow_pickle=False) as held:
            found = {name: _numbers(held[name], shape) for name, shape in shapes.items()}
            what = str(held["what"])[:80]
    except Exception as error:  # a file of a stranger, read by numpy and zipfile
        raise ModelError(f"its {FILE} cannot be used ({error}): remove the file.") from error
    return KnownPictures(found["mean"], found["precision"], float(found["limit"]), what)


def _numbers(array: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    if array.shape != shape:
        raise ValueError(f"an array of {array.shape} stands where {shape} is expected")
    return torch.from_numpy(array.astype(np.float32))
