"""From the frames of a film to pixel values, as the video processors of transformers prepare them.

Those need torchvision; this does the same with Pillow, so that films work without it, and in the
same way everywhere. Only the pixels are made here: an object of this file takes the place of a
processor's video part, and the processor's own code writes the prompt (timestamps, frame marks).
Resizing differs by the backend's rounding: by up to 2 of 255 from torchvision.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_utils import BatchFeature
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.models.qwen3_vl.video_processing_qwen3_vl import (
    smart_resize as smart_resize_film,
)
from transformers.video_utils import VideoMetadata

from tokviz.film import Film

SETTINGS = (
    "size",
    "max_image_size",
    "resample",
    "rescale_factor",
    "image_mean",
    "image_std",
    "patch_size",
    "merge_size",
    "temporal_patch_size",
    "video_sampling",
)
"""What is read of a video processor's settings, and of the image processor's where it has none."""
MILLISECONDS = 1000


class FilmPixels:
    """Takes the place of a processor's video part for one film."""

    def __init__(self, film: Film, processor: Any) -> None:
        """Read the settings off the processor's video part, else off its image part."""
        self.film = film
        self.set = {**settings(processor.image_processor), **settings(processor.video_processor)}
        self.merge_size = self.set.get("merge_size", 1)
        self.temporal_patch_size = self.set.get("temporal_patch_size", 1)
        self.num_frames, self.fps = len(film), film.fps

    def __call__(self, videos: Any, **given: Any) -> BatchFeature:
        """Return the pixels of the film and what the prompt says about it."""
        return BatchFeature({**self.values(), "video_metadata": [metadata(self.film)]})

    def values(self) -> dict[str, Any]:
        """Return pixel values [1, frames, 3, height, width] of square frames."""
        size = self.set["size"]
        side = size.get("height") or size.get("shortest_edge")
        return {"pixel_values_videos": self.normal(side, size.get("width") or side)[None]}

    def resized(self, height: int, width: int) -> list[Image.Image]:
        """Return the frames at another size."""
        how = Image.Resampling(self.set.get("resample") or Image.Resampling.BICUBIC)
        return [frame.resize((width, height), how) for frame in self.film.frames]

    def normal(self, height: int, width: int) -> torch.Tensor:
        """Return the resized frames, rescaled and normalised, float32 [frames, 3, h, w]."""
        return self.standard(self.resized(height, width))

    def standard(self, frames: list[Image.Image]) -> torch.Tensor:
        """Return frames rescaled and normalised, float32 [frames, 3, h, w]."""
        pixels = np.stack([np.asarray(frame, np.float32) for frame in frames])
        pixels *= np.float32(self.set.get("rescale_factor") or 1 / 255)
        mean = np.asarray(self.set["image_mean"], np.float32)
        std = np.asarray(self.set["image_std"], np.float32)
        return torch.from_numpy((pixels - mean) / std).permute(0, 3, 1, 2).contiguous()


class QwenPixels(FilmPixels):
    """Patches of two frames each, the patches of a visual token next to each other."""

    def side(self) -> tuple[int, int]:
        """Return (height, width) of the resized frames: the pixels of one frame are limited."""
        width, height = self.film.size
        size, factor = self.set["size"], self.set["patch_size"] * self.merge_size
        low, high = size["shortest_edge"], size["longest_edge"]
        return smart_resize(height, width, factor, low, high)

    def values(self) -> dict[str, Any]:
        """Return patches [t * rows * columns, 3 * frames * p * p] and the grid [[t, rows, cols]].

        A number of frames that pairs do not divide is filled up with the last frame.
        """
        p, m, pair = self.set["patch_size"], self.merge_size, self.temporal_patch_size
        frames = self.normal(*self.side())
        lacking = -len(frames) % pair
        frames = torch.cat([frames, frames[-1:].expand(lacking, -1, -1, -1)])
        t, rows, cols = len(frames) // pair, frames.shape[2] // p, frames.shape[3] // p
        # [frames, 3, h, w] -> blocks of m x m patches of p x p pixels
        cut = frames.reshape(t, pair, 3, rows // m, m, p, cols // m, m, p)
        # -> [t, block row, block col, row in block, col in block, 3, frame, y, x]
        patches = cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(t * rows * cols, -1)
        return {
            "pixel_values_videos": patches,
            "video_grid_thw": torch.tensor([[t, rows, cols]]),
        }


class Qwen3Pixels(QwenPixels):
    """The limits count the pixels of all frames together."""

    def side(self) -> tuple[int, int]:
        """Return (height, width) of the resized frames."""
        (width, height), size = self.film.size, self.set["size"]
        return smart_resize_film(
            max(len(self.film), self.temporal_patch_size),
            height,
            width,
            self.temporal_patch_size,
            self.set["patch_size"] * self.merge_size,
            size["shortest_edge"],
            size["longest_edge"],
        )


class SmolPixels(FilmPixels):
    """Frames are resized twice: to the length of a film's long side, then to the tower's square."""

    def values(self) -> dict[str, Any]:
        """Return pixel values [1, frames, 3, side, side] and a mask of ones."""
        side = self.set["max_image_size"]["longest_edge"]
        how = Image.Resampling(self.set.get("resample") or Image.Resampling.LANCZOS)
        pixels = self.standard([f.resize((side, side), how) for f in self.resized(*self.first())])
        mask = torch.ones(1, len(pixels), side, side, dtype=torch.int64)
        return {"pixel_values": pixels[None], "pixel_attention_mask": mask}

    def first(self) -> tuple[int, int]:
        """Return (height, width) after the first step; the short side is made even."""
        width, height = self.film.size
        sampling = self.set.get("video_sampling") or {}
        size = sampling.get("video_size") or self.set["size"]
        longest = min(size.get("longest_edge") or max(width, height), 4096)
        ratio = width / height
        if width >= height:
            short = int(longest / ratio)
            return max(short + short % 2, 1), longest
        short = int(longest * ratio)
        return longest, max(short + short % 2, 1)


def settings(part: Any) -> dict[str, Any]:
    """Return the settings of a processor's part that are there."""
    found = {name: getattr(part, name, None) for name in SETTINGS}
    plain = {name: value for name, value in found.items() if value is not None}
    pixels = {"shortest_edge": "min_pixels", "longest_edge": "max_pixels"}  # their older names
    older = {new: getattr(part, old, None) for new, old in pixels.items()}
    if "size" not in plain and all(older.values()):
        plain["size"] = older
    for name in ("size", "max_image_size"):
        if name in plain:
            plain[name] = {k: v for k, v in dict(plain[name]).items() if v is not None}
    return plain


def metadata(film: Film) -> VideoMetadata:
    """Return what transformers' processors ask about a film.

    They compute times as number / fps. Where a film's rate changes, numbers are milliseconds.
    """
    if film.steady:
        numbers, fps, total = list(film.numbers), film.fps, film.total
    else:
        numbers = [round(time * MILLISECONDS) for time in film.times]
        fps, total = float(MILLISECONDS), max(1, round(film.duration * MILLISECONDS))
    width, height = film.size
    return VideoMetadata(total, fps, width, height, film.duration, "tokviz", numbers)


def call_with_film(processor: Any, pixels: FilmPixels, text: str, **more: Any) -> Mapping:
    """Call a processor on a prompt with one film; the processor itself is not changed.

    Args:
        processor: its copy gets `pixels` as its video part.
        pixels: the film's.
        text: the whole prompt, with one placeholder of a film.
        **more: further arguments of the call.
    """
    own = copy.copy(processor)
    own.video_processor = pixels
    frames = [list(pixels.film.frames)]
    return own(text=text, videos=frames, return_tensors="pt", **more)
