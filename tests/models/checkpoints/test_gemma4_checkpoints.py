"""Configurations of published Gemma 4 checkpoints, on a device without memory."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from tests.models.checkpoints.test_tiles_checkpoints import sizes
from tokviz.models import MODELS
from tokviz.models.checkpoints.cards import REPORTED
from tokviz.models.checkpoints.checkpoint import family_of
from tokviz.models.decoder.windows import sliding_layers
from tokviz.models.families.shared_keys import owners, whole_prompt_layers

pytestmark = pytest.mark.matrix

TOWER = sizes(1152, 4304, 27, 16, 16, head_dim=72, patch_size=16, standardize=True)
EXPERTS = {"enable_moe_block": True, "num_experts": 128, "top_k_experts": 8}


SMALL_TOWER = sizes(768, 3072, 16, 12, 12, head_dim=64, patch_size=16, use_clipped_linears=True)


def text(*of, **more):
    """A decoder whose layers have keys of their own."""
    own = {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 0, "attention_k_eq_v": True}
    return sizes(*of, model_type="gemma4_text", **{"sliding_window": 1024, **own, **more})


def shared(*of, every, last, **more):
    """A decoder whose last layers share keys; every so manieth layer attends to all tokens."""
    kinds = ["sliding_attention"] * (every - 1) + ["full_attention"]
    kinds = {"layer_types": kinds * (of[2] // every), "num_kv_shared_layers": last}
    kinds |= {"hidden_size_per_layer_input": 256, "attention_k_eq_v": False}
    return text(*of, **{**kinds, "sliding_window": 512, **more})


PUBLISHED = {
    "google/gemma-4-E2B-it": shared(
        1536, 6144, 35, 8, 1, every=5, last=20, use_double_wide_mlp=True
    ),
    "google/gemma-4-E4B-it": shared(2560, 10240, 42, 8, 2, every=6, last=18),
    "google/gemma-4-26B-A4B-it": text(
        2816, 2112, 30, 16, 8, num_global_key_value_heads=2, moe_intermediate_size=704, **EXPERTS
    ),
    "google/gemma-4-31B-it": text(5376, 21504, 60, 32, 16, num_global_key_value_heads=4),
}
"""What config.json of each checkpoint says of the sizes of its decoder."""


def built(decoder):
    parts = {"vision_config": TOWER}
    if decoder["num_kv_shared_layers"]:  # these have an audio tower, too, of the default sizes
        parts = {"vision_config": SMALL_TOWER, "audio_config": {"model_type": "gemma4_audio"}}
    config = AutoConfig.for_model("gemma4", text_config=decoder, **parts)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    return model, family_of(config.model_type)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_configuration_is_understood_and_its_card_is_right(name):
    card = MODELS[name]
    model, family = built(PUBLISHED[name])
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == REPORTED.get(name, count)
    assert f"{count / 1e9:.1f} B" == card.parameters
    assert 2 * count / 1e9 == pytest.approx(card.memory_gb, rel=0.06)
    assert family.has_cls(model) is card.has_cls is False
    assert family.feature_layer(model) == len(family.tower_layers(model)) - 1
    family.check_model(model)
    decoder = family.decoder(model)
    own = len(decoder.layers) - PUBLISHED[name]["num_kv_shared_layers"]
    every = 5 if "E2B" in name else 6
    assert len(sliding_layers(decoder)) == own - own // every
    assert whole_prompt_layers(decoder) == own
    assert set(owners(decoder).values()) == (
        {own - 2, own - 1} if own < len(decoder.layers) else set()
    )
