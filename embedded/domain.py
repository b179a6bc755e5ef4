"""Is a picture one of the rendered scenes that model 2 knows? A Gaussian over [CLS].

The feature layer's [CLS] of training scenes has a mean and a covariance; a picture whose [CLS] lies
further out than nearly all scenes (Mahalanobis distance) is none of them. The limit is set on
validation scenes, at the distance that one in a hundred exceeds.
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

QUANTILE = 0.99
SHRINKAGE = 0.05
"""How far the covariance is drawn to a ball, against directions that no scene used."""


@dataclass(frozen=True)
class Domain:
    """What scenes look like to the tower."""

    mean: Tensor
    """[d]."""
    precision: Tensor
    """Inverse of the covariance, [d, d]."""
    limit: float
    """Largest distance of a known picture."""

    def distance(self, vectors: Tensor) -> Tensor:
        """Measure how far vectors [b, d] lie out, [b]."""
        off = vectors - self.mean
        return torch.einsum("bi,ij,bj->b", off, self.precision, off).clamp(min=0).sqrt()

    def knows(self, vectors: Tensor) -> Tensor:
        """Tell which pictures are scenes, [b] bool."""
        return self.distance(vectors) <= self.limit


@torch.no_grad()
def summarise(model: LlavaForConditionalGeneration, images: Sequence[Image.Image]) -> Tensor:
    """See pictures of any size as the processor shows them: feature layer's [CLS], [b, d]."""
    number = model.config.vision_feature_layer
    found = []
    for start in range(0, len(images), 8):
        pixels = np.stack([np.asarray(fit(image)) for image in images[start : start + 8]])
        out = model.model.vision_tower(
            to_pixel_values(torch.from_numpy(pixels)), output_hidden_states=True
        )
        found.append(out.hidden_states[number][:, 0])
    return torch.cat(found)


def fit(image: Image.Image) -> Image.Image:
    """Scale the shortest edge to 192 pixels and cut out the centre."""
    image = image.convert("RGB")
    scale = SIDE / min(image.size)
    image = image.resize([max(SIDE, round(edge * scale)) for edge in image.size], Image.BICUBIC)
    left, top = ((edge - SIDE) // 2 for edge in image.size)
    return image.crop((left, top, left + SIDE, top + SIDE))


def learn(model: LlavaForConditionalGeneration, training: int = 800, limits: int = 400) -> Domain:
    """Learn the domain from training scenes, and its limit from validation scenes."""
    vectors = summarise(model, scenes("train", training, first=9 * 10**8))
    mean = vectors.mean(0)
    covariance = torch.cov(vectors.T)
    ball = torch.eye(len(mean)) * covariance.diagonal().mean()
    precision = torch.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * ball)
    domain = Domain(mean, precision, 0.0)
    distances = domain.distance(summarise(model, scenes("val", limits, first=10**6)))
    return Domain(mean, precision, torch.quantile(distances, QUANTILE).item())


def scenes(split: str, count: int, first: int = 0) -> list[Image.Image]:
    """Draw scenes of the varied world."""
    return [scene(seed, split, world=VARIED).image for seed in range(first, first + count)]


def photographs() -> list[Image.Image]:
    """Read scikit-image's photographs that no background was made of, whole and in four parts."""
    from skimage import data  # noqa: PLC0415 - for measuring only

    names = ("astronaut", "camera", "cat", "coins", "rocket", "moon", "page", "text", "clock",
             "colorwheel", "retina")  # fmt: skip
    whole = [Image.fromarray(np.asarray(getattr(data, name)())).convert("RGB") for name in names]
    left, right, _ = data.stereo_motorcycle() if hasattr(data, "stereo_motorcycle") else ((), (), 0)
    whole += [Image.fromarray(side) for side in (left, right) if len(side)]
    return whole + [part for image in whole for part in quarters(image)]


def quarters(image: Image.Image) -> list[Image.Image]:
    """Cut an image into its four quarters."""
    width, height = image.size
    middle = [(0, width // 2, width), (0, height // 2, height)]
    return [
        image.crop((middle[0][i], middle[1][j], middle[0][i + 1], middle[1][j + 1]))
        for j in (0, 1) for i in (0, 1)
    ]  # fmt: skip


def measure(model: LlavaForConditionalGeneration, tests: int = 400, **sizes: int) -> dict:
    """Measure false alarms on test scenes and how many photographs are caught."""
    domain = learn(model, **sizes)
    known = domain.knows(summarise(model, scenes("test", tests, first=10**6)))
    photos = domain.knows(summarise(model, photographs()))
    return {
        "false_alarms": round(1 - known.float().mean().item(), 4),
        "scenes": tests,
        "photographs_caught": round(1 - photos.float().mean().item(), 4),
        "photographs": len(photos),
    }
