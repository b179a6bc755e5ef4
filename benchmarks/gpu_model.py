"""One model of random weights on one device, and the ways of answering that are compared."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

import tokviz
from benchmarks.shapes import Shape, make
from tokviz.capture import Capture
from tokviz.matrix import Reduction
from tokviz.models.before.prefill_input import PrefillInput, make_prefill_input
from tokviz.models.clock import now
from tokviz.models.runs.run import Prepared
from tokviz.plans import Plan, chosen

PROMPT = "describe the picture in detail"
Timed = Callable[[], dict[str, float]]
"Does something and returns seconds by name."


class Bench:
    """One model under measurement, its question prepared once."""

    def __init__(self, shape: Shape, small: bool, device: str, rounds: int) -> None:
        """Make the model on the device."""
        self.name, self.rounds = shape.name, rounds
        model, processor = make(shape, small, device, torch.bfloat16)
        self.vlm = tokviz.load((model, processor))
        self.device = self.vlm.device
        self.prepared: Prepared = self.vlm.prepare(noise(shape.side[small]), PROMPT)
        self.n = self.prepared.asked.layout.n
        parameters = self.vlm.info["parameters"] / 1e6
        self.unit = f"{self.name}, {parameters:,.0f} M parameters, {self.n} visual tokens"

    def kept(self, share: int) -> int:
        """Return that many per cent of the visual tokens, at least one."""
        return max(self.n * share // 100, 1)

    def every(self, share: int) -> np.ndarray:
        """Return that share of the tokens' numbers, evenly spread."""
        return np.linspace(0, self.n - 1, self.kept(share)).astype(int)

    # -- ways of answering --------------------------------------------------------------------

    def ask(
        self,
        plans: list[Plan | None],
        capture: Capture | None,
        new: int,
        after: int | None = None,
    ) -> list[Any]:
        """Answer with tokviz and return the lanes; in one forward `after` so many words."""
        *_, lanes = self.vlm.stream_prepared(
            self.prepared, plans, new, capture, strict=True, together_after=after
        )
        return lanes

    def asking(self, *given: Any) -> Timed:
        """Return `ask` as a timed way."""
        return lambda: self.timed(lambda: self.ask(*given))

    def generating(self, new: int, attention: str = "sdpa", **more: Any) -> Timed:
        """Return transformers' own generate() as a timed way, through its own attention."""

        def write() -> Any:
            inputs = self.prepared.inputs
            return self.vlm.model.generate(**inputs, max_new_tokens=new, do_sample=False, **more)

        def run() -> dict[str, float]:
            with self.library_attention(attention):
                return self.timed(write)

        return run

    @contextmanager
    def library_attention(self, name: str) -> Iterator[None]:
        """Let the model attend by the library's function; switching is not timed."""
        before = self.vlm.model.config._attn_implementation
        self.vlm.model.set_attn_implementation(name)
        try:
            with torch.inference_mode():
                yield
        finally:
            self.vlm.model.set_attn_implementation(before)

    def prefilling(self, plan: Plan | None) -> Timed:
        """Return a prefill by tokviz, nothing recorded; it returns its own timings."""
        return lambda: self.ask([plan], Capture.nothing(), 1)[0].timings

    def short(self, share: int) -> Timed:
        """Return a plain prefill of a prompt that has that few visual tokens from the start."""
        inputs = self.removed(self.every(share))

        def read() -> None:
            with torch.inference_mode():
                self.vlm.model(**inputs, use_cache=True, logits_to_keep=1)

        def run() -> dict[str, float]:
            with self.library_attention("sdpa"):
                return {"prefill": self.timed(read)["all"]}

        return run

    def removed(self, kept: np.ndarray) -> dict[str, Any]:
        """Return the model's inputs when only these visual tokens are there."""
        arrived = self.arrived(kept)
        images = {"image": self.vlm.family.encoder_outputs(arrived.features)}
        return {
            "input_ids": arrived.input_ids,
            "attention_mask": torch.ones_like(arrived.input_ids),
            "position_ids": arrived.positions,
            "mm_encoder_outputs": images,
            **arrived.row_inputs,
        }

    def arrived(self, kept: np.ndarray) -> PrefillInput:
        """Return what enters the language model when only these visual tokens are left."""
        vlm = self.vlm
        with vlm.guarded():
            shared = vlm.encode(self.prepared, [None], Capture.nothing())
            plan = chosen(Reduction.select(kept, self.n))
            return make_prefill_input(vlm.family, vlm.model, self.prepared, shared, plan)

    # -- measuring ----------------------------------------------------------------------------

    def timed(self, run: Callable[[], Any]) -> dict[str, float]:
        """Return the seconds of one run, the device idle before and after."""
        began = now(self.device)
        run()
        return {"all": now(self.device) - began}

    def in_turns(self, ways: dict[str, Timed]) -> dict[str, dict[str, list[float]]]:
        """Return what each way says of itself in every round; a first round warms up."""
        said: dict[str, dict[str, list[float]]] = {name: {} for name in ways}
        for number in range(self.rounds + 1):
            for name, run in ways.items():
                for key, seconds in run().items():
                    said[name].setdefault(key, []).extend([seconds] if number else [])
        return said

    def peak(self, run: Callable[[], Any]) -> str:
        """Return the peak memory of one run as text (a GPU's only)."""
        free_memory()
        if self.device.type != "cuda":
            run()
            return "not measured on a CPU"
        torch.cuda.reset_peak_memory_stats(self.device)
        run()
        return f"{torch.cuda.max_memory_allocated(self.device) / 2**30:.1f} GiB"


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Return the median over the rounds of one time relative to another of the same round."""
    return f"{median(a / b for a, b in zip(ours, theirs, strict=True)):.2f} ×"


def less(whole: list[float], part: list[float]) -> list[float]:
    """Return round by round what is left of a time."""
    return [max(a - b, 1e-9) for a, b in zip(whole, part, strict=True)]


def noise(side: int) -> Image.Image:
    """Return a fixed picture; its content does not matter for the time."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


def free_memory() -> None:
    """Give back what nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
