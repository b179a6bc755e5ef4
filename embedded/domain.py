"""Is a picture one of the rendered scenes that model 2 knows? Two Gaussians over tower features.

The feature layer's [CLS] of training scenes has a mean and a covariance, and so have its patches. A
picture lies outside when its [CLS], or a tenth of its patches, are further out (Mahalanobis
distance) than in nearly all scenes. The limits are set on validation scenes: one in two hundred
exceeds each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from embedded.batches import to_pixel_values
from embedded.world import SIDE, VARIED, scene

QUANTILE = 0.995
SHRINKAGE = 0.05
"""How far a covariance is drawn to a ball, against directions that no scene used."""
FAR = 0.9
"""Quantile of a picture's patch distances that counts."""


@dataclass(frozen=True)
class Gaussian:
    """Where vectors of one sort lie."""

    mean: Tensor
    """[d]."""
    precision: Tensor
    """Inverse of the covariance, [d, d]."""

    @classmethod
    def of(cls, vectors: Tensor) -> "Gaussian":
        """Fit to vectors [n, d]."""
        covariance = torch.cov(vectors.T)
        ball = torch.eye(len(covariance)) * covariance.diagonal().mean()
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * ball
        return cls(vectors.mean(0), torch.linalg.inv(shrunk))

    def distance(self, vectors: Tensor) -> Tensor:
        """Measure how far vectors [..., d] lie out."""
        off = vectors - self.mean
        return torch.einsum("...i,ij,...j->...", off, self.precision, off).clamp(min=0).sqrt()


@dataclass(frozen=True)
class Domain:
    """What scenes look like to the tower."""

    cls: Gaussian
    """Of [CLS]."""
    patch: Gaussian
    """Of patches."""
    limits: Tensor
    """Largest signals of a known picture, [2]."""

    def signals(self, hidden: Tensor) -> Tensor:
        """Measure how far pictures lie out, [b, 2] of features [b, 1 + n, d]."""
        far = self.patch.distance(hidden[:, 1:]).quantile(FAR, dim=1)
        return torch.stack([self.cls.distance(hidden[:, 0]), far], 1)

    def knows(self, hidden: Tensor) -> Tensor:
        """Tell which pictures are scenes, [b] bool."""
        return (self.signals(hidden) <= self.limits).all(1)


@torch.no_grad()
def see(model: LlavaForConditionalGeneration, images: Sequence[Image.Image]) -> Tensor:
    """See pictures of any size as the processor shows them: feature layer, [b, 1 + n, d]."""
    number = model.config.vision_feature_layer
    found = []
    for start in range(0, len(images), 8):
        pixels = np.stack([np.asarray(fit(image)) for image in images[start : start + 8]])
        out = model.model.vision_tower(
            to_pixel_values(torch.from_numpy(pixels)), output_hidden_states=True
        )
        found.append(out.hidden_states[number])
    return torch.cat(found)


def fit(image: Image.Image) -> Image.Image:
    """Scale the shortest edge to 192 pixels and cut out the centre."""
    image = image.convert("RGB")
    scale = SIDE / min(image.size)
    image = image.resize([max(SIDE, round(edge * scale)) for edge in image.size], Image.BICUBIC)
    left, top = ((edge - SIDE) // 2 for edge in image.size)
    return image.crop((left, top, left + SIDE, top + SIDE))


def learn(model: LlavaForConditionalGeneration, training: int = 800, limits: int = 400) -> Domain:
    """Learn the domain from training scenes, and its limits from validation scenes."""
    known = see(model, scenes("train", training, first=9 * 10**8))
    domain = Domain(
        Gaussian.of(known[:, 0]), Gaussian.of(known[:, 1::7].flatten(0, 1)), torch.zeros(2)
    )
    signals = domain.signals(see(model, scenes("val", limits, first=10**6)))
    return Domain(domain.cls, domain.patch, signals.quantile(QUANTILE, dim=0))


def scenes(split: str, count: int, first: int = 0) -> list[Image.Image]:
    """Draw scenes of the varied world."""
    return [scene(seed, split, world=VARIED).image for seed in range(first, first + count)]


def photographs() -> list[Image.Image]:
    """Read scikit-image's photographs that no background was made of."""
    from skimage import data  # noqa: PLC0415 - for measuring only

    names = ("astronaut", "camera", "cat", "coins", "rocket", "moon", "clock", "retina")
    images = [Image.fromarray(np.asarray(getattr(data, name)())) for name in names]
    left, right, _ = data.stereo_motorcycle()
    return [
        image.convert("RGB") for image in (*images, Image.fromarray(left), Image.fromarray(right))
    ]


def quarters(image: Image.Image) -> list[Image.Image]:
    """Cut an image into its four quarters."""
    width, height = image.size
    columns, rows = (0, width // 2, width), (0, height // 2, height)
    return [
        image.crop((columns[i], rows[j], columns[i + 1], rows[j + 1]))
        for j in (0, 1)
        for i in (0, 1)
    ]


def measure(model: LlavaForConditionalGeneration, tests: int = 400, **sizes: int) -> dict:
    """Measure false alarms on test scenes and how many photographs are caught."""
    domain = learn(model, **sizes)
    known = domain.knows(see(model, scenes("test", tests, first=10**6)))
    whole = photographs()
    parts = [part for image in whole for part in quarters(image)]
    found = {"false_alarms": round(1 - known.float().mean().item(), 4), "scenes": tests}
    for name, images in (("photographs", whole), ("quarters", parts)):
        caught = 1 - domain.knows(see(model, images)).float().mean().item()
        found |= {f"{name}_caught": round(caught, 4), name: len(images)}
    return found
