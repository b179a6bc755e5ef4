"""Tiny models of the families whose tower has all pictures in one sequence, in raster order."""

from PIL import Image
from transformers import (
    LightOnOcrConfig,
    LightOnOcrForConditionalGeneration,
    LightOnOcrProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Ministral3Config,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PaddleOCRVLConfig,
    PaddleOCRVLForConditionalGeneration,
    PaddleOCRVLProcessor,
    PixtralVisionConfig,
    Qwen3Config,
)
from transformers.models.paddleocr_vl.image_processing_pil_paddleocr_vl import (
    PaddleOCRVLImageProcessorPil,
)
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil

from tests.models.tiny import Tiny, byte_tokenizer, text_sizes
from tokviz.models.families.pixtral_processor import PixtralProcessor

ROWS = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
WIDE = {"head_dim": 8}


def tower(patch: int = 4) -> PixtralVisionConfig:
    """Four layers with four heads."""
    return PixtralVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        patch_size=patch,
        image_size=48,
    )


def pixels(patch: int = 4) -> PixtralImageProcessorPil:
    """Pictures of whole patches, 48 pixels on their longest side; pixels mix with none beyond."""
    return PixtralImageProcessorPil(
        size={"longest_edge": 48}, patch_size=patch, resample=Image.Resampling.NEAREST
    )


def mistral3(text=MistralConfig, **more) -> tuple:
    """Patches of 4 x 4 pixels, four to a token, up to 6 x 6 tokens; breaks between the rows."""
    tokenizer = byte_tokenizer(*ROWS.values())
    config = Mistral3Config(
        vision_config=tower(),
        text_config=text(**text_sizes(**WIDE), sliding_window=None, **more),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        tie_word_embeddings=False,
    )
    processor = PixtralProcessor(pixels(), tokenizer, patch_size=4, spatial_merge_size=2)
    return Mistral3ForConditionalGeneration(config), processor


def ministral3() -> tuple:
    """Its queries grow with their position, here from the 16th on."""
    rope = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 128.0}
    rope |= {"original_max_position_embeddings": 16, "llama_4_scaling_beta": 0.5}
    return mistral3(Ministral3Config, rope_parameters=rope)


def lighton_ocr() -> tuple:
    """The same tower; pictures are whole patches, and an odd row or column of them is left out."""
    tokenizer = byte_tokenizer(*ROWS.values(), **ROWS)
    config = LightOnOcrConfig(
        vision_config=tower(),
        text_config=Qwen3Config(**text_sizes(**WIDE)),
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    processor = LightOnOcrProcessor(pixels(), tokenizer, patch_size=4, spatial_merge_size=2)
    return LightOnOcrForConditionalGeneration(config), processor


def pixtral() -> tuple:
    """A visual token for each of up to 6 x 6 patches of 8 x 8 pixels."""
    tokenizer = byte_tokenizer(*ROWS.values())
    config = LlavaConfig(
        vision_config=tower(8),
        text_config=MistralConfig(**text_sizes(**WIDE), sliding_window=None),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    processor = PixtralProcessor(pixels(8), tokenizer, patch_size=8)
    return LlavaForConditionalGeneration(config), processor


def paddleocr_vl() -> tuple:
    """Its own packed tower: patches of 8 x 8 pixels, four to a token; M-RoPE."""
    names = {"image_token": "<|IMAGE_PLACEHOLDER|>"}
    marks = ("<|IMAGE_START|>", "<|IMAGE_END|>")
    tokenizer = byte_tokenizer(*names.values(), *marks, **names)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    start, end = tokenizer.convert_tokens_to_ids(list(marks))
    config = PaddleOCRVLConfig(
        text_config=text_sizes(**WIDE, rope_parameters=rope),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": 48,
            "patch_size": 8,
        },
        image_token_id=tokenizer.image_token_id,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )
    images = PaddleOCRVLImageProcessorPil(
        patch_size=8, size={"shortest_edge": 32 * 32, "longest_edge": 96 * 96}
    )
    return PaddleOCRVLForConditionalGeneration(config), PaddleOCRVLProcessor(images, tokenizer)


SIZES = ((48, 48), (120, 48), (31, 97), (200, 20))
TINY_PACKED: dict[str, Tiny] = {
    "lighton_ocr": Tiny(lighton_ocr, (*SIZES[:3], (140, 31))),
    "mistral3": Tiny(mistral3, SIZES),
    "paddleocr_vl": Tiny(paddleocr_vl, ((96, 96), (240, 96), (97, 230), (600, 60))),
    "pixtral": Tiny(pixtral, SIZES),
}
"""Family -> its tiny model, for the tests of every family."""

KIN_PACKED: dict[str, Tiny] = {"ministral3": Tiny(ministral3, SIZES[1:2])}
"""Mistral 3 around another decoder."""
