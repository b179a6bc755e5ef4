"""Is a picture like those that a checkpoint learned from? Two Gaussians over tower features.

A checkpoint folder may hold ``known_pictures.npz``: mean and inverse covariance of the feature
layer's [CLS] state and of its patch states over training pictures, and limits. A picture is unlike
them when its [CLS], or a tenth of its patches, are further out (Mahalanobis distance, as in Lee et
al., 2018, 1807.03888) than in nearly all pictures of the training world. The embedded model brings
the file; checkpoints without it are never judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokviz.errors import ModelError

FILE = "known_pictures.npz"
FAR = 0.9
"""Quantile of a picture's patch distances that counts."""
LARGEST = 50_000_000
"""Bytes of the file at most."""


@dataclass(frozen=True)
class Gaussian:
    """Where vectors of one sort lie."""

    mean: Tensor
    """[d]."""
    precision: Tensor
    """Inverse of the covariance, [d, d]."""

    def distance(self, vectors: Tensor) -> Tensor:
        """Measure how far vectors [..., d] lie out, in standard deviations."""
        off = vectors.to(self.mean) - self.mean
        return torch.einsum("...i,ij,...j->...", off, self.precision, off).clamp(min=0).sqrt()


@dataclass(frozen=True)
class KnownPictures:
    """The pictures that a model learned from, as its tower saw them."""

    cls: Gaussian
    """Of the [CLS] state."""
    patch: Gaussian
    """Of patch states."""
    limits: Tensor
    """Largest distances of a known picture, [2]: of [CLS], of its patches."""
    what: str
    """What they show, in the plural."""

    def distances(self, cls: Tensor, patches: Tensor) -> Tensor:
        """Measure how far pictures lie out.

        Args:
            cls: feature layer's [CLS] states, [b, d].
            patches: its patch states, [b, n, d].

        Returns:
            [b, 2]: distance of [CLS], and the distance that a tenth of the patches exceed.
        """
        far = self.patch.distance(patches).quantile(FAR, dim=1)
        return torch.stack([self.cls.distance(cls), far], 1)

    def knows(self, cls: Tensor, patches: Tensor) -> Tensor:
        """Tell which pictures are like those of training, [b] bool; arguments as `distances`."""
        return (self.distances(cls, patches) <= self.limits).all(1)

    def save(self, folder: Path) -> None:
        """Write the file into a checkpoint's folder."""
        np.savez_compressed(
            folder / FILE,
            cls_mean=self.cls.mean,
            cls_precision=self.cls.precision,
            patch_mean=self.patch.mean,
            patch_precision=self.patch.precision,
            limits=self.limits,
            what=np.array(self.what),
        )


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
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST / 1e6:g} MB")
        with np.load(file, allow_pickle=False) as held:
            found = {name: _numbers(held[name], shape) for name, shape in shapes(width).items()}
            what = str(held["what"])[:80]
    except Exception as error:  # a file of a stranger, read by numpy and zipfile
        raise ModelError(f"its {FILE} cannot be used ({error}): remove the file.") from error
    cls = Gaussian(found["cls_mean"], found["cls_precision"])
    patch = Gaussian(found["patch_mean"], found["patch_precision"])
    return KnownPictures(cls, patch, found["limits"], what)


def shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the file's arrays for a tower of this width."""
    square = (width, width)
    return {
        "cls_mean": (width,),
        "cls_precision": square,
        "patch_mean": (width,),
        "patch_precision": square,
        "limits": (2,),
    }


def _numbers(array: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    if array.shape != shape:
        raise ValueError(f"an array of {array.shape} stands where {shape} is expected")
    return torch.from_numpy(array.astype(np.float32))
