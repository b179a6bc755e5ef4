"""Is a picture one of the rendered scenes that a model knows? Fits what the lab then asks.

``python -m embedded.domain FOLDER`` learns how training scenes look to the tower of an exported
model, sets the limit on validation scenes (three in two hundred exceed it), writes
known_pictures.npz (see `tokviz.models.checkpoints.known_pictures`), and measures false alarms on
test scenes and how many photographs are caught.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from embedded.batches import to_pixel_values
from embedded.world import SIDE, VARIED, WORLDS, World, scene
from tokviz.models.checkpoints.known_pictures import KnownPictures
from tokviz.models.checkpoints.known_pictures import quarters as quarters_of

QUANTILE = 0.985
SHRINKAGE = 0.05
"""How far a covariance is drawn to a ball, against directions that no scene used."""


@torch.no_grad()
def see(model: LlavaForConditionalGeneration, images: Sequence[Image.Image]) -> Tensor:
    """See pictures of any size as the processor shows them: patches of the feature layer.

    Returns:
        [b, rows, columns, d].
    """
    number = model.config.vision_feature_layer
    found = []
    for start in range(0, len(images), 8):
        pixels = np.stack([np.asarray(fit(image)) for image in images[start : start + 8]])
        out = model.model.vision_tower(
            to_pixel_values(torch.from_numpy(pixels)), output_hidden_states=True
        )
        found.append(out.hidden_states[number][:, 1:])
    patches = torch.cat(found)
    side = math.isqrt(patches.shape[1])
    return patches.unflatten(1, (side, side))


def fit(image: Image.Image) -> Image.Image:
    """Scale the shortest edge to 192 pixels and cut out the centre."""
    image = image.convert("RGB")
    scale = SIDE / min(image.size)
    image = image.resize([max(SIDE, round(edge * scale)) for edge in image.size], Image.BICUBIC)
    left, top = ((edge - SIDE) // 2 for edge in image.size)
    return image.crop((left, top, left + SIDE, top + SIDE))


def learn(
    model: LlavaForConditionalGeneration,
    training: int = 800,
    limits: int = 400,
    world: World = VARIED,
) -> KnownPictures:
    """Learn from training scenes of a world, and set the limit on its validation scenes."""
    vectors = quarters_of(see(model, scenes("train", training, 9 * 10**8, world))).flatten(0, 1)
    covariance = torch.cov(vectors.T)
    ball = torch.eye(len(covariance)) * covariance.diagonal().mean()
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * ball
    mean, precision = vectors.mean(0), torch.linalg.inv(shrunk)
    known = KnownPictures(mean, precision, 0.0, "small rendered scenes")
    distances = known.distance(see(model, scenes("val", limits, 10**6, world)))
    return replace(known, limit=distances.quantile(QUANTILE).item())


def scenes(split: str, count: int, first: int, world: World) -> list[Image.Image]:
    """Draw scenes of a world."""
    return [scene(seed, split, world=world).image for seed in range(first, first + count)]


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


def measure(
    model: LlavaForConditionalGeneration, tests: int = 400, world: World = VARIED, **sizes: int
) -> dict:
    """Measure false alarms on test scenes and how many photographs are caught."""
    return measure_with(learn(model, world=world, **sizes), model, tests, world)


def measure_with(
    known: KnownPictures, model: LlavaForConditionalGeneration, tests: int, world: World
) -> dict:
    """Measure what was learned, on pictures that had no part in it."""

    def caught(images: Sequence[Image.Image]) -> float:
        return round(1 - known.knows(see(model, images)).float().mean().item(), 4)

    whole = photographs()
    parts = [part for image in whole for part in quarters(image)]
    found = {"false_alarms": caught(scenes("test", tests, 10**6, world)), "scenes": tests}
    for name, images in (("photographs", whole), ("quarters", parts)):
        found |= {f"{name}_caught": caught(images), name: len(images)}
    return found


def main() -> None:
    """Write a folder's known_pictures.npz and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="an exported model")
    parser.add_argument("--world", choices=WORLDS, default="varied")
    options = parser.parse_args()
    model = LlavaForConditionalGeneration.from_pretrained(options.folder, dtype=torch.float32)
    world = WORLDS[options.world]
    known = learn(model.eval(), world=world)
    known.save(options.folder)
    print(json.dumps(measure_with(known, model, 400, world)))  # noqa: T201


if __name__ == "__main__":
    main()
