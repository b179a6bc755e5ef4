"""A tiny model of Ovis 2."""

from transformers import (
    Ovis2Config,
    Ovis2ForConditionalGeneration,
    Ovis2Processor,
    Ovis2VisionConfig,
    Qwen2Config,
)
from transformers.models.ovis2.image_processing_pil_ovis2 import Ovis2ImageProcessorPil

from tests.models.tiny import Tiny, byte_tokenizer, text_sizes

MARKS = [f"<IMG_{name}>" for name in ("START", "GRID", "COL", "ROW", "END")]


def ovis2() -> tuple:
    """6 x 6 patches to 3 x 3 tokens, means of 123 visual words; a thumbnail and up to 6 tiles."""
    tokenizer = byte_tokenizer("<IMG_ATOM>", *MARKS)
    text = text_sizes()
    config = Ovis2Config(
        vision_config=Ovis2VisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=48,
            patch_size=8,
            vocab_size=128,
            hidden_stride=2,
        ),
        text_config=Qwen2Config(**text),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=tokenizer.convert_tokens_to_ids(MARKS),
        vocab_size=text["vocab_size"],
        hidden_size=text["hidden_size"],
        tie_word_embeddings=False,
    )
    pixels = Ovis2ImageProcessorPil(
        size={"height": 48, "width": 48}, crop_to_patches=True, max_patches=6
    )
    processor = Ovis2Processor(pixels, tokenizer, image_seq_length=9)
    return Ovis2ForConditionalGeneration(config), processor


TINY_OVIS2 = {"ovis2": Tiny(ovis2, ((96, 96), (240, 96), (96, 240), (40, 40)))}
"""For the tests of every family."""
