"""Configurations of published Gemma 3n checkpoints, on a device without memory.

The tower is a test's one here, see `stand_in_timm.py`; the parameters of the real one are counted.
"""

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from tests.models.checkpoints.test_tiles_checkpoints import sizes
from tests.models.stand_in_timm import NAME
from tokviz.models import MODELS
from tokviz.models.checkpoints.checkpoint import family_of
from tokviz.models.decoder.windows import sliding_layers
from tokviz.models.families.shared_keys import keyed_layers, owners, whole_prompt_layers

pytestmark = pytest.mark.matrix

TOWER = 294_126_912
"""Parameters of `mobilenetv5_300m_enc` of timm 1.0.31, counted on a device without memory."""
PUBLISHED = {
    "google/gemma-3n-E2B-it": sizes(2048, 8192, 30, 8, 2, num_kv_shared_layers=10),
    "google/gemma-3n-E4B-it": sizes(2048, 16384, 35, 8, 2, num_kv_shared_layers=15),
}
"""What config.json of each checkpoint says of the sizes of its decoder."""
UNREAD = 2 * 2048 * 512 + 256
"""Weights of the keys and values of a layer that shares keys: in the files, and not loaded."""
IN_FILES = {"google/gemma-3n-E2B-it": 5_439_438_272, "google/gemma-3n-E4B-it": 7_849_978_192}
"""What these configurations give with the weights that are not loaded."""


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_configuration_is_understood_and_its_card_is_right(name):
    card, text = MODELS[name], PUBLISHED[name]
    vision = {"model_type": "gemma3n_vision", "architecture": NAME, "hidden_size": 2048}
    vision |= {"model_args": {"width": 2048, "patch": 48}}
    config = AutoConfig.for_model("gemma3n", text_config=text, vision_config=vision)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    family = family_of(config.model_type)
    own = sum(parameter.numel() for parameter in model.model.vision_tower.parameters())
    count = sum(parameter.numel() for parameter in model.parameters()) - own + TOWER
    shared = text["num_kv_shared_layers"]
    assert count + shared * UNREAD == IN_FILES[name]
    assert f"{count / 1e9:.1f} B" == card.parameters
    assert 2 * count / 1e9 == pytest.approx(card.memory_gb, rel=0.01)
    assert family.has_cls(model) is card.has_cls is False
    assert not len(family.tower_layers(model))
    family.check_model(model)
    decoder = family.decoder(model)
    first = len(decoder.layers) - shared
    assert keyed_layers(decoder) == first
    assert whole_prompt_layers(decoder) == len(decoder.layers)
    assert len(sliding_layers(decoder)) == first - first // 5
    assert set(owners(decoder).values()) == {first - 2, first - 1}
