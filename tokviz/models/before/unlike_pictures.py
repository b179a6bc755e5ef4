"""Says when a picture is unlike those that the model learned from."""

from __future__ import annotations

import torch

from tokviz.models.checkpoints.known_pictures import KnownPictures
from tokviz.models.tower.vision import Vision
from tokviz.trace.layout import PATCH, Layout
from tokviz.trace.unlike_pictures import unlike_sentence


def unlike_note(known: KnownPictures | None, vision: Vision, layout: Layout) -> list[str]:
    """Return a sentence about the pictures that are unlike those of training; [] if there are none.

    Args:
        known: what the model's checkpoint says of its pictures; None = nothing.
        vision: the tower's run on the whole pictures.
        layout: where the visual tokens lie, one tile a picture and one patch a token.
    """
    if known is None:
        return []
    if vision.unlike is None:
        vision.unlike = unlike_pictures(known, vision, layout)
    if not vision.unlike:
        return []
    return [unlike_sentence(vision.unlike, len(layout.sizes), known.what)]


def unlike_pictures(known: KnownPictures, vision: Vision, layout: Layout) -> list[int]:
    """Return the numbers, from 1, of the pictures that are unlike those of training."""
    unlike = []
    for number, tile in enumerate(layout.tiles):
        own = (layout.tile == number) & (layout.kind == PATCH)
        if own.sum() != tile.rows * tile.cols or min(tile.rows, tile.cols) < 2:
            continue  # merged patches, which the file says nothing about
        states = vision.pre[torch.as_tensor(own, device=vision.pre.device)]
        if not known.knows(states.unflatten(0, (1, tile.rows, tile.cols))):
            unlike.append(tile.image + 1)
    return list(dict.fromkeys(unlike))
