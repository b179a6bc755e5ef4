"""Models of random weights at the shapes of published checkpoints: fair for time, without words.

`small` makes each a few thousand times smaller, so that the same program runs on a laptop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    CLIPImageProcessor,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tokviz.models.families.processors import still_images

MARKS = ("<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>", *MARKS)
IMAGE, PAD, VIDEO, START, END = (SPECIAL.index(mark) for mark in MARKS)
CLIP = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768,
}  # fmt: skip
SMALL_CLIP = CLIP | {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "image_size": 168,
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """One model, how it is made, and the picture that gives the wanted number of tokens."""

    name: str
    build: Callable[[bool], tuple[dict[str, Any], Any]]
    "small -> (arguments of AutoConfig.for_model, processor)"
    side: tuple[int, int]
    "Side of the square picture in pixels: real, small."


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes: a model of random weights has no words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = models.BPE(vocab={word: i for i, word in enumerate([*SPECIAL, *alphabet])}, merges=[])
    made = Tokenizer(bpe)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=list(MARKS),
    )


def text(
    small: bool, width: int, inner: int, layers: int, heads: int, groups: int, words: int
) -> dict[str, Any]:
    """Return a text config's sizes."""
    if small:
        width, inner, layers, heads, groups = 96, 192, 8, 6, 6 * groups // heads or 1
    sizes = {
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": groups,
    }  # fmt: skip
    return sizes | {"vocab_size": 512 if small else words, "max_position_embeddings": 32768}


def llava(small: bool) -> tuple[dict[str, Any], Any]:
    """LLaVA-1.5 7B: 24 x 24 tokens."""
    vision = SMALL_CLIP if small else CLIP
    side = vision["image_size"]
    config = {
        "model_type": "llava",
        "vision_config": vision | {"model_type": "clip_vision_model"},
        "text_config": text(small, 4096, 11008, 32, 32, 32, 32064) | {"model_type": "llama"},
        "image_token_id": IMAGE,
    }
    crop = {"height": side, "width": side}
    return config, LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": side}, crop_size=crop), tokenizer(), **joined(14)
    )


def llava_next(small: bool) -> tuple[dict[str, Any], Any]:
    """LLaVA-NeXT 7B: a thumbnail and 2 x 2 tiles of 24 x 24 tokens, and newlines."""
    config, _ = llava(small)
    side = config["vision_config"]["image_size"]
    places = [[side * 2, side * 2], [side, side * 2], [side * 2, side]]
    config |= {"model_type": "llava_next", "image_grid_pinpoints": places}
    pixels = LlavaNextImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=places,
    )
    return config, LlavaNextProcessor(pixels, tokenizer(), **joined(14))


def joined(patch: int) -> dict[str, Any]:
    """Return what a LLaVA processor has to know to count its tokens."""
    return {
        "patch_size": patch,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
        "image_token": "<image>",
    }


def qwen(*sizes: int) -> Callable[[bool], tuple[dict[str, Any], Any]]:
    """Qwen2.5-VL: windows in the tower, one token of four patches, any number of tokens."""

    def build(small: bool) -> tuple[dict[str, Any], Any]:
        section = [2, 3, 3] if small else [16, 24, 24]
        words = text(small, *sizes) | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
        words |= {"rope_scaling": {"type": "mrope", "mrope_section": section}}
        vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
        vision |= {"fullatt_block_indexes": [7, 15, 23, 31]}
        if small:
            vision = {"depth": 4, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4}
            vision |= {"fullatt_block_indexes": [3]}
        config = {
            "model_type": "qwen2_5_vl",
            "text_config": words,
            "vision_config": vision | {"out_hidden_size": words["hidden_size"]},
            "image_token_id": PAD,
            "video_token_id": VIDEO,
            "vision_start_token_id": START,
            "vision_end_token_id": END,
        }
        pixels = Qwen2VLImageProcessorPil(size={"shortest_edge": 3136, "longest_edge": 12845056})
        return config, still_images(Qwen2_5_VLProcessor)(pixels, tokenizer())

    return build


SHAPES = (
    Shape("LLaVA-1.5-7B", llava, (336, 168)),
    Shape("LLaVA-NeXT-7B", llava_next, (672, 336)),
    Shape("Qwen2.5-VL-3B", qwen(2048, 11008, 36, 16, 2, 151936), (1792, 280)),
    Shape("Qwen2.5-VL-7B", qwen(3584, 18944, 28, 28, 4, 152064), (1792, 336)),
)
"""What is measured, smallest first."""


def make(shape: Shape, small: bool, device: str, dtype: torch.dtype) -> tuple[nn.Module, Any]:
    """Return a model of random weights, made on its device, and its processor."""
    arguments, processor = shape.build(small)
    config = AutoConfig.for_model(**arguments)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    model.generation_config.eos_token_id = None  # every way writes as many tokens
    return model.eval(), processor
