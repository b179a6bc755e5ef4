"""Qwen2-VL: one grid of any size per image, four patches joined into each visual token.

The processor resizes an image to multiples of a merged patch (28 pixels), so a token's box is an
equal part of the whole original image. The tower runs all images of a prompt as one sequence of
patches, with the four patches of a token next to each other; attention stays within an image.
Positions have four rows: plain, time, height, width. They are computed for every prompt; the
model's own memory of its last prompt (`rope_deltas`) is never read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tokviz.models.families.family import Family, Inputs, family
from tokviz.models.families.film_pixels import FilmPixels, QwenPixels
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import PATCH, Layout, Tile


@family
class Qwen2VL(Family):
    """A tower without [CLS] for grids of any size, a merger of 2 x 2 patches, M-RoPE."""

    film = "A grid per pair of frames; pairs have a time axis in M-RoPE."
    film_pixels: type[FilmPixels] | None = QwenPixels
    name = "qwen2_vl"
    title = "Qwen2-VL"
    model_types: tuple[str, ...] = ("qwen2_vl",)

    def positions(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        """Return plain, time, height and width positions, [4, 1, s]."""
        ids = inputs["input_ids"]
        names = ("mm_token_type_ids", "image_grid_thw", "video_grid_thw", "second_per_grid_ts")
        given = {name: inputs[name] for name in names if name in inputs}
        positions, _ = model.model.get_rope_index(ids, **given)  # type: ignore
        plain = torch.arange(ids.shape[1], device=ids.device).expand(1, 1, -1)
        return torch.cat([plain, positions])

    def rotary_sections(self, decoder: nn.Module) -> Sequence[int]:
        """Return the frequencies of time, height and width."""
        return tuple(decoder.rotary_emb.mrope_section)  # type: ignore[union-attr, arg-type]

    def image_mark(self, processor: Any) -> str:
        """Return the placeholder between its start and end tokens."""
        return f"<|vision_start|>{processor.image_token}<|vision_end|>"

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the pixels to which a picture is resized."""
        images = processor.image_processor
        token = (images.patch_size * images.merge_size) ** 2
        pixels = max(most * token, images.size.shortest_edge)
        if pixels >= images.size.longest_edge:
            return False
        images.size = replace(images.size, longest_edge=pixels)
        return True

    def film_mark(self, processor: Any) -> str:
        """Return the placeholder of a film between its start and end tokens."""
        return f"<|vision_start|>{processor.video_token}<|vision_end|>"

    def frames_per_image(self, model: nn.Module) -> int:
        """Return the frames of a temporal patch."""
        return int(model.config.vision_config.temporal_patch_size)  # type: ignore

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.visual.blocks  # type: ignore[union-attr, return-value]

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer."""
        return len(self.tower_layers(model)) - 1

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the merger, which joins the patches of a token."""
        return model.model.visual.merger  # type: ignore[union-attr, return-value]

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return tokens [m, 4 d_v], concatenated patches, after the merger, [m, d]."""
        return self.projector(model)(pre.reshape(-1, pre.shape[-1] // self._joined(model)))

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return the concatenated states of each token's patches, [n, 4 d_v]."""
        index = torch.as_tensor(sources.index, device=flat.device)
        return flat[index].flatten(1)

    def image_patches(self, model: nn.Module, inputs: Inputs) -> list[int]:
        """Return the patches of each image."""
        return grids(inputs).prod(-1).tolist()

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the patches of each token: the tower's sequence is cut into runs of four."""
        joined = self._joined(model)
        place = self.tower_order(model, inputs, layout.n)
        index = place[:, None] * joined + np.arange(joined)
        return Sources(index, 1, layout.n * joined)

    def tower_order(self, model: nn.Module, inputs: Inputs, n: int) -> np.ndarray:
        """Return the place of each of n tokens in the tower's sequence, int64 [n]."""
        return np.arange(n)

    def tower_follow(
        self, model: nn.Module, inputs: Inputs, given: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        """Return each patch's rotary angles, and the number of its image."""
        cos, sin = given["position_embeddings"]
        lengths = torch.tensor(self.image_patches(model, inputs), device=cos.device)
        return {"cos": cos, "sin": sin, "image": numbered(lengths)}

    def tower_scope(self, model: nn.Module, layer: int) -> str:
        """Return the entry of `tower_follow` that says within what a layer attends."""
        return "image"

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states after a block's first half: attention within parts of the sequence."""
        block: Any = self.tower_layers(model)[layer]
        scope = follow[self.tower_scope(model, layer)]
        ends = torch.unique_consecutive(scope, return_counts=True)[1].cumsum(0)
        attended = block.attn(
            block.norm1(states[0]),
            cu_seqlens=F.pad(ends, (1, 0)).to(torch.int32),
            position_embeddings=(follow["cos"], follow["sin"]),
        )
        return states + attended

    def tower_mlp(self, model: nn.Module, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Return the states after a block's second half."""
        block: Any = self.tower_layers(model)[layer]
        return states + block.mlp(block.norm2(states[0]))

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return one grid per image, over the whole image."""
        merge = model.config.vision_config.spatial_merge_size  # type: ignore[union-attr]
        shapes = [(h // merge, w // merge) for _, h, w in grids(inputs).tolist()]
        ids = inputs["input_ids"][0].cpu().numpy()
        is_visual = ids == self.visual_token_id(model, ids)
        sizes = [image.size for image in images]
        return stretched_layout(is_visual, sizes, shapes)

    def _joined(self, model: nn.Module) -> int:
        """Patches in one token."""
        return int(model.config.vision_config.spatial_merge_size) ** 2  # type: ignore


def grids(inputs: Inputs) -> torch.Tensor:
    """Return time, height and width in patches of each image, or of each frame pair of a film.

    The tower's attention and its windows stay within a frame pair, so that a film of t pairs is to
    it what t images are: int64 [images, 3] with a time of 1.
    """
    shapes = inputs["video_grid_thw"] if "video_grid_thw" in inputs else inputs["image_grid_thw"]
    single = shapes.repeat_interleave(shapes[:, 0], dim=0)
    single[:, 0] = 1
    return single


def numbered(lengths: torch.Tensor) -> torch.Tensor:
    """Return 0 0 0 1 1 2 ... for the lengths 3 2 1 ..."""
    return torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)


def stretched_layout(
    is_visual: np.ndarray, sizes: Sequence[tuple[int, int]], grids: Sequence[tuple[int, int]]
) -> Layout:
    """Return the layout of images that are one grid each, of any shape, over the whole image.

    Args:
        is_visual: bool [s], which prompt positions are visual tokens.
        sizes: (width, height) of each image.
        grids: (rows, cols) of each image.
    """
    cells = [np.divmod(np.arange(rows * cols, dtype=np.int16), cols) for rows, cols in grids]
    counts = [rows * cols for rows, cols in grids]
    return Layout(
        sizes=tuple(sizes),
        tiles=tuple(
            Tile(i, rows, cols, (0.0, 0.0, float(width), float(height)))
            for i, ((rows, cols), (width, height)) in enumerate(zip(grids, sizes, strict=True))
        ),
        tile=np.repeat(np.arange(len(sizes), dtype=np.int16), counts),
        row=np.concatenate([row for row, _ in cells]).astype(np.int16),
        col=np.concatenate([col for _, col in cells]).astype(np.int16),
        kind=np.full(sum(counts), PATCH, np.uint8),
        position=np.flatnonzero(is_visual).astype(np.int32),
    )
