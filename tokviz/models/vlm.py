"""A loaded vision-language model: image and prompt in, answers and traces out.

`stream` runs several plans on one image side by side: the tower runs once for all lanes that do
not reduce inside it, then the lanes take turns, one token each. Every call of the model happens
under one lock, so that users and lanes never see each other's hooks; nothing stays on the model.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.analysis import ANALYSES, Result, analyse
from tokviz.capture import Capture
from tokviz.errors import InputError, ModelError, TokvizError
from tokviz.images import open_image
from tokviz.models.analysing import analyse_run
from tokviz.models.attention import use_tokviz_attention
from tokviz.models.family import Family
from tokviz.models.further_runs import FurtherRuns
from tokviz.models.record import Asked, tower_arrays
from tokviz.models.run import LaneView, Prepared, Run
from tokviz.models.sinks import search_sinks
from tokviz.models.vision import TOWER_SIGNALS, Vision, encode
from tokviz.plans import Plan, Step
from tokviz.prompts import check_prompt
from tokviz.trace import Trace

MAX_NEW_TOKENS = 1024
ORACLE_WORDS = 8
"""Words of the full answer that the oracle's relevance map adds up."""
MAX_LANES = 8


class VLM:
    """A model with its processor, behind a lock. Make one with `tokviz.load`."""

    def __init__(self, model: nn.Module, processor: Any, family: Family, name: str, reason: str):
        """Take over a loaded model; its attention is switched to one that can be observed."""
        self.model, self.processor, self.family, self.name = model, processor, family, name
        self.reason = reason
        self.lock = threading.RLock()
        use_tokviz_attention(model)
        for parameter in model.parameters():
            parameter.requires_grad_(False)

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the input embeddings are."""
        return self.model.get_input_embeddings().weight.device  # type: ignore[operator]

    @cached_property
    def sink_dims(self) -> tuple[int, ...]:
        """The model's sink dimensions, searched for on first use; empty when it has none."""
        with self.guarded():
            return search_sinks(self)

    @property
    def info(self) -> dict[str, Any]:
        """Facts about the model, as stored in a trace."""
        config = self.model.config.get_text_config()  # type: ignore[union-attr, operator]
        return {
            "name": self.name,
            "family": self.family.name,
            "layers": config.num_hidden_layers,
            "heads": config.num_attention_heads,
            "hidden_size": config.hidden_size,
            "tower_layers": len(self.family.tower_layers(self.model)),
            "feature_layer": self.family.feature_layer(self.model),
            "has_cls": self.family.has_cls(self.model),
            "vocabulary": config.vocab_size,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "device": str(self.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "reason": self.reason,
        }

    def unknown_words(self, prompt: str) -> list[str]:
        """Return the words of a prompt that the tokenizer has no entry for."""
        unknown = self.tokenizer.unk_token_id
        if unknown is None:
            return []
        encoded = self.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return list(dict.fromkeys(prompt[a:b] for i, (a, b) in pairs if i == unknown))

    # -- running ----------------------------------------------------------------------------------

    def answer(
        self,
        images: Any,
        prompt: str,
        plan: Plan | None = None,
        max_new_tokens: int = 64,
        capture: Capture | None = None,
    ) -> Trace:
        """Answer a question about images and return the trace of the run.

        Args:
            images: one image or several: paths, bytes, PIL images or arrays.
            prompt: the question.
            plan: what to do with the visual tokens; None = keep all.
            max_new_tokens: 1 to 1024.
            capture: what to record; default everything that the page shows.

        Raises:
            InputError: an image, prompt or budget that cannot be used.
            MissingSignal: the method needs something that this model does not have.
            ModelError: out of memory.
        """
        *_, lanes = self.stream(images, prompt, [plan], max_new_tokens, capture, strict=True)
        return lanes[0].trace  # type: ignore[return-value]

    def further_runs(
        self, images: Any, prompt: str, trace: Trace, max_new_tokens: int = 64
    ) -> FurtherRuns:
        """Return what runs more of the question of a trace; raise InputError if it is another."""
        with self.guarded():
            prepared = self.prepare(images, prompt)
        return FurtherRuns(self, prepared, trace, max_new_tokens)

    def analyse(
        self, name: str, images: Any = None, prompt: str | None = None, **more: Any
    ) -> Result:
        """Run an analysis with all that it needs: the answer, and further runs of the model.

        Args:
            name: a key of ANALYSES.
            images: as for `answer`; a folder or a list of images for an analysis of a folder. May
                be left out with a trace that is enough by itself.
            prompt: the question; default the trace's.
            **more: trace (a finished run, fresh or from a file), plan, max_new_tokens, progress
                (told the forwards done and in all, by analyses that sample), runs (further runs by
                the names of ASKS, in place of this model's), and the analysis' own options.

        Raises:
            InputError: an unknown analysis or option, or an image or prompt that cannot be used.
            MissingSignal: more runs are needed and there is no image, or the trace lacks an array;
                the message says which run it takes.
        """
        return analyse_run(self, name, images, prompt, **more)

    def stream(
        self,
        images: Any,
        prompt: str,
        plans: Sequence[Plan | None] = (None,),
        max_new_tokens: int = 64,
        capture: Capture | None = None,
        stop: threading.Event | None = None,
        strict: bool = False,
    ) -> Iterator[list[LaneView]]:
        """Run several plans on the same question, yielding all lanes after every bit of progress.

        Args:
            images: one image or several: paths, bytes, PIL images or arrays.
            prompt: the question.
            plans: one per lane; None = keep all tokens.
            max_new_tokens: 1 to 1024, per lane.
            capture: what to record; default everything that the page shows.
            stop: set it to end all lanes early; what is there becomes their answer.
            strict: raise a lane's error instead of noting it in the lane.

        Yields:
            The same list of LaneView each time; at the end every lane has a trace or an error.

        Raises:
            InputError: an image, the prompt, or max_new_tokens cannot be used.
        """
        with self.guarded():
            prepared = self.prepare(images, prompt)
        yield from self.stream_prepared(prepared, plans, max_new_tokens, capture, stop, strict)

    def stream_prepared(
        self,
        prepared: Prepared,
        plans: Sequence[Plan | None] = (None,),
        max_new_tokens: int = 64,
        capture: Capture | None = None,
        stop: threading.Event | None = None,
        strict: bool = False,
    ) -> Iterator[list[LaneView]]:
        """Do what `stream` does, on a question that `prepare` has made ready once."""
        check_length(max_new_tokens)
        if not 1 <= len(plans) <= MAX_LANES:
            raise InputError(f"1 to {MAX_LANES} plans can run together, got {len(plans)}.")
        capture = capture or Capture()
        if prepared.relevance is None and any(asks_relevance(plan) for plan in plans):
            prepared = replace(prepared, relevance=self.relevance(prepared, strict))
        with self.guarded():
            sinks = self.sink_dims if capture.sinks else ()
            shared = self.encode(prepared, plans, capture)
            tower = tower_arrays(shared) if capture.tower else {}
        runs = [Run(self, prepared, shared, tower, plan, capture, sinks) for plan in plans]
        views = [run.view for run in runs]
        for _ in _write(runs, max_new_tokens, stop, strict):
            yield views
        if capture.controls:
            for run in runs:
                run.advance(partial(self._add_controls, run), strict)
            yield views

    def in_turn(
        self,
        images: Any,
        prompt: str,
        plans: Sequence[Plan | None],
        max_new_tokens: int = 64,
        capture: Capture | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[list[LaneView]]:
        """Run any number of plans one after the other: one encoding, the memory of one lane.

        Args: as for `stream`. Yields the same list of LaneView each time; after a stop, lanes whose
        turn had not come are not done and have no trace.
        """
        check_length(max_new_tokens)
        capture = capture or Capture()
        with self.guarded():
            prepared = self.prepare(images, prompt)
            sinks = self.sink_dims if capture.sinks else ()
            shared = self.encode(prepared, plans, capture)
            tower = tower_arrays(shared) if capture.tower else {}
        n = prepared.asked.layout.n
        views = [LaneView((plan or Plan()).label, total_visual_tokens=n) for plan in plans]
        for number, plan in enumerate(plans):
            if stop is not None and stop.is_set():
                return
            run = Run(self, prepared, shared, tower, plan, capture, sinks)
            views[number] = run.view
            for _ in _write([run], max_new_tokens, stop, strict=False):
                yield views

    def relevance(self, prepared: Prepared, strict: bool) -> tuple[np.ndarray, float] | None:
        """Return the gradient relevance [n] of the full run's first words, and its seconds.

        The signal that the oracle decides from: the analysis `relevance`, summed over the words.
        None where it cannot be made (no answer, too little memory), so that other lanes go on.
        """
        began = time.perf_counter()
        try:
            *_, lanes = self.stream_prepared(prepared, [None], ORACLE_WORDS, strict=True)
            trace: Trace = lanes[0].trace  # type: ignore[assignment]
            asked = FurtherRuns(self, prepared, trace).supply(ANALYSES["relevance"].asks)
            found = analyse("relevance", trace, runs=asked).values.sum(0).astype(np.float32)
        except TokvizError:
            if strict:
                raise
            return None
        return found, time.perf_counter() - began

    def _add_controls(self, run: Run) -> None:
        """Score a finished lane's answer again with control images."""
        trace = run.view.trace
        if trace is None or not trace.t:
            return
        chosen = FurtherRuns(self, run.prepared, trace).control_prob()
        run.view.trace = replace(trace, arrays={**trace.arrays, "control_prob": chosen})

    def prepare(self, images: Any, prompt: str) -> Prepared:
        """Turn images and prompt into model inputs, positions and a layout."""
        single = not isinstance(images, (list, tuple))
        opened = [open_image(image) for image in ([images] if single else images)]
        if not opened:
            raise InputError("give at least one image.")
        prompt = check_prompt(prompt, self.tokenizer.all_special_tokens)
        text = self.render(prompt, len(opened))
        batch = self.family.process(self.processor, opened, text)
        dtype: Any = self.model.dtype  # the first floating one: rounded weights are integers
        inputs = {
            name: value.to(self.device, dtype)
            if value.is_floating_point()
            else value.to(self.device)
            for name, value in batch.items()
            if isinstance(value, torch.Tensor)
        }
        ids = inputs["input_ids"][0].cpu().numpy().astype(np.int32)
        layout = self.family.layout(self.model, self.processor, inputs, opened)
        tokens = tuple(self.tokenizer.convert_ids_to_tokens(ids.tolist()))
        own = self._own_words(prompt, ids, layout.position)
        asked = Asked(prompt, ids, tokens, layout, tuple(opened), own.numpy().astype(np.int32))
        return Prepared(asked, inputs, self.family.positions(self.model, inputs), own)

    def render(self, prompt: str, images: int) -> str:
        """Return the whole prompt text in the model's chat format, image placeholders included."""
        content: list[dict[str, str]] = [{"type": "image"}] * images
        content = [*content, {"type": "text", "text": prompt}]
        if getattr(self.processor, "chat_template", None) is None:
            return self.family.plain_prompt(self.processor, prompt, images)
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )

    def encode(self, prepared: Prepared, plans: Sequence[Plan | None], capture: Capture) -> Vision:
        """Run the tower once, recording what the plans and the capture ask for."""
        asked = [
            (step, name)
            for plan in plans
            for step in (plan.steps if plan else ())
            if step.entry is not None
            for name in (*step.entry.needs, *step.entry.optional, *step.entry.fallbacks.values())
            if name in TOWER_SIGNALS
        ]
        wanted = {name for _, name in asked}
        wanted |= {name for plan in plans if plan for name in plan.recipe.needs}
        maps = {layer_of(step) for step, name in asked if name == "full_attn"}
        if capture.tower:
            wanted.add("cls_attn" if self.family.has_cls(self.model) else "recv_attn")
        began = time.perf_counter()
        vision = encode(
            self.family,
            self.model,
            prepared.inputs,
            prepared.asked.layout,
            wanted,
            norms=capture.tower,
            maps=None if None in maps else {layer for layer in maps if layer is not None},
        )
        vision.seconds = time.perf_counter() - began
        return vision

    def guarded(self, gradients: bool = False) -> Any:
        """Hold the model for one call: the lock, autograd or not, out-of-memory in plain words."""
        return Guard(self.lock, gradients)

    def _own_words(self, prompt: str, ids: np.ndarray, visual: np.ndarray) -> torch.Tensor:
        """Find the rows of the user's words; all text after the image where they are not found."""
        own = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        after = int(visual[-1]) + 1 if len(visual) else 0
        for start in range(after, len(ids) - len(own) + 1):
            if ids[start : start + len(own)].tolist() == own:
                return torch.arange(start, start + len(own))
        return torch.arange(after, len(ids))


def asks_relevance(plan: Plan | None) -> bool:
    """True when a step of a plan decides from the signal `relevance`."""
    entries = [step.entry for step in plan.steps] if plan else []
    return any(entry is not None and "relevance" in entry.needs for entry in entries)


def layer_of(step: Step) -> int | None:
    """Return the tower layer that a step reads, by its option `layer`; None without one."""
    layer = step.entry.check_options(step.options).get("layer")  # type: ignore[union-attr]
    return layer if isinstance(layer, int) else None


def check_length(max_new_tokens: int) -> None:
    """Raise InputError unless answers may be this long."""
    if not 1 <= max_new_tokens <= MAX_NEW_TOKENS:
        raise InputError(f"max_new_tokens must be 1 to {MAX_NEW_TOKENS}, got {max_new_tokens}.")


def _write(
    runs: Sequence[Run], max_new_tokens: int, stop: threading.Event | None, strict: bool
) -> Iterator[None]:
    """Let lanes take turns, one token each, until all are done; yield after every bit of work."""
    for run in runs:
        run.advance(run.start, strict)
        yield
    while any(not run.view.done for run in runs):
        stopped = stop is not None and stop.is_set()
        for run in runs:
            if not run.view.done:
                last = stopped or len(run.tokens) >= max_new_tokens
                run.advance(run.finish if last else run.step, strict)
        yield


class Guard:
    """Context of one model call."""

    def __init__(self, lock: Any, gradients: bool = False) -> None:
        self.lock, self.gradients, self.modes = lock, gradients, ExitStack()

    def __enter__(self) -> None:
        self.lock.acquire()
        self.modes.enter_context(torch.inference_mode(not self.gradients))
        self.modes.enter_context(torch.set_grad_enabled(self.gradients))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.modes.close()
        self.lock.release()
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise ModelError(
                "the model ran out of memory: use a smaller image, fewer lanes or fewer tokens."
            ) from error
