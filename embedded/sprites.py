"""Renders and reads the atlas of sprites: the pictures of all things.

``python -m embedded.sprites FONT`` draws the atlas once from Noto Color Emoji (Debian package
fonts-noto-color-emoji); everything else reads assets/things/atlas.png and needs no font.
"""

import sys
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from embedded.things import COLOURS, GLYPHS, SHAPES

ATLAS = Path(__file__).parents[1] / "assets" / "things" / "atlas.png"
COLUMNS = 8
SPRITE = 72
"""Side of one sprite in the atlas, in pixels."""


def glyph(character: str, font: ImageFont.FreeTypeFont, side: int) -> Image.Image:
    """Draw one emoji, crop it to its ink and centre it on a transparent square.

    Args:
        character: the emoji, with its variation selector where it has one.
        font: Noto Color Emoji at its only size, 109.
        side: pixels of the square.
    """
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((10, 10), character, font=font, embedded_color=True)
    ink = canvas.crop(canvas.getchannel("A").getbbox())
    square = Image.new("RGBA", (max(ink.size),) * 2)
    square.paste(ink, tuple((max(ink.size) - s) // 2 for s in ink.size))
    # Six bits a channel are plenty behind the scenes' noise, and the file shrinks by a third.
    return square.resize((side, side), Image.Resampling.LANCZOS).point(lambda v: v & 252 | v >> 6)


def render_atlas(font_path: str, side: int = SPRITE) -> Image.Image:
    """Draw all emoji things row by row on one transparent image."""
    font = ImageFont.truetype(font_path, 109)
    rows = -(-len(GLYPHS) // COLUMNS)
    atlas = Image.new("RGBA", (COLUMNS * side, rows * side))
    for i, character in enumerate(GLYPHS.values()):
        atlas.paste(glyph(character, font, side), (i % COLUMNS * side, i // COLUMNS * side))
    return atlas


@cache
def load_atlas(path: Path = ATLAS) -> dict[str, Image.Image]:
    """Read the atlas and cut it into one RGBA sprite per name."""
    atlas = Image.open(path).convert("RGBA")
    side = atlas.width // COLUMNS
    corners = ((i % COLUMNS * side, i // COLUMNS * side) for i in range(len(GLYPHS)))
    return {
        name: atlas.crop((x, y, x + side, y + side))
        for name, (x, y) in zip(GLYPHS, corners, strict=True)
    }


def draw_shape(name: str, colour: str, side: int) -> Image.Image:
    """Draw a circle, square or triangle, smoothed by drawing it four times too large."""
    big = 4 * side
    canvas = Image.new("RGBA", (big, big), (*COLOURS[colour], 0))
    pen = ImageDraw.Draw(canvas)
    fill = (*COLOURS[colour], 255)
    if name == "circle":
        pen.ellipse((0, 0, big - 1, big - 1), fill=fill)
    elif name == "square":
        pen.rectangle((big * 0.06, big * 0.06, big * 0.94, big * 0.94), fill=fill)
    else:
        pen.polygon([(big / 2, big * 0.04), (0, big * 0.94), (big, big * 0.94)], fill=fill)
    return canvas.resize((side, side), Image.Resampling.BOX)


@lru_cache(maxsize=8192)
def sprite(
    name: str, colour: str | None, side: int, flip: bool, atlas: Path = ATLAS
) -> Image.Image:
    """Get a thing at a given size.

    Args:
        name: one of ``things.NAMES``.
        colour: one of ``things.COLOURS`` for a shape, None for an emoji thing.
        side: pixels of the square.
        flip: mirrored left to right.
        atlas: where the emoji sprites are.

    Returns:
        RGBA image of side x side pixels, shared between calls: do not draw on it.
    """
    if name in SHAPES:
        return draw_shape(name, colour, side)
    image = load_atlas(atlas)[name].resize((side, side), Image.Resampling.LANCZOS)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image


if __name__ == "__main__":
    ATLAS.parent.mkdir(parents=True, exist_ok=True)
    render_atlas(sys.argv[1]).save(ATLAS, optimize=True)
