"""A loaded vision-language model: image and prompt in, answers and traces out.

Every call of the model is made under one lock, so that users and lanes never run with each other's
hooks; all hooks are removed after the call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tokviz.analysis import Result
from tokviz.capture import Capture
from tokviz.keywords import tells_arguments
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs import chat_template, preparing, repeated_times, streaming
from tokviz.models.runs import questions as many
from tokviz.models.runs.analysing import analyse_run
from tokviz.models.runs.extra_forwards import ExtraForwards, further_runs
from tokviz.models.runs.sink_search import sink_dims
from tokviz.models.runs.streaming import ALONE_WORDS
from tokviz.models.tower.vision import Vision
from tokviz.plans import Plan
from tokviz.trace import Trace
from tokviz.trace.lane_view import LaneView


class VLM(Loaded):
    """A model with its processor, behind a lock. Make one with `tokviz.load`."""

    @property
    def sink_dims(self) -> tuple[int, ...]:
        """The model's sink dimensions, searched on first use; empty if it has none."""
        return sink_dims(self)

    def unknown_words(self, prompt: str) -> list[str]:
        """Return the words of a prompt that the tokenizer has no entry for."""
        unknown = self.tokenizer.unk_token_id
        if unknown is None or not getattr(self.tokenizer, "is_fast", False):
            return []  # no offsets to find the words by; most such tokenizers know every byte
        encoded = self.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return list(dict.fromkeys(prompt[a:b] for i, (a, b) in pairs if i == unknown))

    # -- running ----------------------------------------------------------------------------------

    @tells_arguments
    def answer(
        self,
        images: Any,
        prompt: str,
        plan: Plan | Sequence[Plan] | str | None = None,
        max_new_tokens: int = 64,
        capture: Capture | str | None = None,
        stop: threading.Event | None = None,
    ) -> Trace:
        """Answer a question about images and return the trace of the run.

        Args:
            images: one image or several: paths, bytes, PIL images or arrays.
            prompt: the question.
            plan: what to do with the visual tokens; None = keep all. A list of plans is carried
                out in order; a text is the name of a mitigation.
            max_new_tokens: 1 to 1024.
            capture: what to record; default everything that the page shows, "all" = every array
                that a trace can hold.
            stop: set it to end the answer early; what is there becomes it.

        Raises:
            InputError: an image, prompt or budget that cannot be used.
            MissingSignal: the method needs something that this model does not have.
            ModelError: out of memory.
        """
        return streaming.answer(self, images, prompt, plan, max_new_tokens, capture, stop)

    @tells_arguments
    def answers(
        self,
        questions: Iterable[Any],
        plan: Plan | Sequence[Plan] | str | None = None,
        max_new_tokens: int = 64,
        capture: Capture | str | None = None,
        progress: bool = False,
    ) -> Iterator[Trace]:
        """Answer many questions; the tower runs once for neighbours about the same pictures.

            for trace in vlm.answers([(image, "is there a dog ?"), (image, "is there a cat ?")]):
                print(trace.answer)

        Args:
            questions: pairs (image or images, prompt), mappings with `image` and `prompt`, or
                questions of a sweep; any iterable, read one at a time.
            plan: as for `answer`, the same for all.
            max_new_tokens: 1 to 1024, per answer.
            capture: as for `answer`; `Capture.nothing()` is fastest.
            progress: show a bar on stderr.

        Yields:
            One trace per question, in their order, as soon as it is there.

        Raises:
            InputError, MissingSignal, ModelError: as `answer` does, with the question's number.
        """
        return many.answers(self, questions, plan, max_new_tokens, capture, progress)

    @tells_arguments
    def further_runs(
        self, images: Any, prompt: str, trace: Trace, max_new_tokens: int = 64
    ) -> ExtraForwards:
        """Return the extra forwards on a trace's question.

        Raises:
            InputError: the images or the prompt are not those of the trace.
        """
        return further_runs(self, images, prompt, trace, max_new_tokens)

    def analyse(
        self, name: str, images: Any = None, prompt: str | None = None, **more: Any
    ) -> Result:
        """Run an analysis, and before it the runs of the model that it needs.

        Args:
            name: a key of ANALYSES.
            images: as for `answer`; a folder or a list of images for an analysis of a folder. Not
                needed if the trace has all that the analysis reads.
            prompt: the question; default = that of the trace.
            **more: trace (a finished run, fresh or from a file), plan, max_new_tokens, progress
                (called with the forwards done and in all), stop (an Event that ends the pass
                that is running), runs (results of further runs by the names of ASKS, instead of
                runs of this model), and the analysis' own options.

        Raises:
            InputError: an unknown analysis or option, or an image or prompt that cannot be used.
            MissingSignal: further runs are needed and no image is given, or the trace lacks an
                array; the message says which run is needed.
        """
        return analyse_run(self, name, images, prompt, **more)

    @tells_arguments
    def stream(
        self,
        images: Any,
        prompt: str,
        plans: Sequence[Plan | None] = (None,),
        max_new_tokens: int = 64,
        capture: Capture | str | None = None,
        stop: threading.Event | None = None,
        strict: bool = False,
        together_after: int | None = ALONE_WORDS,
    ) -> Iterator[list[LaneView]]:
        """Run several plans on the same question, and yield all lanes after every step.

        Args:
            images: one image or several: paths, bytes, PIL images or arrays.
            prompt: the question.
            plans: one per lane; None = keep all tokens.
            max_new_tokens: 1 to 1024, per lane.
            capture: what to record; default everything that the page shows.
            stop: set it to end all lanes early; their text so far becomes the answer.
            strict: raise a lane's error instead of storing it in the lane.
            together_after: number of tokens that every lane writes in its own turn, timed alone and
                identical to those of `answer`. Then they share forwards if possible, which is
                faster but rounds differently (see `decoder/lane_batch.py`). None = always in turns.

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

    @tells_arguments
    def stream_prepared(
        self,
        prepared: Prepared,
        plans: Sequence[Plan | None] = (None,),
        max_new_tokens: int = 64,
        capture: Capture | str | None = None,
        stop: threading.Event | None = None,
        strict: bool = False,
        together_after: int | None = ALONE_WORDS,
    ) -> Iterator[list[LaneView]]:
        """Do the same as `stream` for a question that `prepare` returned."""
        yield from streaming.stream(
            self, prepared, plans, max_new_tokens, capture, stop, strict, together_after
        )

    @tells_arguments
    def in_turn(
        self,
        images: Any,
        prompt: str,
        plans: Sequence[Plan | None],
        max_new_tokens: int = 64,
        capture: Capture | str | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[list[LaneView]]:
        """Run any number of plans one after the other: one encoding, the memory of one lane.

        Args: as for `stream`. Yields the same list of LaneView each time; after a stop, lanes that
        had not begun are not done and have no trace.
        """
        with self.guarded():
            prepared = self.prepare(images, prompt)
        yield from streaming.in_turn(self, prepared, plans, max_new_tokens, capture, stop)

    @tells_arguments
    def time_plans(
        self,
        images: Any,
        prompt: str,
        plans: Sequence[Plan | None],
        repeats: int = 5,
        max_new_tokens: int = 64,
    ) -> list[dict[str, list[float]]]:
        """Time several plans on the same question, in turn and repeatedly, nothing recorded.

        Args:
            images: as for `answer`.
            prompt: the question.
            plans: None = keep all tokens.
            repeats: rounds that count; `tokviz.time_ratio` gives a verdict from 4 on.
            max_new_tokens: 1 to 1024, per answer.

        Returns:
            For every plan {decide, prefill, first_token, total: seconds, one per round}.
        """
        return repeated_times.time_plans(self, images, prompt, plans, repeats, max_new_tokens)

    # -- the pieces -------------------------------------------------------------------------------

    @tells_arguments
    def prepare(self, images: Any, prompt: str) -> Prepared:
        """Turn images and prompt into model inputs, positions and a layout."""
        return preparing.prepare(self, images, prompt)

    def visual_tokens(self, images: Any) -> int:
        """Return how many visual tokens images give; the processor runs, the model does not.

        Raises:
            InputError: a picture that cannot be used.
            ModelError: the processor cannot be used.
        """
        return preparing.prepare(self, images, "?").asked.layout.n

    def render(self, prompt: str, images: int) -> str:
        """Return the whole prompt text in the model's chat format, image placeholders included."""
        return chat_template.render(self, prompt, images)

    def encode(self, prepared: Prepared, plans: Sequence[Plan | None], capture: Capture) -> Vision:
        """Run the tower once, recording what the plans and the capture ask for."""
        with self.guarded():
            return preparing.encode(self, prepared, plans, capture)
