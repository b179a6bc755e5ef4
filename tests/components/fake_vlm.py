"""A model that answers at once, in the shape of tokviz.models.VLM."""

import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from components.runs.models import Models
from components.site import Site
from tests.view.fakes import fake_trace, pruned, stage
from tokviz.errors import InputError
from tokviz.film import Film
from tokviz.prompts import check_prompt
from tokviz.trace.lane_view import LaneView

N = 36
WORD_IDS = {"red": 1, "blue": 2, " dog": 3, " cat": 4, ".": 5}


class FakeVLM:
    """Says which colour the middle of the picture's square has; lanes with few tokens say "cat"."""

    def __init__(self, broken: Exception | None = None, steps: int = 3) -> None:
        self.broken, self.steps, self.pause = broken, steps, 0.0
        self.info = {"name": "fake", "has_cls": True, "device": "cpu", "dtype": "float32"}
        self.asked: list[tuple[str, list[Any]]] = []
        self.shown: Any = None

    def visual_tokens(self, images) -> int:
        return N

    def unknown_words(self, prompt: str) -> list[str]:
        return [word for word in prompt.split() if word.startswith("xyz")]

    def stream(
        self, images, prompt, plans, max_new_tokens=64, capture=None, stop=None, strict=False
    ):  # noqa: E501
        prompt = check_prompt(prompt)
        if self.broken:
            raise self.broken
        self.asked.append((prompt, list(plans)))
        self.shown = images
        first = images.frames[0] if isinstance(images, Film) else images[0]
        return self._stream(first, prompt, plans, stop)

    def in_turn(self, images, prompt, plans, max_new_tokens=64, capture=None, stop=None):
        self.asked.append((check_prompt(prompt), list(plans)))
        views = [LaneView(p.label if p else "All tokens", total_visual_tokens=N) for p in plans]
        for number, plan in enumerate(plans):
            if stop is not None and stop.is_set():
                return
            for view in self._stream(images[0], prompt, [plan], stop):
                views[number] = view[0]
                yield views

    def _stream(self, image, prompt, plans, stop) -> Iterator[list[LaneView]]:
        views = [LaneView(p.label if p else "All tokens", total_visual_tokens=N) for p in plans]
        for step in range(self.steps):
            for view, plan in zip(views, plans, strict=True):
                self._step(view, plan, image, step)
            yield views
            time.sleep(self.pause)
            if stop is not None and stop.is_set():
                break
        for view, plan in zip(views, plans, strict=True):
            if not view.error:
                self._finish(view, plan, image, prompt)
        yield views

    def words(self, image, plan) -> tuple[str, ...]:
        red, _, blue = image.getpixel((image.width // 3, image.height // 3))
        colour = "red" if red > blue else "blue"
        few = plan is not None and bool(plan.steps) and plan.steps[-1].keep < N // 2
        return (colour, " cat" if few else " dog", ".")

    def further_runs(self, images, prompt, trace, max_new_tokens=64):
        """Answers "nothing" without a picture."""
        return SimpleNamespace(
            answers=lambda sets: ["nothing" for _ in sets],
            without_image=lambda: np.full(trace.t, 0.1, np.float32),
        )

    def _step(self, view, plan, image, step) -> None:
        if plan is not None and plan.steps and plan.steps[-1].keep > N:
            message = f"keep must be 1 to {N} visual tokens, got {plan.steps[-1].keep}."
            view.error, view.done = str(InputError(message)), True
            return
        view.tokens = self.written(image, plan)[: step + 1]
        view.text = "".join(view.tokens)

    def written(self, image, plan) -> tuple[str, ...]:
        """The words of an answer: those that are forced, else its own."""
        forced = plan.forced if plan is not None else ()
        by_id = {number: word for word, number in WORD_IDS.items()}
        return tuple(by_id[one] for one in forced) if forced else self.words(image, plan)

    def known(self, trace, image, plan):
        """The trace with ids; a word that the lane would not say by itself has P 0.2."""
        own = self.words(image, plan)[: trace.t]
        ids = np.array([WORD_IDS[word] for word in trace.answer_tokens], np.int32)
        best = np.array([WORD_IDS[word] for word in own], np.int32)
        prob = np.where(ids == best, 0.9, 0.2).astype(np.float32)
        likely = np.stack([best, np.zeros_like(best)], 1)
        more = {"answer_ids": ids, "candidate_ids": likely, "answer_prob": prob}
        return replace(trace, arrays={**trace.arrays, **more})

    def _finish(self, view, plan, image, prompt) -> None:
        stages = ()
        keep = N
        if plan is not None and plan.steps:
            keep = plan.steps[-1].keep
            step = plan.steps[-1]
            chosen = step.reduction or pruned(N, keep, seed=len(step.method))
            stages = (stage(chosen, step.method),)
        small = image.copy()
        small.thumbnail((192, 192))
        total = (
            0.08
            if plan is None or not plan.steps
            else 0.05 + 0.1 * (plan.steps[-1].method == "divprune")
        )
        timings = {"encode": 0.01, "decide": 0.001, "prefill": 0.01, "decode": total - 0.021,
                   "first_token": 0.02, "total": total}  # fmt: skip
        trace = fake_trace(
            6, 6, view.tokens, image=small, prompt=prompt, stages=stages, timings=timings
        )
        status = [{"name": one.method, "word": "run as published", "why": []} for one in stages]
        trace = replace(trace, model={**trace.model, "status": status})
        trace = self.known(trace, image, plan)
        view.trace, view.timings, view.done = trace, timings, True
        view.visual_tokens, view.kv_bytes = keep, 1000 * keep


def fake_site(vlm: FakeVLM | None = None) -> Site:
    """A site of a test's own, whose models all are this one."""
    return Site(models=Models(load=lambda name: vlm or FakeVLM()))
