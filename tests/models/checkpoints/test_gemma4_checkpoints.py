"""Configurations of published Gemma 4 checkpoints, on a device without memory."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from tests.models.checkpoints.test_tiles_checkpoints import sizes
from tokviz.errors import ModelError
from tokviz.models import MODELS
from tokviz.models.checkpoints.checkpoint import family_of
from tokviz.models.decoder.windows import sliding_layers

pytestmark = pytest.mark.matrix

TOWER = sizes(1152, 4304, 27, 16, 16, head_dim=72, patch_size=16, standardize=True)
EXPERTS = {"enable_moe_block": True, "num_experts": 128, "top_k_experts": 8}


def text(*of, **more):
    """A decoder whose layers have keys of their own."""
    own = {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 0, "attention_k_eq_v": True}
    return sizes(*of, model_type="gemma4_text", sliding_window=1024, **{**own, **more})


PUBLISHED = {
    "google/gemma-4-26B-A4B-it": text(
        2816, 2112, 30, 16, 8, num_global_key_value_heads=2, moe_intermediate_size=704, **EXPERTS
    ),
    "google/gemma-4-31B-it": text(5376, 21504, 60, 32, 16, num_global_key_value_heads=4),
}
"""What config.json of each checkpoint says of the sizes of its decoder."""


def built(decoder):
    config = AutoConfig.for_model("gemma4", text_config=decoder, vision_config=TOWER)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    return model, family_of(config.model_type)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_configuration_is_understood_and_its_card_is_right(name):
    card = MODELS[name]
    model, family = built(PUBLISHED[name])
    count = sum(parameter.numel() for parameter in model.parameters())
    assert f"{count / 1e9:.1f} B" == card.parameters
    assert 2 * count / 1e9 == pytest.approx(card.memory_gb, rel=0.06)
    assert family.has_cls(model) is card.has_cls is False
    assert family.feature_layer(model) == len(family.tower_layers(model)) - 1
    layers = len(family.decoder(model).layers)
    assert len(sliding_layers(family.decoder(model))) == layers * 5 // 6


def test_a_checkpoint_whose_last_layers_share_keys_is_refused_in_words():
    decoder = text(1536, 6144, 35, 8, 1, num_kv_shared_layers=20, hidden_size_per_layer_input=256)
    decoder["layer_types"] = [*["sliding_attention"] * 4, "full_attention"] * 7
    model, family = built(decoder)
    with pytest.raises(ModelError, match="last 20 decoder layers read the keys of earlier ones"):
        family.check_model(model)
