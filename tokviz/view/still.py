"""One view as a picture, without a browser: a map over the image, or the fate of each token.

It looks as on the page: pruned tokens are dark and hatched, merged tokens are dotted in the colour
of their group, and a line surrounds every area. All images and tiles are side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from PIL import Image, ImageOps
from plotly.colors import sequential

from tokviz.errors import InputError, TokvizError
from tokviz.images import PREVIEW_SIDE, open_image
from tokviz.matrix import KEPT, MERGED, PRUNED
from tokviz.trace import Trace
from tokviz.trace.layout import PATCH

OKABE_ITO = ("e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")
GREY = (141, 145, 153)
GAP = 8
SCALINGS = ("linear", "log", "rank")


def _rgb(codes: tuple[str, ...]) -> np.ndarray:
    rows = [[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in codes]
    return np.array(rows, dtype=np.float32)


def colours(share: np.ndarray) -> np.ndarray:
    """Return viridis colours [..., 3] in 0 to 255 of numbers in 0 to 1."""
    anchors = _rgb(tuple(code.lstrip("#") for code in sequential.Viridis))
    place = np.clip(share, 0, 1) * (len(anchors) - 1)
    left = np.minimum(place.astype(int), len(anchors) - 2)
    return anchors[left] + (anchors[left + 1] - anchors[left]) * (place - left)[..., None]


def cover(share: np.ndarray) -> np.ndarray:
    """Return how far a colour covers the picture, 0 to 1: low values let it show through."""
    return np.clip(share, 0, 1) ** 0.6


def scaled(values: np.ndarray, scaling: str = "linear", high: float | None = None) -> np.ndarray:
    """Return values [n] as shares in 0 to 1 of the colour scale; NaN stays NaN.

    Args:
        values: numbers; the scale starts at 0, or at the smallest value if that is negative.
        scaling: linear, log or rank.
        high: end of the scale; None = the largest value.

    Raises:
        InputError: an unknown scaling.
    """
    if scaling not in SCALINGS:
        raise InputError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}.")
    values = np.asarray(values, np.float32)
    if scaling == "rank":
        order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
        share = np.empty(len(values), np.float32)
        share[order] = np.linspace(1, 0, len(values))
        return np.where(np.isfinite(values), share, np.nan)
    low = min(0.0, float(np.nanmin(values, initial=0.0)))
    top = float(np.nanmax(values, initial=0.0)) if high is None else high
    share = np.clip((values - low) / (top - low if top > low else 1), 0, 1)
    return np.log1p(99 * share) / np.log(100) if scaling == "log" else share


@dataclass(frozen=True, eq=False)
class Sheet:
    """All panes of a run on one sheet."""

    pixels: np.ndarray
    "float32 [h, w, 3], the pictures alone."
    token: np.ndarray
    "int32 [h, w], token at each pixel, -1 = none."


def sheet(trace: Trace, side: int = 480) -> Sheet:
    """Lay out every image and tile of a run, each pane at most `side` pixels wide and high."""
    keys = list(dict.fromkeys((tile.image, tile.role) for tile in trace.layout.tiles))
    drawn = [_pane(trace, image, role, side) for image, role in keys]
    across = 1 if len(drawn) == 1 else 2 if len(drawn) <= 4 else ceil(sqrt(len(drawn)))
    wide = max(pane.token.shape[1] for pane in drawn)
    rows = [drawn[i : i + across] for i in range(0, len(drawn), across)]
    highs = [max(pane.token.shape[0] for pane in row) for row in rows]
    height, width = sum(highs) + GAP * (len(rows) - 1), across * wide + GAP * (across - 1)
    pixels, token = np.full((height, width, 3), 255, np.float32), np.full((height, width), -1)
    top = 0
    for row, high in zip(rows, highs, strict=True):
        for i, pane in enumerate(row):
            (h, w), left = pane.token.shape, i * (wide + GAP)
            pixels[top : top + h, left : left + w] = pane.pixels
            token[top : top + h, left : left + w] = pane.token
        top += high + GAP
    return Sheet(pixels, token.astype(np.int32))


def _pane(trace: Trace, image: int, role: str, side: int) -> Sheet:
    width, height = trace.layout.sizes[image]
    tiles = [i for i, t in enumerate(trace.layout.tiles) if (t.image, t.role) == (image, role)]
    corners = np.array([*(trace.layout.tiles[i].box for i in tiles), (0, 0, width, height)])
    origin, end = corners[:, :2].min(0), corners[:, 2:].max(0)
    scale = side / max(*(end - origin), 1e-6)
    w, h = np.maximum(np.round((end - origin) * scale), 1).astype(int)
    pixels = np.full((h, w, 3), GREY, np.float32)
    at = np.round((np.array([0, 0, width, height]) - [*origin, *origin]) * scale).astype(int)
    size = (max(at[2] - at[0], 1), max(at[3] - at[1], 1))
    shown = np.asarray(_picture(trace, image).resize(size, Image.Resampling.LANCZOS), np.float32)
    pixels[at[1] : at[1] + size[1], at[0] : at[0] + size[0]] = shown[: h - at[1], : w - at[0]]
    token, box = np.full((h, w), -1), trace.layout.box
    for i in np.flatnonzero(np.isin(trace.layout.tile, tiles) & (trace.layout.kind == PATCH)):
        x0, y0, x1, y1 = np.round((box[i] - [*origin, *origin]) * scale).astype(int)
        token[y0:y1, x0:x1] = i
    return Sheet(pixels, token)


def _picture(trace: Trace, image: int) -> Image.Image:
    try:
        return open_image(trace.images[image], PREVIEW_SIDE**2)
    except (IndexError, TokvizError):
        return Image.new("RGB", trace.layout.sizes[image], GREY)


def paint(
    paper: Sheet,
    share: np.ndarray | None = None,
    fate: np.ndarray | None = None,
    group: np.ndarray | None = None,
    opacity: float = 0.65,
) -> Image.Image:
    """Draw a map, fates, or both over a sheet.

    Args:
        paper: from `sheet`.
        share: [n] in 0 to 1 (see `scaled`), NaN = no number; None leaves the map out.
        fate: [n] of KEPT, MERGED, PRUNED, or None.
        group: [n] output token of each token, for the colours of merged ones.
        opacity: of the map where it is highest, 0 to 1; lower values cover less.
    """
    pixels, token = paper.pixels.copy(), paper.token
    inside = token >= 0
    if share is not None:
        pixels = pixels * 0.4 + np.asarray(ImageOps.grayscale(_image(pixels)))[..., None] * 0.6
        seen = inside & np.isfinite(share)[token]
        share = np.nan_to_num(share)
        covered = (opacity * cover(share))[token[seen]][:, None]
        pixels[seen] = pixels[seen] * (1 - covered) + colours(share)[token[seen]] * covered
    if fate is not None:
        _draw_fates(pixels, token, fate, np.zeros(len(fate), int) if group is None else group)
    return _image(pixels)


def _draw_fates(pixels: np.ndarray, token: np.ndarray, fate: np.ndarray, group: np.ndarray) -> None:
    role = np.where(token >= 0, fate[token], KEPT)
    y, x = np.indices(token.shape)
    pixels[role == PRUNED] = pixels[role == PRUNED] * 0.34 + np.array([12, 13, 18], np.float32)
    pixels[(role == PRUNED) & ((x + y) % 6 == 0)] += 60
    tint = _rgb(OKABE_ITO)[np.maximum(group, 0) % len(OKABE_ITO)]
    merged = role == MERGED
    pixels[merged] = pixels[merged] * 0.7 + tint[token[merged]] * 0.3
    pixels[merged & (x % 6 < 2) & (y % 6 < 2)] *= 0.45
    area = np.where(role == MERGED, group[token] + 1, np.where(role == PRUNED, -1, 0))
    edge = np.zeros(token.shape, bool)
    edge[:, 1:] |= area[:, 1:] != area[:, :-1]
    edge[1:] |= area[1:] != area[:-1]
    dark = edge.copy()
    dark[:, :-1] |= edge[:, 1:]
    dark[:-1] |= edge[1:]
    pixels[dark] = 20
    pixels[edge] = 245


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw(
    trace: Trace,
    values: np.ndarray | None = None,
    *,
    fates: bool = False,
    scaling: str = "linear",
    side: int = 960,
    opacity: float = 0.65,
) -> Image.Image:
    """Return a picture of one run: a map over the image, the fates of the tokens, or both.

    Args:
        trace: the run.
        values: [n], one number per visual token, or None.
        fates: draw which tokens were kept, merged and pruned.
        scaling: linear, log or rank.
        side: longest side of each pane in pixels.
        opacity: of the map where it is highest, 0 to 1; lower values cover less.

    Raises:
        InputError: another number of values than visual tokens.
    """
    if values is not None and len(values) != trace.n:
        raise InputError(f"this run has {trace.n} visual tokens, got {len(values)} values.")
    share = None if values is None else scaled(values, scaling)
    whole = trace.reduction
    fate, group = (whole.fate, whole.group) if fates else (None, None)
    return paint(sheet(trace, side), share, fate, group, opacity)
