"""Configurations of published LLaVA and InternVL checkpoints, on a device without memory."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from tests.models.checkpoints import (
    test_gemma3n_checkpoints,
    test_gemma4_checkpoints,
    test_packed_checkpoints,
    test_qwen_checkpoints,
    test_tiles_checkpoints,
)
from tests.models.checkpoints.test_tiles_checkpoints import sizes, so400m
from tokviz.models import FAMILIES, MODELS
from tokviz.models.checkpoints.cards import REPORTED
from tokviz.models.families.anyres import Cutting, Tokens
from tokviz.trace.layout import PATCH

pytestmark = pytest.mark.matrix

CLIP = {
    "model_type": "clip_vision_model",
    **sizes(1024, 4096, 24, 16, image_size=336, patch_size=14),
    "projection_dim": 768,
}
SIGLIP = {"model_type": "siglip_vision_model", **so400m(384), "vision_use_head": False}
SIGLIP["num_hidden_layers"] = 26
VIT = sizes(1024, 4096, 24, 16, image_size=[448, 448], patch_size=[14, 14])


def llava(width, inner, layers, heads, groups, model_type="llama"):
    """A LLaVA-1.5 or LLaVA-NeXT: features of the last layer but one."""
    more = {"model_type": model_type, "vocab_size": 32064}
    return {
        "text_config": sizes(width, inner, layers, heads, groups, **more),
        "vision_config": CLIP,
    }


def qwen2(width, inner, layers, heads, groups, words, tied):
    """A Qwen2 decoder."""
    more = {"model_type": "qwen2", "vocab_size": words, "tie_word_embeddings": tied}
    return sizes(width, inner, layers, heads, groups, **more)


PUBLISHED = {
    "llava-hf/llava-1.5-7b-hf": llava(4096, 11008, 32, 32, 32),
    "llava-hf/llava-1.5-13b-hf": llava(5120, 13824, 40, 40, 40),
    "llava-hf/llava-v1.6-vicuna-7b-hf": llava(4096, 11008, 32, 32, 32),
    "llava-hf/llava-v1.6-mistral-7b-hf": llava(4096, 14336, 32, 32, 8, "mistral"),
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": {
        "text_config": qwen2(896, 4864, 24, 14, 2, 152000, True),
        "vision_config": SIGLIP,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": True,
    },
    "OpenGVLab/InternVL3-1B-hf": {
        "text_config": qwen2(896, 4864, 24, 14, 2, 151674, False),
        "vision_config": VIT,
        "tie_word_embeddings": False,
    },
    "OpenGVLab/InternVL3-2B-hf": {
        "text_config": qwen2(1536, 8960, 28, 12, 2, 151674, False),
        "vision_config": VIT,
        "tie_word_embeddings": False,
    },
}
"""What config.json of each checkpoint says of its sizes."""


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_configuration_is_understood_and_its_card_is_right(name):
    card = MODELS[name]
    config = AutoConfig.for_model(card.family, **PUBLISHED[name])
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    family = FAMILIES[config.model_type]
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == REPORTED.get(name, count)
    written = f"{count / 1e9:.1f} B" if count > 1e9 else f"{count / 1e6:.0f} M"
    assert (written, card.memory_gb) == (card.parameters, pytest.approx(2 * count / 1e9, rel=0.06))
    assert family.has_cls(model) is card.has_cls
    layers = len(family.tower_layers(model))
    assert family.feature_layer(model) == layers - (
        2 if card.family.startswith("llava") and card.has_cls else 1
    )


@pytest.mark.parametrize("size", [(1920, 1080), (2304, 2304), (1999, 2310)])
def test_on_a_real_onevision_every_patch_leaves_the_tower_with_one_token_of_its_tile(size):
    """384 pixels, 14 to a patch, 36 canvases: pictures of these sizes are scaled to nine tiles."""
    canvases = [(384 * rows, 384 * cols) for rows in range(1, 7) for cols in range(1, 7)]
    tokens = Tokens(Cutting(384, 14, canvases, most_tiles=9))
    tokens.cut(0, size)
    sources, patch = tokens.sources(), np.concatenate(tokens.kind) == PATCH
    tile, units = np.concatenate(tokens.tile)[patch], sources.units[patch]
    assert patch.sum() - 27**2 <= 9 * 27**2
    rows = units // sources.patches
    assert (rows == rows[:, :1]).all()
    pairs = np.unique(np.stack([tile, rows[:, 0]], 1), axis=0)
    assert len(pairs) == len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(tokens.tiles)
    owned = [np.unique(unit) for unit in units]
    together = np.concatenate(owned)
    assert len(np.unique(together)) == len(together)
    assert np.array_equal(np.sort(together), np.unique(sources.index[sources.index >= 0]))


def test_every_card_was_checked_and_the_smallest_of_a_family_comes_first():
    others = (
        test_gemma3n_checkpoints,
        test_gemma4_checkpoints,
        test_packed_checkpoints,
        test_qwen_checkpoints,
        test_tiles_checkpoints,
    )
    checked = {*PUBLISHED, *(name for other in others for name in other.PUBLISHED)}
    assert checked == set(MODELS) - {"embedded"}
    of_family: dict[str, list[float]] = {}
    for card in MODELS.values():
        of_family.setdefault(card.family, []).append(card.memory_gb)
    assert all(sizes == sorted(sizes) for sizes in of_family.values())
    assert set(of_family) == {family.name for family in FAMILIES.values()}
    assert [card.name for card in MODELS.values() if card.tested == "run"] == ["embedded"]
