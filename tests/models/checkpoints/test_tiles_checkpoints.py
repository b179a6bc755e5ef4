"""Configurations of published checkpoints are understood, on a device without memory."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from tokviz.models import MODELS
from tokviz.models.checkpoints.cards import REPORTED
from tokviz.models.checkpoints.checkpoint import family_of
from tokviz.models.decoder.windows import sliding_layers

pytestmark = pytest.mark.matrix


def sizes(width, inner, layers, heads, groups=None, **more):
    """Sizes of a text or vision part under the names that config.json has for them."""
    found = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    return found | ({"num_key_value_heads": groups} if groups else {}) | more


def so400m(image, patch=14, **more):
    """The SigLIP tower that most of them have."""
    return sizes(1152, 4304, 27, 16, image_size=image, patch_size=patch, **more)


def base(image):
    """The smaller SigLIP tower."""
    return sizes(768, 3072, 12, 12, image_size=image, patch_size=16)


def smol(text, vision, scale, words=49280):
    """An Idefics3 or SmolVLM."""
    text = {"model_type": "llama", "vocab_size": words, **text}
    return {"text_config": text, "vision_config": vision, "scale_factor": scale}


def pali(text, width, image):
    """A PaliGemma."""
    vision = {"model_type": "siglip_vision_model", **so400m(image), "vision_use_head": False}
    text = {"vocab_size": 257216, "head_dim": 256, **text}
    return {"text_config": text, "vision_config": vision, "projection_dim": width}


def gemma3(*text):
    """A Gemma 3."""
    vision = {"model_type": "siglip_vision_model", **so400m(896), "vision_use_head": False}
    more = {"model_type": "gemma3_text", "head_dim": 256, "sliding_window": 1024}
    return {"text_config": sizes(*text, **more), "vision_config": vision}


KINDS = ["full_attention" if i in (2, 5, 8, 10, 12, 14) else "conv" for i in range(16)]
LFM2 = {
    "text_config": sizes(
        1024, 6656, 16, 16, 8, model_type="lfm2", vocab_size=65536, layer_types=KINDS
    ),
    "vision_config": sizes(
        768, 3072, 12, 12, model_type="siglip2_vision_model", patch_size=16, vision_use_head=False
    ),
}
AYA = {
    "text_config": sizes(4096, 14336, 32, 32, 8, model_type="cohere2", vocab_size=256000),
    "vision_config": {"model_type": "siglip_vision_model", **so400m(364), "vision_use_head": False},
    "alignment_intermediate_size": 28672,
    "downsample_factor": 2,
}
COMMAND = {
    "text_config": sizes(12288, 36864, 64, 96, 8, model_type="cohere2", vocab_size=256000),
    "vision_config": {
        "model_type": "siglip_vision_model",
        **so400m(512, 16),
        "vision_use_head": False,
    },
    "alignment_intermediate_size": 36864,
    "downsample_factor": 2,
}
DEEPSEEK = {
    "text_config": sizes(2048, 5632, 24, 16, model_type="llama", vocab_size=102400),
    "vision_config": {
        "model_type": "siglip_vision_model",
        **sizes(1024, 4096, 24, 16, image_size=384, patch_size=16),
        "vision_use_head": False,
    },
    "tie_word_embeddings": False,
}
HYBRID = {
    "text_config": sizes(4096, 11008, 30, 32, model_type="llama", vocab_size=102400),
    "vision_config": DEEPSEEK["vision_config"],
    "high_res_vision_config": {"model_type": "sam_vision_model"},  # SAM-B, the default
    "tie_word_embeddings": False,
}
OVIS = {
    "text_config": sizes(896, 4864, 24, 14, 2, model_type="qwen2", vocab_size=151936),
    "vision_config": {
        **sizes(1024, 2816, 24, 8, image_size=448, patch_size=14),
        "vocab_size": 65536,
        "hidden_stride": 2,
    },
    "hidden_size": 896,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
MINICPM = {
    "text_config": sizes(
        1024,
        3584,
        24,
        8,
        2,
        model_type="qwen3_5_text",
        vocab_size=248094,
        head_dim=256,
        linear_num_key_heads=16,
        linear_num_value_heads=16,
        linear_key_head_dim=128,
        linear_value_head_dim=128,
        tie_word_embeddings=True,
    ),
    "vision_config": so400m(980),
    "insert_layer_id": 6,
    "image_size": 1120,
    "tie_word_embeddings": True,
}
SMALL, MIDDLE = sizes(576, 1536, 30, 9, 3), sizes(960, 2560, 32, 15, 5)
GEMMA = sizes(2048, 16384, 18, 8, 1, model_type="gemma")
GEMMA2 = sizes(2304, 9216, 26, 8, 4, model_type="gemma2")
PUBLISHED = {
    "HuggingFaceTB/SmolVLM-256M-Instruct": (smol(SMALL, base(512), 4), 64),
    "HuggingFaceTB/SmolVLM-500M-Instruct": (smol(MIDDLE, base(512), 4), 64),
    "HuggingFaceTB/SmolVLM2-256M-Video-Instruct": (smol(SMALL, base(512), 4), 64),
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct": (smol(MIDDLE, base(512), 4), 64),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": (
        smol(sizes(2048, 8192, 24, 32, 32), so400m(384), 3),
        81,
    ),
    "HuggingFaceM4/Idefics3-8B-Llama3": (
        smol(sizes(4096, 14336, 32, 32, 8), so400m(364), 2, 128259),
        169,
    ),
    "google/paligemma-3b-mix-224": (pali(GEMMA, 2048, 224), 256),
    "google/paligemma-3b-mix-448": (pali(GEMMA, 2048, 448), 1024),
    "google/paligemma2-3b-mix-224": (pali(GEMMA2, 2304, 224), 256),
    "google/gemma-3-4b-it": (gemma3(2560, 10240, 34, 8, 4), 256),
    "google/gemma-3-12b-it": (gemma3(3840, 15360, 48, 16, 8), 256),
    "CohereLabs/aya-vision-8b": (AYA, 169),
    "CohereLabs/command-a-vision-07-2025": (COMMAND, 256),
    "deepseek-community/deepseek-vl-1.3b-chat": (DEEPSEEK, 576),
    "deepseek-community/deepseek-vl-7b-chat": (HYBRID, 576),
    "thisisiron/Ovis2-1B-hf": (OVIS, 256),
    "LiquidAI/LFM2-VL-450M": (LFM2, 256),
    "openbmb/MiniCPM-V-4.6": (MINICPM, 64),
}
"""What config.json of each checkpoint says of its sizes, and visual tokens per tile."""


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_configuration_is_understood_and_its_card_is_right(name):
    card, (parts, tokens) = MODELS[name], PUBLISHED[name]
    config = AutoConfig.for_model(card.family, **parts)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    family = family_of(config.model_type)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == REPORTED.get(name, count)
    written = f"{count / 1e9:.1f} B" if count > 1e9 else f"{count / 1e6:.0f} M"
    assert (written, card.memory_gb) == (card.parameters, pytest.approx(2 * count / 1e9, rel=0.06))
    assert family.has_cls(model) is card.has_cls is False
    assert family.feature_layer(model) == len(family.tower_layers(model)) - 1
    assert len(family.decoder(model).layers) == config.get_text_config().num_hidden_layers
    windows = {"google/paligemma2-3b-mix-224": 13, "google/gemma-3-4b-it": 29}
    windows |= {
        "google/gemma-3-12b-it": 40,
        "CohereLabs/aya-vision-8b": 24,
        "CohereLabs/command-a-vision-07-2025": 48,
    }
    assert len(sliding_layers(family.decoder(model))) == windows.get(name, 0)
    vision = config.vision_config
    # of LFM2-VL's tiles and MiniCPM-V's slices, which their processors cut
    length = {"lfm2_vl": 512, "minicpmv4_6": 448}.get(card.family, getattr(vision, "image_size", 0))
    side = length // vision.patch_size
    joined = {
        "gemma3": 4, "aya_vision": 2, "cohere2_vision": 2, "ovis2": 2, "lfm2_vl": 2,
        "minicpmv4_6": 4,
    }.get(card.family)  # fmt: skip
    joined = joined or getattr(config, "scale_factor", 1)
    assert (side // joined) ** 2 == tokens
