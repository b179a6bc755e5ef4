"""A tiny model of DeepSeek-VL with two towers."""

from transformers import (
    DeepseekVLHybridConfig,
    DeepseekVLHybridForConditionalGeneration,
    DeepseekVLHybridProcessor,
    LlamaConfig,
    SamVisionConfig,
    SiglipVisionConfig,
)
from transformers.models.deepseek_vl_hybrid.image_processing_pil_deepseek_vl_hybrid import (
    DeepseekVLHybridImageProcessorPil,
)

from tests.models.tiny import Tiny, byte_tokenizer, text_sizes


def deepseek_vl_hybrid() -> tuple:
    """6 x 6 patches of a square of 48 pixels, and SAM's 12 x 12 of one of 96."""
    tokenizer = byte_tokenizer(image_token="<image>")
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "patch_size": 8}
    siglip = SiglipVisionConfig(**sizes, intermediate_size=64, image_size=48, vision_use_head=False)
    sam = SamVisionConfig(
        **sizes, mlp_dim=64, image_size=96, output_channels=8, window_size=5,
        global_attn_indexes=[1, 3],
    )  # fmt: skip
    config = DeepseekVLHybridConfig(
        vision_config=siglip,
        high_res_vision_config=sam,
        text_config=LlamaConfig(**text_sizes()),
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    pixels = DeepseekVLHybridImageProcessorPil(
        size={"height": 48, "width": 48}, high_res_size={"height": 96, "width": 96}
    )
    processor = DeepseekVLHybridProcessor(pixels, tokenizer, num_image_tokens=36)
    return DeepseekVLHybridForConditionalGeneration(config), processor


TINY_DEEPSEEK = {
    "deepseek_vl_hybrid": Tiny(deepseek_vl_hybrid, ((96, 96), (240, 96), (97, 240), (300, 120))),
}
"""For the tests of every family."""
