"""Tiny models of MiniCPM-V."""

from transformers import (
    MiniCPMV4_6Config,
    MiniCPMV4_6ForConditionalGeneration,
    MiniCPMV4_6Processor,
    MiniCPMV4_7Config,
    MiniCPMV4_7ForConditionalGeneration,
    MiniCPMV4_7Processor,
)
from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import (
    MiniCPMV4_6ImageProcessorPil,
)

from tests.models.tiny import Tiny, byte_tokenizer, text_sizes
from tokviz.models.families.processors import still_images

MARKS = {
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
}
"""Names that the processor asks its tokenizer for."""


def text() -> dict:
    """Qwen3.5's decoder: every third of six layers has attention, the others linear attention."""
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    rope |= {"mrope_interleaved": True, "partial_rotary_factor": 0.5}
    kinds = ["linear_attention", "linear_attention", "full_attention"] * 2
    linear = {"linear_key_head_dim": 8, "linear_value_head_dim": 12}
    linear |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
    sizes = text_sizes(num_hidden_layers=6, layer_types=kinds, head_dim=16)
    return {"model_type": "qwen3_5_text", **sizes, **linear, "rope_parameters": rope}


def minicpm(
    model, config, processor, mode: str = "16x", patch: int = 4, words: dict | None = None
) -> tuple:
    """Up to six slices; patches of 4 x 4 pixels, merged behind the second of six layers."""
    tokenizer = byte_tokenizer(*list(MARKS.values())[1:], **MARKS)
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 6}
    vision |= {"num_attention_heads": 4, "image_size": 12 * patch, "patch_size": patch}
    ends = ("image_start", "image_end", "slice_start", "slice_end")
    marks = {f"{end}_id": getattr(tokenizer, f"{end}_token_id") for end in ends}
    marks |= {"newline_id": tokenizer.convert_tokens_to_ids("Ċ")}
    made = config(
        text_config=words or text(),
        vision_config=vision,
        insert_layer_id=1,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        downsample_mode=mode,
        **(marks if config is MiniCPMV4_7Config else {}),
    )
    pixels = MiniCPMV4_6ImageProcessorPil(
        patch_size=patch, scale_resolution=12 * patch, max_slice_nums=6, downsample_mode=mode
    )
    return model(made), still_images(processor)(pixels, tokenizer)


def minicpmv4_6(**sizes) -> tuple:
    """Sixteen patches to a token: 3 x 3 tokens of a square."""
    kinds = (MiniCPMV4_6ForConditionalGeneration, MiniCPMV4_6Config, MiniCPMV4_6Processor)
    return minicpm(*kinds, **sizes)


def minicpmv4_6_4x() -> tuple:
    """The merger amid the layers is left out: 6 x 6 tokens of a square; attention in all layers."""
    return minicpmv4_6(mode="4x", words={"model_type": "qwen2", **text_sizes()})


def minicpmv4_7() -> tuple:
    """The same with M-RoPE: the whole picture and its slices share a canvas."""
    return minicpm(MiniCPMV4_7ForConditionalGeneration, MiniCPMV4_7Config, MiniCPMV4_7Processor)


TINY_MINICPM = {
    "minicpmv4_6": Tiny(minicpmv4_6, ((96, 96), (240, 96), (97, 230), (40, 40), (500, 60))),
}
"""For the tests of every family."""

KIN_MINICPM = {"minicpmv4_7": Tiny(minicpmv4_7, ((240, 96),))}
"""Served by the same file."""

FORMS_MINICPM = {"minicpmv4_6_4x": Tiny(minicpmv4_6_4x, ((97, 230),))}
"""Another setting of the same files."""
