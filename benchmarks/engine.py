"""The engine against transformers' own generate(): what capture costs, what lanes and removal save.

Everything is timed in one run on the same question, ways taking turns so that a busy moment hits
all of them; the median of the rounds counts. Ratios carry over to other machines, seconds don't.
"""

import copy
import ctypes
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

import tokviz
from benchmarks.table import Row
from tokviz.capture import Capture
from tokviz.matrix import Reduction
from tokviz.models.runs.streaming import ALONE_WORDS
from tokviz.plans import chosen

ROUNDS, FEW_ROUNDS = 15, 7
PROMPT = "describe the image ."
NEW_TOKENS = 24
LONG_ANSWER = 64
"""Tokens of an answer at most, on the page and in `VLM.answer`, where nothing else is chosen."""


def picture() -> Image.Image:
    """A fixed picture; its content does not matter for the time."""
    pixels = np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)
    return Image.fromarray(pixels)


LANES = ("fastervlm", "divprune", "visionzip")
"""The methods of the lanes beside the full answer."""

STEPPING: dict[str, int | None] = {
    "in one forward from the second word on": 0,
    f"in one forward after {ALONE_WORDS} words each, as on the page": ALONE_WORDS,
    "every step in turns": None,
}
"""How lanes take their steps -> `together_after`."""

NAMES = {
    "off": "tokviz, capture off",
    "on": "tokviz, everything captured that the page shows",
    "eager": "`generate(output_attentions=True)`, eager",
}


KEPT = {-1: 256 * 2**20, -3: 32 * 2**20}
"""Parameter of glibc's mallopt -> bytes: freed memory that is kept (M_TRIM_THRESHOLD), and the size
from which memory is mapped on its own (M_MMAP_THRESHOLD), here the largest that glibc itself
chooses."""


def rows(model: str) -> Iterator[Row]:
    """Time the model, and one of random weights with as many visual tokens as LLaVA-1.5 has."""
    keep_freed_memory()
    vlm = tokviz.load(model)
    yield from measured(vlm, ROUNDS)
    yield from measured(random_llava(vlm), FEW_ROUNDS)


def keep_freed_memory() -> None:
    """Let the C library keep freed memory, if it is glibc.

    Ways take turns. One that gives memory back leaves it to the next way to fetch it again: 2,500
    pages, 3 microseconds each on a virtual machine, were 2 % of an answer of the small model.
    Ways that only follow themselves don't have that cost.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        for parameter, size in KEPT.items():
            change(parameter, size)


def measured(vlm: Any, rounds: int) -> Iterator[Row]:
    """Time one model; yield one row per measurement."""
    image = picture()
    n = vlm.answer([image], PROMPT, max_new_tokens=1).n
    size = f"{vlm.info['parameters'] / 1e6:.1f} M parameters"
    with no_end_tokens(vlm):
        typical = race(ways(vlm, image), rounds)
        unit = f"{vlm.name}, {size}, {n} visual and {NEW_TOKENS} new tokens"
        yield Row("plain `generate()`, SDPA", f"{typical['plain'] * 1000:.0f} ms", unit)
        for name, what in NAMES.items():
            how = f"of plain `generate()`; {typical[name] * 1000:.0f} ms"
            yield Row(what, f"{typical[name] / typical['plain']:.2f} ×", how)
        yield from lanes(vlm, image, max(n // 4, 1), rounds)
        yield from limits(vlm, image, n, max(n // 4, 1), rounds)


def random_llava(like: Any) -> Any:
    """Return a LLaVA with random weights and 24 × 24 visual tokens, talking like another model."""
    processor = copy.deepcopy(like.processor)
    processor.patch_size, processor.tokenizer.model_max_length = 14, 2048
    images = processor.image_processor
    images.size, images.crop_size = {"shortest_edge": 336}, {"height": 336, "width": 336}
    text = like.model.config.get_text_config()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=256, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=4,
            image_size=336, patch_size=14, projection_dim=256,
        ),
        text_config=LlamaConfig(
            vocab_size=text.vocab_size, hidden_size=512, intermediate_size=1408,
            num_hidden_layers=12, num_attention_heads=8, max_position_embeddings=2048,
            bos_token_id=text.bos_token_id, eos_token_id=text.eos_token_id,
            pad_token_id=text.pad_token_id,
        ),
        image_token_id=like.model.config.image_token_id,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )  # fmt: skip
    torch.manual_seed(0)
    vlm = tokviz.load((LlavaForConditionalGeneration(config), processor))
    vlm.name = "random weights"
    return vlm


@contextmanager
def no_end_tokens(vlm: Any) -> Iterator[None]:
    """Take the end tokens away, so that every way writes the same number of tokens."""
    config = vlm.model.generation_config
    ends, config.eos_token_id = config.eos_token_id, None
    try:
        yield
    finally:
        config.eos_token_id = ends


def ways(vlm: Any, image: Image.Image) -> dict[str, Callable[[], Any]]:
    """Return the ways of answering the same question, picture preparation included."""
    sdpa, eager = copy.deepcopy(vlm.model), copy.deepcopy(vlm.model)
    sdpa.set_attn_implementation("sdpa")
    eager.set_attn_implementation("eager")
    text = vlm.render(PROMPT, 1)

    def generate(model: Any, **more: Any) -> Any:
        inputs = vlm.processor(images=[image], text=text, return_tensors="pt").to(vlm.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(next(model.parameters()).dtype)
        with torch.inference_mode():
            return model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, **more)

    def ask(capture: Capture | None) -> Any:
        return vlm.answer([image], PROMPT, max_new_tokens=NEW_TOKENS, capture=capture)

    return {
        "plain": lambda: generate(sdpa),
        "off": lambda: ask(Capture.nothing()),
        "on": lambda: ask(None),
        "eager": lambda: generate(eager, output_attentions=True, return_dict_in_generate=True),
    }


def lanes(vlm: Any, image: Image.Image, keep: int, rounds: int) -> Iterator[Row]:
    """Time four lanes in every way of stepping against one lane and against four answers."""
    plans = [None, *(tokviz.plan(name, keep=keep) for name in LANES)]
    begun: list[float] = []

    def stream(after: int | None) -> None:
        start, waiting = time.perf_counter(), True
        for views in vlm.stream([image], PROMPT, plans, NEW_TOKENS, together_after=after):
            if waiting and all(view.tokens or view.error for view in views):
                begun.append(time.perf_counter() - start)
                waiting = False
        errors = [view.error for view in views if view.error]
        if errors:
            raise SystemExit(errors[0])

    def in_turn() -> None:
        for plan in plans:
            vlm.answer([image], PROMPT, plan=plan, max_new_tokens=NEW_TOKENS)

    ways: dict[str, Callable[[], Any]] = {
        "one": lambda: vlm.answer([image], PROMPT, max_new_tokens=NEW_TOKENS),
        "in turn": in_turn,
    }
    ways |= {name: lambda after=after: stream(after) for name, after in STEPPING.items()}
    ways["first words"] = lambda: list(vlm.stream([image], PROMPT, plans, 1))
    ways["first word"] = lambda: list(vlm.stream([image], PROMPT, plans[:1], 1))
    typical = race(ways, rounds)
    what = f"of one answer with all tokens; full, {', '.join(LANES)} at {keep} tokens"
    for name in STEPPING:
        yield Row(f"4 lanes, {name}", f"{typical[name] / typical['one']:.2f} ×", what)
    least = 1 + (typical["first words"] - typical["first word"]) / typical["one"]
    yield Row(
        "4 lanes, the least possible: their first words, and further ones for nothing",
        f"{least:.2f} ×",
        what,
    )
    ratio = typical["in turn"] / typical["one"]
    yield Row("4 answers one after the other", f"{ratio:.2f} ×", "of one answer with all tokens")
    share = statistics.median(begun) / typical["in turn"]
    yield Row(
        "all 4 lanes have begun to write", f"{share:.2f} ×", "of the time of 4 answers in turn"
    )
    yield from long_answers(vlm, image, plans, rounds)


def long_answers(vlm: Any, image: Image.Image, plans: Any, rounds: int) -> Iterator[Row]:
    """Time four lanes of answers as long as the page lets them get, against one such answer."""
    long: dict[str, Callable[[], Any]] = {
        "one": lambda: vlm.answer([image], PROMPT, max_new_tokens=LONG_ANSWER),
        "four": lambda: list(vlm.stream([image], PROMPT, plans, LONG_ANSWER)),
    }
    typical = race(long, rounds)
    yield Row(
        f"4 lanes of {LONG_ANSWER} new tokens, as on the page",
        f"{typical['four'] / typical['one']:.2f} ×",
        f"of one answer of {LONG_ANSWER} tokens, {typical['one'] * 1000:.0f} ms; the same lanes",
    )


def limits(vlm: Any, image: Image.Image, n: int, keep: int, rounds: int) -> Iterator[Row]:
    """Compare pruned prefills, the decision apart, with plain prefills of the shorter prompt."""
    plans = {
        "full": None,
        "short": chosen(Reduction.select(range(keep), n)),
        "fastervlm": tokviz.plan("fastervlm", keep=keep),
        "fastv": tokviz.plan("fastv", keep=keep),
    }
    spent: dict[str, list[float]] = {name: [] for name in plans}
    for number in range(rounds + 1):
        for name, plan in plans.items():
            trace = vlm.answer([image], PROMPT, plan, 1, Capture.nothing())
            if number:
                spent[name].append(trace.timings["prefill"])
    typical = {name: statistics.median(values) for name, values in spent.items()}
    ratio = typical["fastervlm"] / typical["short"]
    how = f"of a plain prefill with {keep} visual tokens; {typical['fastervlm'] * 1000:.1f} ms"
    yield Row("prefill after a method before the language model", f"{ratio:.2f} ×", how)
    layers = vlm.info["layers"]
    limit = (2 * typical["full"] + (layers - 2) * typical["short"]) / layers
    how = f"of 2 layers at {n} and {layers - 2} at {keep} visual tokens; decision apart"
    yield Row("prefill with fastv at layer 2", f"{typical['fastv'] / limit:.2f} ×", how)


def race(entries: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each entry over all rounds; one round before them warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for number in range(rounds + 1):
        for name, run in entries.items():
            began = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}
