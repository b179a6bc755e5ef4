"""One plan on one question: from the encoded image to the trace, in bounded pieces of work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from tokviz.capture import HEADS_LIMIT_BYTES, Capture
from tokviz.cost import Shape, run_share
from tokviz.errors import InputError, MissingSignal, TokvizError
from tokviz.models.answer_text import end_tokens
from tokviz.models.decoder import StartAgain
from tokviz.models.editing import Editing
from tokviz.models.lane import Lane
from tokviz.models.prepared import Prepared
from tokviz.models.record import build_trace, readout_words
from tokviz.models.route import Arrived, route
from tokviz.models.second_run import SecondRun
from tokviz.models.state_arrays import state_arrays, word_texts
from tokviz.models.vision import Vision
from tokviz.plans import Plan, Step
from tokviz.records import CUT_OFF, MitigationRecord, StageRecord
from tokviz.trace import Trace

if TYPE_CHECKING:
    from tokviz.models.vlm import VLM


@dataclass
class LaneView:
    """What a caller sees of a lane while it is being written; refreshed on every yield."""

    label: str
    text: str = ""
    tokens: tuple[str, ...] = ()
    done: bool = False
    error: str | None = None
    "A sentence for the user when this lane could not be run; the other lanes go on."
    visual_tokens: int = 0
    total_visual_tokens: int = 0
    kv_bytes: int = 0
    timings: dict[str, float] | None = None
    "Seconds so far, as in a trace: see `timings` in docs/trace_format.md."
    trace: Trace | None = None
    finish: str = ""
    "Why the answer ended, a key of `tokviz.records.FINISHES`; empty while it is written."


class Run:
    """One plan on one question: from encoded image to trace, in bounded pieces of work."""

    def __init__(
        self,
        vlm: VLM,
        prepared: Prepared,
        shared: Vision,
        tower: dict[str, np.ndarray],
        plan: Plan | None,
        capture: Capture,
        sinks: Sequence[int] = (),
    ) -> None:
        """Args: `shared` the tower's run on the full image, `tower` its arrays for the trace."""
        self.vlm, self.prepared, self.shared, self.tower = vlm, prepared, shared, tower
        self.sinks = sinks
        self.plan, self.capture = plan or Plan(()), capture
        self.recipe = self.plan.recipe
        self.second: SecondRun | None = None
        total = prepared.asked.layout.n
        self.view = LaneView(self.plan.label, total_visual_tokens=total)
        self.said = vlm.answer_text()
        self.tokens: tuple[str, ...] = ()
        self.stops = end_tokens(vlm.model)

    def advance(self, work: Any, strict: bool) -> None:
        """Do one piece of work under the lock; an error the user can read ends this lane only."""
        try:
            with self.vlm.guarded():
                work()
        except TokvizError as error:
            if strict:
                raise
            self.fail(error)

    def fail(self, error: TokvizError) -> None:
        """End this lane with a sentence for the user."""
        self.view.error, self.view.done = str(error), True

    @property
    def alone(self) -> bool:
        """True when this lane cannot take its steps in one forward with others."""
        return self.second is not None or self.lane.alone

    def start(self) -> None:
        """Decide, remove, and read the prompt; write the first token."""
        self.check_forced()
        if self.recipe.needs_sinks:
            self.sinks = self.vlm.sink_dims
            if not self.sinks:
                title = self.plan.mitigation.entry.title  # type: ignore[union-attr]
                raise MissingSignal(
                    f"{title} moves attention away from sinks, and no sink dimension was found in "
                    "this model: there is nothing to redistribute."
                )
        self.read_prompt()
        self.view.visual_tokens = len(self.lane.stages.visual)
        if self.recipe.contrast:
            self.second = SecondRun(self, self.recipe.contrast)
        self.write()

    def read_prompt(self) -> None:
        """Decide, remove, and read the prompt, a second time where a method asks for it."""
        self.began = time.perf_counter()
        try:
            self.read(self.plan)
        except StartAgain:
            self.read_again()

    def read_again(self) -> None:
        """Read the prompt a second time, without what a method left out in the first."""
        stages, spent = self.lane.stages, self.arrived.decide_seconds
        layer, done, _ = stages.done[0]
        step = next(iter(self.plan.at("language_model")))
        earlier = tuple(s for s in self.plan.steps if s is not step)
        policy = step.position_policy
        self.read(Plan((*earlier, Step(step.method, done.m, reduction=done, positions=policy))))
        scouting = time.perf_counter() - self.began - self.lane.prefill_seconds
        record = StageRecord(step.method, "language_model", layer, done, scouting, "restart")
        self.arrived.records[-1] = record
        self.arrived.decide_seconds = spent + scouting

    def read(self, plan: Plan) -> None:
        """Route the visual tokens and read the prompt."""
        vlm = self.vlm
        self.arrived: Arrived = route(vlm.family, vlm.model, self.prepared, self.shared, plan)
        stages, edit = self.arrived.stages, self.recipe.attention
        width = vlm.model.config.get_text_config().hidden_size
        self.lane = Lane(
            vlm.family,
            vlm.model,
            stages,
            self.arrived.positions,
            self.capture,
            self.sinks,
            self.arrived.arrival.blocks(self.prepared.asked),
            Editing(edit, stages, width) if edit else None,
            self.recipe.reads_early,
            self.heads_of(),
        )
        arrived = self.arrived
        self.lane.prefill(arrived.input_ids, arrived.features, arrived.row_inputs)

    def heads_of(self) -> int:
        """Return for how many answer tokens attention is stored for each head."""
        text = self.vlm.model.config.get_text_config()  # type: ignore[union-attr, operator]
        n = max(self.prepared.asked.layout.n, 1)
        return HEADS_LIMIT_BYTES // (2 * n * text.num_hidden_layers * text.num_attention_heads)

    def check_forced(self) -> None:
        """Raise InputError unless the forced tokens are words of the model."""
        size = self.vlm.model.config.get_text_config().vocab_size  # type: ignore[union-attr, operator]
        bad = [i for i in self.plan.forced if not 0 <= i < size or i in self.stops]
        if bad:
            raise InputError(
                f"forced tokens must be 0 to {size - 1} and not end the answer, got {bad[0]}."
            )

    def step(self) -> None:
        """Predict and write one more token."""
        self.lane.step()
        if self.second:
            self.second.step(self.lane.ids[-1])
        self.write()

    def write(self) -> None:
        """Write the predicted token or a forced one, or finish at an end token."""
        forced = self.plan.forced[len(self.tokens) :]
        if not forced and self.lane.best() in self.stops:
            self.finish("end")
            return
        self.said.add(self.lane.write(forced[0] if forced else None))
        self.show_text()
        self.refresh()

    def show_text(self) -> None:
        """Bring the text and its pieces up to date."""
        self.tokens = self.view.tokens = self.said.pieces
        self.view.text = self.said.text

    def end_text(self, finish: str) -> None:
        """End the answer, for a reason out of FINISHES."""
        self.said.close()
        self.show_text()
        self.view.finish = finish

    def refresh(self) -> None:
        """Bring timings and cache size up to date."""
        arrived, lane = self.arrived, self.lane
        decide = arrived.decide_seconds + sum(seconds for *_, seconds in lane.stages.done)
        first = arrived.encode_seconds + arrived.decide_seconds + lane.prefill_seconds
        self.view.timings = {
            "encode": arrived.encode_seconds,
            "decide": decide,
            "prefill": lane.prefill_seconds,
            "decode": lane.decode_seconds,
            "first_token": first,
            "total": first + lane.decode_seconds,
        }
        if lane.shared_steps:
            self.view.timings["shared"] = lane.shared_seconds
            if lane.steps_alone:
                own = sum(lane.steps_alone) + lane.shared_steps * median(lane.steps_alone)
                self.view.timings["total_alone"] = first + own
        self.view.kv_bytes = lane.kv()[0]
        if self.second:
            times, extra = self.view.timings, self.second.prefill_seconds
            times["contrast"] = extra + self.second.decode_seconds
            times["first_token"] += extra
            times["total"] += times["contrast"]
            self.view.kv_bytes += self.second.kv_bytes

    def prefill_share(self) -> dict[str, float]:
        """Return the prefill's arithmetic relative to that of the whole prompt, by formula."""
        config = self.vlm.model.config.get_text_config()  # type: ignore[union-attr, operator]
        shape = Shape(config.num_hidden_layers, config.hidden_size, config.intermediate_size)
        records = [*self.arrived.records, *self.lane.stages.records()]
        n = self.prepared.asked.layout.n
        text = len(self.prepared.asked.prompt_ids) - n
        return {
            "visual_tokens": run_share(records, n, shape),
            "whole_prompt": run_share(records, n, shape, text),
        }

    def finish(self, reason: str) -> None:
        """Freeze the lane into a trace; `reason` is why the answer ends, a key of FINISHES."""
        self.lane.leave()
        self.refresh()
        self.end_text(reason)
        arrival, asked, t = self.arrived.arrival, self.prepared.asked, len(self.tokens)
        likely = enumerate(self.lane.candidate_ids())
        candidates = [self.said.candidates(at, row) for at, row in likely]
        states = state_arrays(self.lane, arrival, asked, t)
        trace = build_trace(
            self.lane,
            arrival,
            asked,
            self.tower | states,
            self.arrived.records,
            {
                **self.vlm.info,
                "positions": [s.position_policy for s in self.plan.steps],
                "prefill_share": self.prefill_share(),
            },
            (
                self.tokens,
                candidates[:t],
                self.view.text,
                word_texts(states, readout_words(self.lane, asked, t), self.said),
            ),
            dict(self.view.timings or {}),
            self.notes(),
        )
        self.view.trace = replace(
            trace,
            kv_bytes=self.view.kv_bytes,
            mitigation=self.mitigation_record(),
            finish=reason,
            word_marks=self.said.word_marks,
            answer_marks=self.said.marks,
        )
        self.view.done = True

    def notes(self) -> list[str]:
        """Return what a reader must know about this run."""
        notes = [*self.prepared.asked.notes, *self.arrived.notes]
        count = min(len(self.plan.forced), len(self.tokens))
        if count:
            what = "token was" if count == 1 else f"{count} tokens were"
            notes.append(f"The answer's first {what} forced, not chosen by the model.")
        if self.view.finish in CUT_OFF:
            notes.append(CUT_OFF[self.view.finish].format(count_of(len(self.tokens), "token")))
        if self.lane.shared_steps:
            word = len(self.lane.steps_alone) + 2  # the first comes from the prefill
            notes.append(
                f"From token {word} on several lanes were computed in one batch: the time of those "
                "steps is that of all of them, and rounding differs from an answer written alone "
                "(in bfloat16 a word may change where two are nearly as likely)."
            )
        return notes

    def mitigation_record(self) -> MitigationRecord | None:
        """Return what the plan's mitigation was, and the numbers it told."""
        chosen = self.plan.mitigation
        if chosen is None:
            return None
        entry, editing = chosen.entry, self.lane.editing
        return MitigationRecord(
            entry.name,
            entry.check_options(chosen.options),
            entry.kinds,
            entry.verified,
            dict(editing.told) if editing else {},
        )


def count_of(number: int, name: str) -> str:
    """Return a number with its noun."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
