"""Configurations of published checkpoints with packed towers, on a device without memory."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from tests.models.checkpoints.test_tiles_checkpoints import sizes
from tokviz.models import MODELS
from tokviz.models.checkpoints.checkpoint import family_of

pytestmark = pytest.mark.matrix


def tower(patch, image):
    """The tower of all of them."""
    return sizes(1024, 4096, 24, 16, model_type="pixtral", patch_size=patch, image_size=image)


def text(kind, *of, words=131072, **more):
    """A decoder with heads of 128."""
    return sizes(*of, model_type=kind, vocab_size=words, head_dim=128, sliding_window=None, **more)


PUBLISHED = {
    "mistral-community/pixtral-12b": {
        "text_config": text("mistral", 5120, 14336, 40, 32, 8),
        "vision_config": tower(16, 1024),
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": False,
    },
    "mistralai/Ministral-3-3B-Instruct-2512-BF16": {
        "text_config": text("ministral3", 3072, 9216, 26, 32, 8, tie_word_embeddings=True),
        "vision_config": tower(14, 1540),
        "tie_word_embeddings": True,
    },
    "mistralai/Mistral-Small-3.1-24B-Instruct-2503": {
        "text_config": text("mistral", 5120, 32768, 40, 32, 8),
        "vision_config": tower(14, 1540),
        "tie_word_embeddings": False,
    },
    "lightonai/LightOnOCR-1B-1025": {
        "text_config": text("qwen3", 1024, 3072, 28, 16, 8, words=151936),
        "vision_config": tower(14, 1540),
    },
    "PaddlePaddle/PaddleOCR-VL": {
        "text_config": {
            **sizes(1024, 3072, 18, 16, 2, head_dim=128, vocab_size=103424),
            "tie_word_embeddings": False,
        },
        "vision_config": sizes(1152, 4304, 27, 16, image_size=384, patch_size=14),
        "tie_word_embeddings": False,
    },
}
"""What config.json of each checkpoint says of its sizes."""


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_configuration_is_understood_and_its_card_is_right(name):
    card, parts = MODELS[name], PUBLISHED[name]
    config = AutoConfig.for_model("llava" if card.family == "pixtral" else card.family, **parts)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    family = family_of(config.model_type, tower=config.vision_config.model_type)
    family.check_model(model)
    assert family.name == card.family
    count = sum(parameter.numel() for parameter in model.parameters())
    written = f"{count / 1e9:.1f} B" if count > 1e9 else f"{count / 1e6:.0f} M"
    assert written == card.parameters
    assert 2 * count / 1e9 == pytest.approx(card.memory_gb, rel=0.06)
    assert family.has_cls(model) is card.has_cls is False
    assert family.feature_layer(model) == len(family.tower_layers(model)) - 1
    assert len(family.decoder(model).layers) == config.get_text_config().num_hidden_layers
    joined = 1 if card.family == "pixtral" else 4
    assert family.project(model, pre_of(model, joined)).shape == (3, config.text_config.hidden_size)


def pre_of(model, joined):
    """Three visual tokens before the projector, without memory."""
    width = joined * model.config.vision_config.hidden_size
    return torch.empty(3, width, dtype=torch.bfloat16, device="meta")
