"""Models with random weights, built from published configurations: no download is needed."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import tokviz
from tokviz.models.families.processors import still_images

QWEN_MARKS = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
QWEN_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}\n{% for c in m.content %}{% if c.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}"
)


def smolvlm_256m(longest_edge: int) -> Any:
    """Return SmolVLM-256M in its true size (256,484,928 parameters) with random weights.

    Args:
        longest_edge: pixels to which the processor enlarges or shrinks every picture before it cuts
            tiles of 512 pixels; the checkpoint's own setting is 2,048, 17 tiles of a square.
    """
    marks = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    marks += [f"<row_{row}_col_{col}>" for row in range(1, 5) for col in range(1, 5)]
    tokenizer = byte_tokenizer(marks)
    config = Idefics3Config(
        vision_config={
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
            "num_attention_heads": 12, "image_size": 512, "patch_size": 16,
        },
        text_config=LlamaConfig(
            vocab_size=49280, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
            num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=4,
    )  # fmt: skip
    torch.manual_seed(0)
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": longest_edge}, max_image_size={"longest_edge": 512}
    )
    processor = Idefics3Processor(images, tokenizer, image_seq_len=64)
    return tokviz.load((Idefics3ForConditionalGeneration(config), processor))


def byte_tokenizer(marks: list[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer without merges, for which every text has an encoding."""
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>", *marks]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(special + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<pad>", additional_special_tokens=special[4:],
    )  # fmt: skip


def qwen3_vl_2b(parts: int = 3) -> Any:
    """Return Qwen3-VL-2B with random weights, its widths true, with one layer of every `parts`.

    Nothing that is recorded grows faster than the number of layers, so a ratio of costs is that
    of the whole or larger; the whole would take minutes for one answer on two cores.
    """
    tokenizer = byte_tokenizer(QWEN_MARKS)
    image, video, start, end = tokenizer.convert_tokens_to_ids(QWEN_MARKS)
    depth = 24 // parts
    config = Qwen3VLConfig(
        vision_config={
            "depth": depth, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16,
            "patch_size": 16, "out_hidden_size": 2048, "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [depth // 4, depth // 2, 3 * depth // 4],
        },
        text_config={
            "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144,
            "num_hidden_layers": 28 // parts, "num_attention_heads": 16, "num_key_value_heads": 8,
            "head_dim": 128, "tie_word_embeddings": True,
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    pixels = Qwen2VLImageProcessorPil(
        patch_size=16, size={"shortest_edge": 256 * 256, "longest_edge": 4096 * 4096}
    )
    processor = still_images(Qwen3VLProcessor)(pixels, tokenizer, chat_template=QWEN_TEMPLATE)
    return tokviz.load((Qwen3VLForConditionalGeneration(config), processor))
