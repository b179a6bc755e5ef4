"""Tiny models of Gemma 4: like the large checkpoints, with experts, and like E2B and E4B."""

from transformers import (
    Gemma4AudioConfig,
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4Processor,
    Gemma4TextConfig,
    Gemma4VisionConfig,
)
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

from tests.models.tiny import Tiny, byte_tokenizer, text_sizes
from tokviz.models.families.processors import still_images

ROLES = ("image_token", "boi_token", "eoi_token", "audio_token", "boa_token", "eoa_token")


def gemma4(**more) -> tuple:
    """Up to 140 tokens of 3 x 3 patches; every other layer has a window and narrower heads."""
    names = {role: f"<{role}>" for role in ROLES}
    tokenizer = byte_tokenizer(*names.values(), "<|video|>", **names)
    text = text_sizes(num_attention_heads=4, num_key_value_heads=2, head_dim=8, sliding_window=40)
    text |= {"layer_types": ["sliding_attention", "full_attention"] * 2, "global_head_dim": 12}
    text |= {"attention_k_eq_v": True, "num_global_key_value_heads": 1}
    text |= {"use_bidirectional_attention": "vision", "hidden_size_per_layer_input": 0}
    text |= {"final_logit_softcapping": 30.0, "tie_word_embeddings": False}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "head_dim": 8}
    vision |= {"num_attention_heads": 4, "num_key_value_heads": 4, "patch_size": 4}
    vision |= {"position_embedding_size": 512, "standardize": True}
    vision |= more.pop("vision", {})
    audio = more.pop("audio_config", None)
    config = Gemma4Config(
        text_config=Gemma4TextConfig(**{**text, **more}),
        audio_config=audio,
        vision_config=Gemma4VisionConfig(**vision),
        **{f"{role}_id": getattr(tokenizer, f"{role}_id") for role in ROLES[:5]},
        eoa_token_index=tokenizer.eoa_token_id,
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        tie_word_embeddings=False,
    )
    model = Gemma4ForConditionalGeneration(config)
    tower = model.model.vision_tower
    if tower.config.standardize:
        tower.std_bias.fill_(0.1)
        tower.std_scale.fill_(0.3)
    pixels = Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=140)
    parts = Gemma4AudioFeatureExtractor(), pixels, tokenizer
    return model, still_images(Gemma4Processor)(*parts)


def gemma4_experts() -> tuple:
    """Two of four experts beside the MLP of every layer."""
    experts = {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 24}
    return gemma4(enable_moe_block=True, **experts)


def gemma4_e2b() -> tuple:
    """Nine layers, of which the last three read the keys of layers 4 and 5; an audio tower."""
    shared = {"num_hidden_layers": 9, "num_kv_shared_layers": 3, "use_double_wide_mlp": True}
    shared |= {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 3}
    shared |= {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 300}
    shared |= {"use_bidirectional_attention": None, "attention_k_eq_v": False}
    sound = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    sound |= {"subsampling_conv_channels": [8, 4], "output_proj_dims": 32}
    tower = {"standardize": False, "use_clipped_linears": True}
    return gemma4(**shared, vision=tower, audio_config=Gemma4AudioConfig(**sound))


SHAPES = ((96, 96), (240, 96), (97, 230))
TINY_GEMMA4 = {"gemma4": Tiny(gemma4, SHAPES), "gemma4_e2b": Tiny(gemma4_e2b, SHAPES)}
"""For the tests of every family."""
KIN_GEMMA4 = {"gemma4_experts": Tiny(gemma4_experts, ((240, 96),))}
"""The checkpoint with experts."""
