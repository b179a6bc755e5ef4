"""Models of true size with random weights, built from published configurations, and what they cost.

python -m benchmarks.true_size [--rounds N]: no download is needed. The time of a forward pass does
not depend on the weights' values; the words that come out mean nothing. Counted is processor time,
since other programs move wall time; all ways take turns, and medians are shown with their range.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

import tokviz
from benchmarks.engine import no_end_tokens
from tokviz.capture import Capture
from tokviz.models.runs.sink_search import search_sinks

PROMPT = "Describe the image."
NEW_TOKENS = 24
SIZES = {"5 tiles": (1024, 1024), "17 tiles": (2048, 2048)}
"""Pictures for SmolVLM: 2 x 2 and 4 x 4 tiles of 512 pixels, and one of the whole."""


def smolvlm_256m() -> Any:
    """Return SmolVLM-256M in its true size (256,484,928 parameters) with random weights."""
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
        size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}
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


def picture(size: tuple[int, int]) -> Image.Image:
    """Return a fixed picture; its content does not matter for the time."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise)


def searched(vlm: Any) -> None:
    """Search the sink dimensions, as before the first answer."""
    with vlm.guarded():
        search_sinks(vlm)


def ways(vlm: Any, image: Image.Image) -> dict[str, Callable[[], Any]]:
    """Return what is compared with an answer of which nothing is recorded."""
    off = {"max_new_tokens": NEW_TOKENS, "capture": Capture.nothing()}
    return {
        "nothing recorded": lambda: vlm.answer([image], PROMPT, **off),
        "all that the page shows": lambda: vlm.answer([image], PROMPT, max_new_tokens=NEW_TOKENS),
        "the search for sink dimensions": lambda: searched(vlm),
    }


def race(found: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds of every round of every way; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds + 1):
        for name, way in found.items():
            began = time.process_time()
            way()
            if number:
                seconds[name].append(time.process_time() - began)
    return seconds


def lines(rounds: int) -> Iterator[str]:
    """Measure; yield one line for each way and size of picture."""
    vlm = smolvlm_256m()
    yield f"SmolVLM-256M in true size, random weights: {vlm.info['parameters']:,} parameters"
    with no_end_tokens(vlm):
        for size, pixels in SIZES.items():
            image = picture(pixels)
            vlm.sink_dims  # noqa: B018  searched once per model, timed apart
            times = race(ways(vlm, image), rounds)
            base = statistics.median(times["nothing recorded"])
            for name, seconds in times.items():
                ratios = sorted(one / base for one in seconds)
                typical = statistics.median(ratios)
                yield (
                    f"{size}, {name}: {typical * base:.2f} s of processor time, {typical:.2f} × "
                    f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.true_size", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    for line in lines(parser.parse_args().rounds):
        print(line, flush=True)
