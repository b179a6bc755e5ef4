"""How does a trained model get finer? Its tower takes patches of half the size.

Patch kernels are summed two by two, so that a flat colour gives the answer it gave before;
position embeddings are interpolated. Features change all the same (a thing covers four times as
many patches), so the tower must be trained again, with the old one as its teacher.
"""

import copy

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlavaForConditionalGeneration


def with_finer_patches(model: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
    """Copy a model to patches of half the size, four times as many visual tokens."""
    config = copy.deepcopy(model.config)
    config.vision_config.patch_size //= 2
    config.image_seq_length *= 4
    finer = LlavaForConditionalGeneration(config)
    weights = model.state_dict()
    for name, value in weights.items():
        if name.endswith("patch_embedding.weight"):
            weights[name] = finer_kernels(value)
        if name.endswith("position_embedding.weight"):
            weights[name] = finer_positions(value)
    finer.load_state_dict(weights)
    finer.generation_config = copy.deepcopy(model.generation_config)
    return finer


def finer_kernels(kernels: Tensor) -> Tensor:
    """Sum patch kernels [d, 3, p, p] over squares of two by two, [d, 3, p / 2, p / 2]."""
    return functional.avg_pool2d(kernels, 2) * 4


def finer_positions(positions: Tensor) -> Tensor:
    """Interpolate position embeddings [1 + g * g, d] to a grid twice as fine."""
    grid = round((len(positions) - 1) ** 0.5)
    square = positions[1:].T.unflatten(1, (grid, grid))[None]
    finer = functional.interpolate(square, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.cat([positions[:1], finer[0].flatten(1).T])


def coarse_patch(grid: int) -> Tensor:
    """Name the coarse patch in which each patch of a grid lies, [grid * grid]."""
    line = torch.arange(grid) // 2
    return (line[:, None] * (grid // 2) + line[None]).flatten()
