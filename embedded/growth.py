"""How does a trained model grow? Finer patches, other tokens, more layers, a heavy <s>.

Finer patches: patch kernels are summed two by two, so that a flat colour gives the answer it gave
before; position embeddings are interpolated. A thing then covers four times as many patches, so
the tower must be trained again, with the old one as its teacher. More layers: each new one adds
nothing at first (its two output matrices are zero), so the model says what it said before. A
heavy <s>: the first token begins with a large value in two dimensions, as the first tokens of large
models have it (massive activations, arXiv 2402.17762).
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from embedded.subwords import start_embeddings
from embedded.vocabulary import build_tokenizer as build_words

SINK_DIMS = (110, 83)
"""The two dimensions that the first model's decoder uses least."""
HEAVY = 250.0
"""What <s> begins with there; other dimensions of its residual stream stay below 10."""
NEW = -1
"""In an order of layers: a new one."""


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


def with_pieces(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> LlavaForConditionalGeneration:
    """Copy a model of words to a tokenizer of pieces, and make its <s> heavy."""
    config = copy.deepcopy(model.config)
    config.text_config.vocab_size = len(tokenizer)
    config.text_config.max_position_embeddings = 2048
    config.image_token_id = tokenizer.image_token_id
    pieces = LlavaForConditionalGeneration(config)
    weights = model.state_dict()
    old = model.get_input_embeddings().weight
    rows = start_embeddings(tokenizer, build_words(), old)
    first, second = SINK_DIMS
    rows[tokenizer.bos_token_id, first], rows[tokenizer.bos_token_id, second] = HEAVY, -HEAVY
    for name in weights:
        if name.endswith(("embed_tokens.weight", "lm_head.weight")):
            weights[name] = rows
    # The word table is also the read-out: without this <s> would be a loud answer.
    last = weights["model.language_model.norm.weight"].clone()
    last[list(SINK_DIMS)] = 0.0
    weights["model.language_model.norm.weight"] = last
    pieces.load_state_dict(weights)
    pieces.generation_config = copy.deepcopy(model.generation_config)
    return pieces


def with_layers(
    model: LlavaForConditionalGeneration, order: Sequence[int], seed: int = 0
) -> LlavaForConditionalGeneration:
    """Copy a model to more decoder layers that say what it said before.

    Args:
        model: what grows.
        order: number of the old layer in each place, ``NEW`` for one that adds nothing yet.
        seed: draws the weights of new layers.
    """
    config = copy.deepcopy(model.config)
    config.text_config.num_hidden_layers = len(order)
    torch.manual_seed(seed)
    deeper = LlavaForConditionalGeneration(config)
    deeper.load_state_dict(
        {k: v for k, v in model.state_dict().items() if ".language_model.layers." not in k},
        strict=False,
    )
    for place, old in enumerate(order):
        layer = deeper.model.language_model.layers[place]
        if old == NEW:
            torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
            torch.nn.init.zeros_(layer.mlp.down_proj.weight)
        else:
            layer.load_state_dict(model.model.language_model.layers[old].state_dict())
    deeper.generation_config = copy.deepcopy(model.generation_config)
    return deeper
