"""One plan on one question without a trace: the answer, its distributions and its cost.

A sweep asks thousands of questions. All plans and all questions about an image share one run of the
tower, and what only the viewer needs (recorded rows, previews) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tokviz.capture import Capture
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.prefill_share import prefill_share
from tokviz.models.runs.run import Run
from tokviz.models.runs.run_notes import notes_of
from tokviz.models.tower.vision import Vision
from tokviz.plans import Plan

MAX_DISTRIBUTIONS = 64
"Answer tokens whose whole distribution is kept."


@dataclass(frozen=True, eq=False)
class Measured:
    """One answer and its cost."""

    answer: str
    ids: tuple[int, ...]
    "Token ids of the answer, without the end token."
    log_probabilities: np.ndarray
    "float32 [<= MAX_DISTRIBUTIONS, v]: the distribution of each answer token, then of the end."
    visual_tokens: int
    "Visual tokens left after the prefill."
    score: np.ndarray | None
    "float32 [n], the scores of the plan's first decision, if it decided on all tokens."
    seconds: dict[str, float]
    "encode, decide, prefill, decode, first_token, total."
    kv_bytes: int
    prefill_share: float
    "The prefill's arithmetic relative to that of the whole prompt, by formula."
    status: tuple[str, ...]
    "How close each method came to its publication, a sentence each."
    notes: tuple[str, ...]
    finish: str
    "Why the answer ended, a key of `tokviz.trace.stages.FINISHES`."


class MeasuredRun(Run):
    """A run that keeps distributions and builds no trace."""

    def measure(self, limit: int) -> Measured:
        """Answer with at most `limit` tokens."""
        self.rows: list[np.ndarray] = []
        self.advance(self.start, strict=True)
        while not self.view.done:
            full = len(self.tokens) >= limit
            self.advance(partial(self.finish, "length") if full else self.step, strict=True)
        records = [*self.prefill_input.records, *self.lane.stages.records()]
        statuses = self.statuses()
        notes = [*notes_of(self, statuses), *(note for r in records for note in r.reduction.notes)]
        return Measured(
            answer=self.view.text,
            ids=tuple(self.lane.ids),
            log_probabilities=np.stack(self.rows),
            visual_tokens=self.view.visual_tokens,
            score=records[0].reduction.score if records else None,
            seconds=dict(self.view.timings or {}),
            kv_bytes=self.view.kv_bytes,
            prefill_share=prefill_share(self)["whole_prompt"],
            status=tuple(status.sentence for status in statuses),
            notes=tuple(dict.fromkeys(notes)),
            finish=self.view.finish,
        )

    def write(self) -> None:
        """Store the distribution, then write the predicted token."""
        if len(self.rows) < MAX_DISTRIBUTIONS and self.lane.logits is not None:
            self.rows.append(self.lane.logits.log_softmax(-1).cpu().numpy())
        super().write()

    def finish(self, reason: str) -> None:
        """End the answer without a trace."""
        self.refresh()
        self.end_text(reason)
        self.view.done = True


def measure(
    loaded: Loaded, prepared: Prepared, vision: Vision, plan: Plan | None, max_new_tokens: int
) -> Measured:
    """Answer one question under one plan.

    Args:
        loaded: the model.
        prepared: the question, from `VLM.prepare`.
        vision: the tower's run, from `VLM.encode` with this plan among its plans; it can be used
            for every question about the same images.
        plan: None = keep all tokens.
        max_new_tokens: largest length of the answer.

    Raises:
        InputError: a budget out of range.
        MissingSignal: the method needs what this model does not have.
        ModelError: out of memory.
    """
    nothing = Capture.nothing()
    run = MeasuredRun(loaded, prepared, vision, {}, plan, nothing, limit=max_new_tokens)
    return run.measure(max_new_tokens)
