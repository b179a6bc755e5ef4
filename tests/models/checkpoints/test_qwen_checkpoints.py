"""Configurations of published Qwen and GLM-V checkpoints, on a device without memory."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tokviz.models import MODELS
from tokviz.models.checkpoints.cards import REPORTED
from tokviz.models.checkpoints.checkpoint import family_of

pytestmark = pytest.mark.matrix

SECTIONS = {"type": "mrope", "mrope_section": [16, 24, 24]}
TOWER = {"depth": 32, "num_heads": 16, "patch_size": 14, "spatial_merge_size": 2}
WINDOWS = {"hidden_size": 1280, "intermediate_size": 3420, "hidden_act": "silu"}
WINDOWS |= {"window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]}
DEEP = {"model_type": "qwen3_vl", "depth": 24, "hidden_size": 1024, "intermediate_size": 4096}
DEEP |= {"num_heads": 16, "patch_size": 16, "deepstack_visual_indexes": [5, 11, 17]}
ROPE3 = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [24, 20, 20]}


ROPE35 = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [11, 11, 10]}
ROPE35 |= {"rope_theta": 10000000, "partial_rotary_factor": 0.25}
LINEAR = {"linear_num_key_heads": 16, "linear_key_head_dim": 128, "linear_value_head_dim": 128}
LINEAR |= {"full_attention_interval": 4, "head_dim": 256, "rope_parameters": ROPE35}
FLAT = {"depth": 12, "hidden_size": 768, "intermediate_size": 3072, "num_heads": 12}


def text(width, inner, layers, heads, groups, words, **more):
    """Sizes of a language model under the names that config.json has for them."""
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "vocab_size": words,
        **more,
    }


def deep_text(*sizes):
    """The language model of a Qwen3-VL."""
    return text(*sizes, 8, 151936, head_dim=128, rope_theta=5000000, rope_scaling=ROPE3)


PUBLISHED = {
    "Qwen/Qwen2-VL-2B-Instruct": {
        **text(1536, 8960, 28, 12, 2, 151936, rope_scaling=SECTIONS, tie_word_embeddings=True),
        "vision_config": {**TOWER, "embed_dim": 1280, "hidden_size": 1536},
    },
    "Qwen/Qwen2-VL-7B-Instruct": {
        **text(3584, 18944, 28, 28, 4, 152064, rope_scaling=SECTIONS),
        "vision_config": {**TOWER, "embed_dim": 1280, "hidden_size": 3584},
    },
    "Qwen/Qwen2.5-VL-3B-Instruct": {
        **text(2048, 11008, 36, 16, 2, 151936, rope_scaling=SECTIONS, tie_word_embeddings=True),
        "vision_config": {**TOWER, **WINDOWS, "out_hidden_size": 2048},
    },
    "Qwen/Qwen2.5-VL-7B-Instruct": {
        **text(3584, 18944, 28, 28, 4, 152064, rope_scaling=SECTIONS),
        "vision_config": {**TOWER, **WINDOWS, "out_hidden_size": 3584},
    },
    "Qwen/Qwen3-VL-2B-Instruct": {
        "text_config": deep_text(2048, 6144, 28, 16),
        "vision_config": {**DEEP, "out_hidden_size": 2048},
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3-VL-4B-Instruct": {
        "text_config": deep_text(2560, 9728, 36, 32),
        "vision_config": {**DEEP, "out_hidden_size": 2560},
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3-VL-8B-Instruct": {
        "text_config": deep_text(4096, 12288, 36, 32),
        "vision_config": {
            **DEEP,
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "deepstack_visual_indexes": [8, 16, 24],
            "out_hidden_size": 4096,
        },
    },
    "Qwen/Qwen3-VL-30B-A3B-Instruct": {
        "text_config": {
            **deep_text(2048, 6144, 48, 32),
            "num_key_value_heads": 4,
            "moe_intermediate_size": 768,
            "num_experts": 128,
            "num_experts_per_tok": 8,
        },
        "vision_config": {
            **DEEP,
            "model_type": "qwen3_vl_moe",
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "deepstack_visual_indexes": [8, 16, 24],
            "out_hidden_size": 2048,
        },
    },
    "Qwen/Qwen3.5-0.8B": {
        "text_config": text(
            1024,
            3584,
            24,
            8,
            2,
            248320,
            linear_num_value_heads=16,
            tie_word_embeddings=True,
            **LINEAR,
        ),
        "vision_config": {**FLAT, "out_hidden_size": 1024},
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3.5-4B": {
        "text_config": text(
            2560,
            9216,
            32,
            16,
            4,
            248320,
            linear_num_value_heads=32,
            tie_word_embeddings=True,
            **LINEAR,
        ),
        "vision_config": {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_heads": 16,
            "out_hidden_size": 2560,
        },
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3.5-35B-A3B": {
        "text_config": {
            "hidden_size": 2048,
            "num_hidden_layers": 40,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "vocab_size": 248320,
            "linear_num_value_heads": 32,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
            "num_experts": 256,
            "num_experts_per_tok": 8,
            **LINEAR,
        },
        "vision_config": {
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_heads": 16,
            "out_hidden_size": 2048,
        },
    },
    "zai-org/GLM-4.1V-9B-Thinking": {
        "text_config": text(
            4096,
            13696,
            40,
            32,
            2,
            151552,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000,
                "partial_rotary_factor": 0.5,
                "mrope_section": [8, 12, 12],
            },
        ),
        "vision_config": {
            "depth": 24,
            "hidden_size": 1536,
            "num_heads": 12,
            "intermediate_size": 13696,
            "out_hidden_size": 4096,
            "image_size": 336,
            "patch_size": 14,
        },
    },
}
PUBLISHED["zai-org/GLM-4.6V-Flash"] = PUBLISHED["zai-org/GLM-4.1V-9B-Thinking"]
"""What config.json of each checkpoint says of its sizes."""


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_configuration_is_understood_and_its_card_is_right(name):
    card = MODELS[name]
    config = AutoConfig.for_model(card.family, **PUBLISHED[name])
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    family = family_of(config.model_type)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == REPORTED.get(name, count)
    assert f"{count / 1e9:.1f} B" == card.parameters
    assert 2 * count / 1e9 == pytest.approx(card.memory_gb, rel=0.06)
    assert family.has_cls(model) is card.has_cls is False
    assert family.feature_layer(model) == len(family.tower_layers(model)) - 1
    assert len(family.decoder(model).layers) == config.get_text_config().num_hidden_layers

    picture = np.zeros((768, 1024, 3), np.uint8)
    patch = config.vision_config.patch_size
    grid = Qwen2VLImageProcessorPil(patch_size=patch)(picture, return_tensors="pt")
    rows, cols = (24, 32) if patch == 16 else (27, 37)
    ids = torch.tensor([[1, *[config.image_token_id] * rows * cols, 2, 3]])
    types = (ids == config.image_token_id).int()
    inputs = {"input_ids": ids, "mm_token_type_ids": types, **grid}
    positions = family.positions(model, inputs)
    assert positions[1:, 0, -3].tolist() == [1, rows, cols]
    assert positions[:, 0, -1].tolist() == [rows * cols + 2] + [cols + 2] * 3
    sources = family.sources(model, inputs, layout_of(family, model, inputs))
    assert sorted(sources.index.ravel()) == list(range(4 * rows * cols))


def layout_of(family, model, inputs):
    """The layout of one picture of 1024 x 768 pixels."""

    class Picture:
        size = (1024, 768)

    layout = family.layout(model, None, inputs, [Picture()])
    assert layout.box[-1].tolist() == pytest.approx(
        [1024 - 1024 / layout.tiles[0].cols, 768 - 768 / layout.tiles[0].rows, 1024, 768]
    )
    return layout
