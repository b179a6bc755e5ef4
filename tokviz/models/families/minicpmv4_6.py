"""MiniCPM-V: the whole picture, then equal parts of it; shown is the tower behind its own merger.

A large picture is also cut into up to nine equal slices. The tower gets all parts of all pictures
as one sequence of patches and attends part by part. Behind layer `insert_layer_id` it merges 2 x 2
patches into one, and a second merger makes a visual token of 2 x 2 of those; with a
`downsample_mode` of 4x the first merger is left out, and there are four times as many tokens. What
tokviz calls the tower begins behind the first merger, with layer 0, and a patch is what these
layers work on. The layers before have four times as many patches: they are not shown, and no method
acts there.

The decoder is Qwen3.5's, with linear attention in most layers. Positions are plain in 4.6; 4.7 lays
the whole picture and its parts on one canvas of rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tokviz.errors import ModelError
from tokviz.models.families.family import Inputs, family
from tokviz.models.families.idefics3 import equal_parts, square_tiles
from tokviz.models.families.parts import one
from tokviz.models.families.qwen2_vl import numbered
from tokviz.models.families.siglip import SiglipBlocks
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout, Tile

SIDE = 2
"""Along a side of a square that either merger joins."""


@family
class MiniCpmV46(SiglipBlocks):
    """SigLIP-like tower for any shape with a merger inside, a second merger, Qwen3.5's decoder."""

    name = "minicpmv4_6"
    title = "MiniCPM-V 4.6"
    model_types = ("minicpmv4_6", "minicpmv4_7")

    def check_model(self, model: nn.Module) -> None:
        """Raise ModelError for mergers in other numbers or places than the processor counts."""
        super().check_model(model)
        times = model.config.merger_times  # type: ignore[union-attr]
        if times != 1:
            raise ModelError(
                f"it merges {times} times behind its tower, and its processor counts the tokens "
                "of one merger."
            )
        last = len(model.model.vision_tower.encoder.layers) - 2  # type: ignore
        layer = self._begin(model) - 1
        if self._merges(model) and not 0 <= layer <= last:
            raise ModelError(
                f"the merger of its tower has to be behind one of the layers 0 to {last}, got "
                f"{layer}: tokviz shows the layers behind it."
            )

    def notes(self, model: nn.Module) -> tuple[str, ...]:
        """Return from where on the layers of the tower are counted."""
        if not self._merges(model):
            return ()
        merger = self._begin(model) - 1
        return (
            f"This model's vision tower joins four patches to one behind its layer {merger}. The "
            "layers behind are shown, counted from 0; those before have patches of their own, are "
            "not shown, and no method acts there.",
        )

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the number of slices; where not even two fit, the size of the whole picture."""
        images = processor.image_processor
        token = one(images.patch_size) * SIDE * (SIDE if self._merges(model) else 1)
        part = (images.scale_resolution // token) ** 2
        slices = most // part - 1  # the whole picture is a part, too
        if part <= most and (slices >= images.max_slice_nums or not images.slice_mode):
            return False
        images.max_slice_nums = max(slices, 1)
        images.scale_resolution = min(images.scale_resolution, max(isqrt(most), 1) * token)
        return True

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the size of a patch, and how many of them make a token."""
        images, config = processor.image_processor, model.config
        vision: Any = config.vision_config  # type: ignore[union-attr]
        return [
            ("patch_size", one(images.patch_size), one(vision.patch_size)),
            ("downsample_mode", images.downsample_mode, config.downsample_mode),  # type: ignore
        ]

    def positions(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        """Return plain positions [1, s]; of 4.7 plain, time, height and width ones, [4, 1, s]."""
        inner: Any = model.model
        plain = super().positions(model, inputs)
        if not hasattr(inner, "get_rope_index") or "target_sizes" not in inputs:
            return plain
        names = ("target_sizes", "mm_token_type_ids")
        given = {name: inputs[name] for name in names}
        places, _ = inner.get_rope_index(inputs["input_ids"], **given)
        return torch.cat([plain[None], places])

    # -- the part of the tower that is looked into --------------------------------------------

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower behind its merger."""
        return model.model.vision_tower.encoder.layers[self._begin(model) :]  # type: ignore

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer; a norm follows it."""
        return len(self.tower_layers(model)) - 1

    def grids(self, model: nn.Module, inputs: Inputs) -> np.ndarray:
        """Return rows and columns of patches of each part of a picture, int64 [parts, 2]."""
        sizes = inputs["target_sizes"].cpu().numpy().astype(np.int64)
        return sizes // SIDE if self._merges(model) else sizes

    def image_patches(self, model: nn.Module, inputs: Inputs) -> list[int]:
        """Return the patches of each part of a picture: the tower attends within it."""
        return self.grids(model, inputs).prod(1).tolist()

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the square of patches of each token."""
        return Sources.squares(layout, self.grids(model, inputs), SIDE)

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return the whole of every picture and its slices, each over an equal part of it."""
        settings, sizes = processor.image_processor, [image.size for image in images]
        shapes = (self.grids(model, inputs) // SIDE).tolist()
        tiles: list[Tile] = []
        for number, (width, height) in enumerate(sizes):
            asked = (height, width), settings.max_slice_nums, settings.scale_resolution
            cut = settings.get_sliced_grid(*asked) if settings.slice_mode else None
            boxes = equal_parts((width, height), *cut) if cut else []
            whole = ((0.0, 0.0, float(width), float(height)), "thumbnail" if cut else "whole")
            for box, role in [whole, *((box, "tile") for box in boxes)]:
                rows, cols = shapes[len(tiles)]
                tiles.append(Tile(number, rows, cols, box, role))
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        return square_tiles(tiles, np.flatnonzero(is_visual), sizes)

    # -- from patches to tokens ---------------------------------------------------------------

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the second merger, which gets the patches of all parts in one row."""
        return model.model.merger  # type: ignore[union-attr, return-value]

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return tokens [m, 4 d_v], concatenated patches, after the merger's MLP, [m, d]."""
        return self.projector(model).mlp[0](pre)  # type: ignore

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return the concatenated states of each token's patches, [n, 4 d_v]."""
        return flat[torch.as_tensor(sources.index, device=flat.device)].flatten(1)

    # -- the tower block by block -------------------------------------------------------------

    def tower_follow(
        self, model: nn.Module, inputs: Inputs, given: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        """Return the number of each patch's part."""
        lengths = torch.tensor(self.image_patches(model, inputs), device=given["cu_seqlens"].device)
        return {"image": numbered(lengths)}

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states after a block's first half: attention within each part."""
        block: Any = self.tower_layers(model)[layer]
        ends = torch.unique_consecutive(follow["image"], return_counts=True)[1].cumsum(0)
        attended, _ = block.self_attn(
            hidden_states=block.layer_norm1(states),
            cu_seqlens=F.pad(ends, (1, 0)).to(torch.int32),
            max_seqlen=None,
        )
        return states + attended

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the patches of each token after the tower's last norm, one after the other."""
        return model.model.vision_tower.post_layernorm(squares).flatten(1)  # type: ignore

    def _merges(self, model: nn.Module) -> bool:
        """Whether the merger amid the layers is in use."""
        return model.config.downsample_mode != "4x"  # type: ignore[union-attr]

    def _begin(self, model: nn.Module) -> int:
        """The first layer of the tower that is looked into."""
        inside = model.config.vision_config.insert_layer_id + 1  # type: ignore
        return int(inside) if self._merges(model) else 0
