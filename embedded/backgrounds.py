"""What is behind the things? Plain colours, gradients, textures and pieces of photographs.

The first world knows gradients only, so that a bare patch is nearly empty. In the varied world a
bare patch may hold stripes, blobs or a piece of a photograph, and telling it from a thing takes
some looking. ``python -m embedded.backgrounds`` packs the photographs once from scikit-image.
"""

import random
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).parents[1] / "assets" / "things" / "backgrounds.png"
SOURCES = ("brick", "grass", "gravel", "coffee", "hubble_deep_field", "immunohistochemistry")
"""Photographs of scikit-image without copyright restrictions and without anything to name."""
PIECE = 128
"""Side of a packed photograph in pixels."""


def draw_gradient(rng: random.Random, side: int) -> np.ndarray:
    """Draw a gradient between two soft colours with noise, [side, side, 3] uint8."""
    corners = np.array([[rng.randint(150, 255) for _ in range(3)] for _ in range(2)])
    angle = rng.uniform(0, 2 * np.pi)
    axis = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    ramp = np.clip(0.5 + axis[None] * np.cos(angle) + axis[:, None] * np.sin(angle), 0, 1)
    noise = np.random.default_rng(rng.getrandbits(32)).integers(-8, 9, (side, side, 1))
    picture = corners[0] + ramp[..., None] * (corners[1] - corners[0]) + noise
    return np.clip(picture, 0, 255).astype(np.uint8)


def draw_plain(rng: random.Random, side: int) -> np.ndarray:
    """Draw one soft colour."""
    colour = [rng.randint(120, 255) for _ in range(3)]
    return np.full((side, side, 3), colour, dtype=np.uint8)


def draw_texture(rng: random.Random, side: int) -> np.ndarray:
    """Draw stripes, checks or soft blobs between two colours that are not far apart."""
    first = np.array([rng.randint(110, 245) for _ in range(3)], dtype=np.float32)
    second = np.clip(first + [rng.randint(-70, 70) for _ in range(3)], 60, 255)
    mix = rng.choice((stripes, checks, blobs))(rng, side)[..., None]
    return np.clip(first + mix * (second - first), 0, 255).astype(np.uint8)


def stripes(rng: random.Random, side: int) -> np.ndarray:
    """Mix two colours in waves of 6 to 40 of 192 pixels, [side, side] in 0 to 1."""
    angle, waves = rng.uniform(0, np.pi), 192 / rng.uniform(6, 40)
    axis = np.arange(side, dtype=np.float32) / side * 2 * np.pi * waves
    return 0.5 + 0.5 * np.sin(axis[None] * np.cos(angle) + axis[:, None] * np.sin(angle))


def checks(rng: random.Random, side: int) -> np.ndarray:
    """Mix two colours in squares of 8 to 40 of 192 pixels."""
    square = rng.uniform(8, 40) * side / 192
    line = (np.arange(side) // square) % 2
    return (line[None] != line[:, None]).astype(np.float32)


def blobs(rng: random.Random, side: int) -> np.ndarray:
    """Mix two colours by smooth noise, 4 to 24 blobs along a side."""
    coarse = np.random.default_rng(rng.getrandbits(32)).random((rng.randint(4, 24),) * 2)
    image = Image.fromarray((coarse * 255).astype(np.uint8))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255


def draw_photo(rng: random.Random, side: int) -> np.ndarray:
    """Draw a piece of a photograph, faded so that things stand out, sometimes mirrored."""
    photo = rng.choice(load_photos())
    size = rng.randint(PIECE // 2, PIECE)
    left, top = rng.randint(0, PIECE - size), rng.randint(0, PIECE - size)
    piece = photo.crop((left, top, left + size, top + size))
    if rng.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    grain = np.asarray(piece.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    veil = np.array([rng.randint(130, 240) for _ in range(3)], dtype=np.float32)
    strength = rng.uniform(0.35, 0.7)
    return np.clip(veil + strength * (grain - grain.mean((0, 1))), 0, 255).astype(np.uint8)


@cache
def load_photos(path: Path = PHOTOS) -> tuple[Image.Image, ...]:
    """Read the packed photographs, PIECE x PIECE pixels each."""
    strip = Image.open(path).convert("RGB")
    return tuple(strip.crop((x, 0, x + PIECE, PIECE)) for x in range(0, strip.width, PIECE))


KINDS = {"gradient": draw_gradient, "plain": draw_plain, "texture": draw_texture,
         "photo": draw_photo}  # fmt: skip
"""How each kind of background is drawn: random numbers, side, to [side, side, 3] uint8."""


def pack_photos() -> Image.Image:
    """Put one piece of every source beside the others, six bits a channel."""
    from skimage import data  # noqa: PLC0415 - for this command only

    strip = Image.new("RGB", (PIECE * len(SOURCES), PIECE))
    for i, name in enumerate(SOURCES):
        photo = Image.fromarray(getattr(data, name)()).convert("RGB")
        edge = min(photo.size)
        square = photo.crop((0, 0, edge, edge)).resize((PIECE, PIECE), Image.Resampling.LANCZOS)
        strip.paste(square.point(lambda v: v & 252 | v >> 6), (PIECE * i, 0))
    return strip


if __name__ == "__main__":
    pack_photos().save(PHOTOS, optimize=True)
