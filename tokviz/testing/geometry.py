"""The box of every visual token, proven on a family's own pixels.

Attention in the tower is made to give nothing, so that no patch looks at another. Then a square of
the picture is changed: the token that moves most must be the one whose box holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from tokviz.models import VLM
from tokviz.models.attention import computed_by
from tokviz.models.prepared import Prepared
from tokviz.testing.pictures import SHAPES, kept
from tokviz.trace.layout import PATCH

GREY, RED = (90, 120, 150), (255, 0, 0)
PROBES = 5
MIDDLE = 0.4
"""Share of a box's side that is changed; its edge is mixed with its neighbours by resizing."""


def promises(vlm: VLM) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what a family promises about places, and what tries it."""
    for size in SHAPES:
        yield (
            f"in a picture of {size[0]} x {size[1]}, boxes are where tokens look",
            partial(boxes_hold, vlm, size),
        )


def boxes_hold(vlm: VLM, size: tuple[int, int]) -> None:
    """Change squares of a picture; the tokens with these boxes move most in their tile."""
    base = Image.new("RGB", size, GREY)
    before, prepared = features(vlm, base)
    layout = prepared.asked.layout
    kept(len(before) == layout.n, f"{layout.n} tokens in the layout, {len(before)} features")
    proven = 0
    patches = np.flatnonzero(layout.kind == PATCH)
    for token in np.random.default_rng(0).permutation(patches)[: 4 * PROBES]:
        square = middle_of(layout.box[token], size)
        if square is None or proven == PROBES:
            continue
        spot = base.copy()
        spot.paste(RED, square)
        moved = (features(vlm, spot)[0] - before).abs().sum(1).cpu().numpy()
        own = np.where(layout.tile == layout.tile[token], moved, 0)
        best = int(own.argmax())
        kept(best == token, f"the square {square} moves token {best}, in whose box it is not")
        kept(not moved[layout.kind != PATCH].any(), "a token without a box moves")
        proven += 1
    kept(proven, "no box lies inside the picture")


def inner(
    box: np.ndarray, size: tuple[int, int], part: float = MIDDLE
) -> tuple[int, int, int, int] | None:
    """Return the middle of a box as whole pixels inside a picture; None where there is none."""
    x0, y0, x1, y1 = (float(value) for value in box)
    dx, dy = (x1 - x0) * (1 - part) / 2, (y1 - y0) * (1 - part) / 2
    left, top = max(round(x0 + dx), 0), max(round(y0 + dy), 0)
    right = min(max(round(x1 - dx), left + 1), size[0])
    bottom = min(max(round(y1 - dy), top + 1), size[1])
    return (left, top, right, bottom) if left < right and top < bottom else None


def middle_of(box: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the middle of a box that lies in a picture; None for one that reaches out of it."""
    x0, y0, x1, y1 = (float(value) for value in box)
    inside = x0 >= 0 and y0 >= 0 and x1 <= size[0] and y1 <= size[1]
    return inner(box, size) if inside else None


def features(vlm: VLM, image: Any) -> tuple[torch.Tensor, Prepared]:
    """Return the features of every visual token [n, d], each of which sees its own pixels only.

    Args:
        vlm: a model.
        image: what `VLM.prepare` takes: a picture, several, or a film.
    """
    prepared = vlm.prepare(image, "what?")
    alone = vlm.family.tower_alone(vlm.model)
    with vlm.guarded(), torch.inference_mode(), computed_by(nothing), alone:
        return vlm.family.image_features(vlm.model, prepared.inputs).tokens, prepared


def nothing(module: Any, query: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    """Be attention that gives zeros, so that no patch sees another."""
    return torch.zeros_like(query).transpose(1, 2).contiguous(), None
