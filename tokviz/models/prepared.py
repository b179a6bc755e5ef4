"""A prompt with its images: the part that all lanes share, and the model's inputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from tokviz.film import Film
from tokviz.images import PREVIEW_SIDE, preview_jpeg
from tokviz.models.clip_text import ClipBeside
from tokviz.trace.layout import Layout
from tokviz.trace.schema import BLOCKS

MANY = 4
"""Images of a prompt above which their stored previews have half the side."""

PIXELS = "pixel_values"
"""Part of the names of inputs that hold pixels."""


@dataclass(frozen=True)
class Asked:
    """The question as all lanes share it: prompt, token ids, layout, images."""

    prompt: str
    prompt_ids: np.ndarray
    "int32 [s]"
    prompt_tokens: tuple[str, ...]
    layout: Layout
    images: tuple[Image.Image, ...]
    "Those of the layout; of a film, one frame of each group of frames that tokens are made from."
    own_rows: np.ndarray
    "int32 [p], indices in the prompt of the user's own words."
    mark_rows: np.ndarray
    "int32 [y], rows of tile names and other markers that the processor adds around visual tokens."
    notes: tuple[str, ...] = ()
    "Notes for the user about how the user's words were found."
    film: Film | None = None
    "The film that the images are frames of."

    @cached_property
    def previews(self) -> tuple[bytes, ...]:
        """JPEG previews of the images, smaller ones where they are many; all lanes share them."""
        side = PREVIEW_SIDE if len(self.images) <= MANY else PREVIEW_SIDE // 2
        return tuple(preview_jpeg(image, side) for image in self.images)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that this prompt and its answer have."""
        return BLOCKS if len(self.mark_rows) else BLOCKS[:-1]


@dataclass
class Prepared:
    """A prompt with its images, as inputs of the model."""

    asked: Asked
    inputs: dict[str, torch.Tensor]
    positions: torch.Tensor
    text_rows: torch.Tensor
    "Indices in the prompt of the user's own words."
    relevance: tuple[np.ndarray, float] | None = None
    "[n] for methods that ask for the signal of that name, and the seconds that it took."
    asked_yes: tuple[np.ndarray, float] | None = None
    "The same for the signal of this name."
    clip: ClipBeside | None = None
    "CLIP's text side, where the model has one."

    @property
    def pixels(self) -> dict[str, torch.Tensor]:
        """The pixels among the inputs, by their names; two where a model has two towers."""
        return {name: value for name, value in self.inputs.items() if PIXELS in name}
