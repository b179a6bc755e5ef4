"""A loaded vision-language model: image and prompt in, answers and traces out.

Every call of the model happens under one lock, so that users and lanes never see each other's
hooks; nothing stays on the model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import nn

from tokviz.analysis import Result
from tokviz.capture import Capture
from tokviz.models import preparing, streaming
from tokviz.models.analysing import analyse_run
from tokviz.models.answer_text import AnswerText, control_ids, word_marks
from tokviz.models.attention import use_tokviz_attention
from tokviz.models.family import Family
from tokviz.models.further_runs import FurtherRuns
from tokviz.models.guard import Guard
from tokviz.models.prepared import Prepared
from tokviz.models.run import LaneView
from tokviz.models.sinks import search_sinks
from tokviz.models.streaming import ALONE_WORDS
from tokviz.models.vision import Vision
from tokviz.plans import Plan
from tokviz.trace import Trace


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
    def word_marks(self) -> str:
        """How the tokenizer writes word starts, a key of `tokviz.text.token_bytes.MARKS`."""
        return word_marks(self.tokenizer)

    def answer_text(self) -> AnswerText:
        """Return an empty answer that turns token ids into text, one more at a time."""
        controls = control_ids(self.tokenizer, self.processor, self.model)
        return AnswerText(self.tokenizer, self.word_marks, controls)

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
            "parameters": self._parameters,
            "device": str(self.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "reason": self.reason,
        }

    @cached_property
    def _parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def unknown_words(self, prompt: str) -> list[str]:
        """Return the words of a prompt that the tokenizer has no entry for."""
        unknown = self.tokenizer.unk_token_id
        if unknown is None or not getattr(self.tokenizer, "is_fast", False):
            return []  # a tokenizer that tells no offsets; most such know every byte anyhow
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
        together_after: int | None = ALONE_WORDS,
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
            together_after: words that every lane writes in its own turn, each timed alone and
                exactly as `answer` writes it; then lanes step in one forward where they can, which
                is faster and rounds otherwise (see `models/together.py`). None = always in turns.

        Yields:
            The same list of LaneView each time; at the end every lane has a trace or an error.

        Raises:
            InputError: an image, the prompt, or max_new_tokens cannot be used.
        """
        with self.guarded():
            prepared = self.prepare(images, prompt)
        yield from self.stream_prepared(
            prepared, plans, max_new_tokens, capture, stop, strict, together_after
        )

    def stream_prepared(
        self,
        prepared: Prepared,
        plans: Sequence[Plan | None] = (None,),
        max_new_tokens: int = 64,
        capture: Capture | None = None,
        stop: threading.Event | None = None,
        strict: bool = False,
        together_after: int | None = ALONE_WORDS,
    ) -> Iterator[list[LaneView]]:
        """Do what `stream` does, on a question that `prepare` has made ready once."""
        capture = capture or Capture()
        yield from streaming.stream(
            self, prepared, plans, max_new_tokens, capture, stop, strict, together_after
        )

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
        with self.guarded():
            prepared = self.prepare(images, prompt)
        capture = capture or Capture()
        yield from streaming.in_turn(self, prepared, plans, max_new_tokens, capture, stop)

    # -- the pieces -------------------------------------------------------------------------------

    def prepare(self, images: Any, prompt: str) -> Prepared:
        """Turn images and prompt into model inputs, positions and a layout."""
        return preparing.prepare(self, images, prompt)

    def render(self, prompt: str, images: int) -> str:
        """Return the whole prompt text in the model's chat format, image placeholders included."""
        return preparing.render(self, prompt, images)

    def encode(self, prepared: Prepared, plans: Sequence[Plan | None], capture: Capture) -> Vision:
        """Run the tower once, recording what the plans and the capture ask for."""
        return preparing.encode(self, prepared, plans, capture)

    def guarded(self, gradients: bool = False) -> Guard:
        """Hold the model for one call: the lock, autograd or not, out-of-memory in plain words."""
        return Guard(self.lock, gradients)
