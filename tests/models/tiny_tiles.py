"""Tiny models of the families with tiles, or with attention in both directions."""

from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    AyaVisionProcessor,
    Cohere2Config,
    Cohere2VisionConfig,
    Cohere2VisionForConditionalGeneration,
    Cohere2VisionProcessor,
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLProcessor,
    Gemma2Config,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    Gemma3TextConfig,
    GemmaConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    Lfm2Config,
    Lfm2VlConfig,
    Lfm2VlForConditionalGeneration,
    Lfm2VlProcessor,
    LlamaConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    Siglip2VisionConfig,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMProcessor,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from tests.models.tiny import (
    Tiny,
    byte_tokenizer,
    glm46v,
    granite,
    llava_full,
    qwen3_5_moe,
    qwen3_vl_moe,
    text_sizes,
)
from tests.models.tiny_deepseek import TINY_DEEPSEEK
from tests.models.tiny_gemma3n import TINY_GEMMA3N
from tests.models.tiny_gemma4 import KIN_GEMMA4, TINY_GEMMA4
from tests.models.tiny_minicpm import FORMS_MINICPM, KIN_MINICPM, TINY_MINICPM
from tests.models.tiny_ovis2 import TINY_OVIS2
from tests.models.tiny_packed import KIN_PACKED, TINY_PACKED
from tokviz.models.families.cohere_pixels import Cohere2VisionImageProcessor
from tokviz.models.families.lfm2_pixels import Lfm2Pixels
from tokviz.models.families.processors import still_images

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
TOWER |= {"num_attention_heads": 4, "image_size": 48}
TILES = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
TILES += [f"<row_{row}_col_{col}>" for row in range(1, 4) for col in range(1, 4)]


def tiled(config, model, pixels, processor) -> tuple:
    """Up to 3 x 3 tiles of 48 pixels: 8 x 8 patches, 2 x 2 of which make a visual token."""
    images = pixels(size={"longest_edge": 144}, max_image_size={"longest_edge": 48})
    made = config(
        vision_config={**TOWER, "patch_size": 6},
        text_config=LlamaConfig(**text_sizes(vocab_size=320)),
        image_token_id=4,
        scale_factor=2,
    )
    return model(made), processor(images, byte_tokenizer(*TILES), image_seq_len=16)


def idefics3() -> tuple:
    """Tiles in rows, then the whole image."""
    return tiled(
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
    )


def smolvlm() -> tuple:
    """The same under the other class names."""
    return tiled(
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessorPil,
        still_images(SmolVLMProcessor),
    )


def gemma_sizes(**changes) -> dict:
    """Text sizes with a head width of their own; untied, or every answer repeats its last word."""
    return text_sizes(num_attention_heads=4, num_key_value_heads=2, head_dim=12) | changes


def paligemma(text: GemmaConfig | Gemma2Config | None = None) -> tuple:
    """6 x 6 patches, one visual token each."""
    images = SiglipImageProcessorPil(size={"height": 48, "width": 48})
    images.image_seq_length = 36
    processor = PaliGemmaProcessor(images, byte_tokenizer())
    text = text or GemmaConfig(**gemma_sizes())
    text.vocab_size = len(processor.tokenizer)
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(**TOWER, patch_size=8, vision_use_head=False),
        text_config=text,
        image_token_index=4,
        projection_dim=48,
        hidden_size=48,
        tie_word_embeddings=False,
    )
    return PaliGemmaForConditionalGeneration(config), processor


def paligemma2() -> tuple:
    """With soft caps, and a window that the answer soon outgrows."""
    return paligemma(Gemma2Config(**gemma_sizes(), sliding_window=24, query_pre_attn_scalar=12))


def gemma3() -> tuple:
    """12 x 12 patches, averaged to 6 x 6 visual tokens; three of four layers have a window."""
    tokenizer = byte_tokenizer(
        "<start_of_image>",
        "<end_of_image>",
        image_token="<image>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
    )
    text = gemma_sizes(sliding_window=40, query_pre_attn_scalar=12, sliding_window_pattern=3)
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**TOWER, patch_size=4, vision_use_head=False),
        text_config=Gemma3TextConfig(**text),
        mm_tokens_per_image=36,
        image_token_index=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        tie_word_embeddings=False,
    )
    images = Gemma3ImageProcessorPil(size={"height": 48, "width": 48})
    return (
        Gemma3ForConditionalGeneration(config),
        Gemma3Processor(images, tokenizer, image_seq_length=36),
    )


def aya_vision() -> tuple:
    """6 x 6 patches to 3 x 3 tokens; up to six tiles; blocks side by side, windows in between."""
    names = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "TILE", "TILE_GLOBAL")
    tokenizer = byte_tokenizer("<image>", *names)
    pixels = GotOcr2ImageProcessorPil(
        size={"height": 48, "width": 48}, crop_to_patches=True, min_patches=1, max_patches=6
    )
    processor = AyaVisionProcessor(
        pixels, tokenizer, patch_size=8, img_size=48, downsample_factor=2
    )
    config = AyaVisionConfig(
        vision_config=SiglipVisionConfig(**TOWER, patch_size=8, vision_use_head=False),
        text_config=Cohere2Config(**text_sizes(sliding_window=24, sliding_window_pattern=2)),
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
    )
    return AyaVisionForConditionalGeneration(config), processor


def cohere2_vision() -> tuple:
    """Aya Vision's tower and decoder with a norm between tower and projector; up to six tiles."""
    names = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>")
    roles = ("boi_token", "eoi_token", "image_token", "img_line_break_token")
    tokenizer = byte_tokenizer(*names, **dict(zip(roles, names, strict=True)))
    pixels = Cohere2VisionImageProcessor(size={"height": 48, "width": 48}, max_patches=6)
    pixels.patch_size = 3
    config = Cohere2VisionConfig(
        vision_config=SiglipVisionConfig(**TOWER, patch_size=8, vision_use_head=False),
        text_config=Cohere2Config(**text_sizes(sliding_window=24, sliding_window_pattern=2)),
        image_token_id=tokenizer.image_token_id,
        alignment_intermediate_size=64,
    )
    made = Cohere2VisionForConditionalGeneration(config)
    return made, Cohere2VisionProcessor(pixels, tokenizer)


def deepseek_vl() -> tuple:
    """6 x 6 patches of a picture that is padded to a square."""
    tokenizer = byte_tokenizer(image_token="<image>")
    config = DeepseekVLConfig(
        vision_config=SiglipVisionConfig(**TOWER, patch_size=8, vision_use_head=False),
        text_config=LlamaConfig(**text_sizes()),
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    pixels = DeepseekVLImageProcessorPil(size={"height": 48, "width": 48})
    processor = DeepseekVLProcessor(pixels, tokenizer, num_image_tokens=36)
    return DeepseekVLForConditionalGeneration(config), processor


def lfm2_vl() -> tuple:
    """Up to six tiles of 6 x 6 patches and a thumbnail of its own shape; four layers of six mix
    their rows by a convolution, the last one too.
    """
    names = [f"<|img_row_{row}_col_{col}|>" for row in range(1, 7) for col in range(1, 7)]
    ends = ("<|image_start|>", "<|image_end|>", "<|img_thumbnail|>")
    pixels = Lfm2Pixels(
        encoder_patch_size=8, tile_size=48, min_image_tokens=4, max_image_tokens=12, max_tiles=6
    )
    kinds = ["conv", "conv", "full_attention", "conv", "full_attention", "conv"]
    text = text_sizes(num_hidden_layers=6, layer_types=kinds, block_auto_adjust_ff_dim=False)
    tower = TOWER | {"patch_size": 8, "num_patches": 16, "vision_use_head": False}
    del tower["image_size"]
    config = Lfm2VlConfig(
        vision_config=Siglip2VisionConfig(**tower),
        text_config=Lfm2Config(**text),
        image_token_id=4,
        projector_hidden_size=64,
        tie_word_embeddings=False,
    )
    processor = Lfm2VlProcessor(pixels, byte_tokenizer(*ends, *names))
    return Lfm2VlForConditionalGeneration(config), processor


SQUASHED = ((96, 96), (240, 96), (96, 240))
TINY_TILES: dict[str, Tiny] = {
    "aya_vision": Tiny(aya_vision, ((96, 96), (240, 96), (96, 240), (40, 40))),
    "cohere2_vision": Tiny(cohere2_vision, ((96, 96), (240, 96), (96, 240), (40, 40))),
    "deepseek_vl": Tiny(deepseek_vl, ((96, 96), (240, 96), (97, 240), (300, 120))),
    "idefics3": Tiny(idefics3, ((40, 40), (200, 60), (60, 200))),
    "lfm2_vl": Tiny(lfm2_vl, ((60, 60), (240, 96), (96, 240), (131, 97), (300, 60))),
    "paligemma": Tiny(paligemma, SQUASHED),
    "gemma3": Tiny(gemma3, SQUASHED),
    **TINY_DEEPSEEK,
    **TINY_GEMMA3N,
    **TINY_GEMMA4,
    **TINY_MINICPM,
    **TINY_OVIS2,
    **TINY_PACKED,
}
"""Family -> its tiny model, for the tests of every family."""

TINY_KIN: dict[str, Tiny] = {
    "glm46v": Tiny(glm46v, ((240, 96),)),
    "smolvlm": Tiny(smolvlm, ((70, 150),)),
    "paligemma2": Tiny(paligemma2, SQUASHED[:1]),
    "qwen3_5_moe": Tiny(qwen3_5_moe, ((240, 96),)),
    "qwen3_vl_moe": Tiny(qwen3_vl_moe, ((240, 96),)),
    **KIN_GEMMA4,
    **KIN_MINICPM,
    **KIN_PACKED,
}
"""Models served by a file above in the main; test_tiles.py tests the promises on them."""

TINY_FORMS: dict[str, Tiny] = {
    "granite_vision": Tiny(granite, ((240, 96),)),
    "llava_full": Tiny(llava_full, ((131, 97),)),
    **FORMS_MINICPM,
}
"""Checkpoints of a family whose features are taken from the tower in another way."""
