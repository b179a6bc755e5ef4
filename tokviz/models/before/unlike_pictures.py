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
        layout: where the visual tokens lie.
    """
    if known is None or vision.cls_state is None:
        return []
    unlike = []
    for image in range(len(layout.sizes)):
        tokens = torch.as_tensor((layout.image == image) & (layout.kind == PATCH))
        patches = vision.pre[tokens.to(vision.pre.device)]
        cls = vision.cls_state[vision.whole[image]]
        if not known.knows(cls[None], patches[None]):
            unlike.append(image + 1)
    return [unlike_sentence(unlike, len(layout.sizes), known.what)] if unlike else []
