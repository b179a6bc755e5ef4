"""A tiny model of Gemma 3n around a test's tower, see `stand_in_timm.py`."""

import torch
from transformers import (
    Gemma3nAudioConfig,
    Gemma3nAudioFeatureExtractor,
    Gemma3nConfig,
    Gemma3nForConditionalGeneration,
    Gemma3nProcessor,
    Gemma3nTextConfig,
    Gemma3nVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.models.stand_in_timm import NAME
from tests.models.tiny import Tiny, byte_tokenizer, text_sizes

ROLES = ("boi_token", "boa_token", "eoi_token", "image_token", "eoa_token", "audio_token")
"""As in Gemma 3n's vocabulary: the first two belong to the text. Behind it are two for pictures and
two for sound, which have embeddings of their own, and no input of the layers."""
SPARE = 5
"Rows of the head beyond the vocabulary."


def gemma3n(tower: dict | None = None, side: int = 6, **more) -> tuple:
    """6 x 6 tokens; nine layers, of which the last three read the keys of layers 4 and 5.

    Every state has four versions; the MLPs of the first two layers keep the largest 5 %.
    """
    names = {role: f"<{role}>" for role in ROLES}
    words = byte_tokenizer(*list(names.values())[:2], **names)
    plain, end = words.eoi_token_id, words.audio_token_id + 1
    text = text_sizes(num_attention_heads=4, num_key_value_heads=2, head_dim=8, sliding_window=40)
    text |= {"num_hidden_layers": 9, "num_kv_shared_layers": 3, "vocab_size": end + SPARE}
    text |= {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 3}
    text |= {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": plain}
    text |= {"activation_sparsity_pattern": [0.95] * 2 + [0.0] * 7, "laurel_rank": 4}
    vision = {"architecture": NAME, "hidden_size": 32, "model_args": {"width": 32, "patch": 8}}
    vision |= tower or {}
    sound = {"hidden_size": 32, "conf_num_hidden_layers": 1, "conf_num_attention_heads": 4}
    sound |= {"sscp_conv_channel_size": (8, 4)}
    places = {f"{role}_id": getattr(words, f"{role}_id") for role in ROLES}
    config = Gemma3nConfig(
        text_config=Gemma3nTextConfig(**{**text, **more}),
        vision_config=Gemma3nVisionConfig(**vision, vocab_offset=plain, vocab_size=2),
        audio_config=Gemma3nAudioConfig(**sound, vocab_offset=plain + 2, vocab_size=2 + SPARE),
        vision_soft_tokens_per_image=side * side,
        audio_soft_tokens_per_image=4,
        **places,
    )
    model = Gemma3nForConditionalGeneration(config)
    with torch.no_grad():  # zeros at first: the layers' own inputs would change nothing
        for layer in model.model.language_model.layers:
            layer.altup.correct_output_scale.normal_()
    pixels = SiglipImageProcessorPil(
        size={"height": 8 * side, "width": 8 * side}, image_mean=[0.0] * 3, image_std=[1.0] * 3
    )
    parts = Gemma3nAudioFeatureExtractor(), pixels, words
    return model, Gemma3nProcessor(*parts, audio_seq_length=4, image_seq_length=side * side)


TINY_GEMMA3N = {"gemma3n": Tiny(gemma3n, ((96, 96), (240, 96), (96, 240)))}
"""For the tests of every family."""
