"""One plan on one question: from the encoded image to the trace, in steps of one forward each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from tokviz.capture import Capture
from tokviz.errors import InputError, MissingSignal, TokvizError
from tokviz.mitigation import EarlyExit, EditedAttention, FewTokens, NoisedImage, ZeroedTokens
from tokviz.models.answer_text import end_tokens
from tokviz.models.before.prefill_input import PrefillInput, make_prefill_input
from tokviz.models.decoder.answer_rules import answer_rules
from tokviz.models.decoder.attention_edits import Editing
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.remove_tokens import StartAgain
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.build_trace import build_trace, readout_words, tower_arrays
from tokviz.models.runs.contrast import ContrastBranch, few_tokens, short_lane
from tokviz.models.runs.lane_changes import lane_change
from tokviz.models.runs.prefill_share import prefill_share
from tokviz.models.runs.preparing import encode
from tokviz.models.runs.run_notes import notes_of
from tokviz.models.runs.same_tokens import same_tokens_lane
from tokviz.models.runs.sink_search import sink_dims
from tokviz.models.runs.smaller_picture import smaller
from tokviz.models.runs.state_arrays import state_arrays, word_texts
from tokviz.models.runs.statuses import budgets_reached, plan_statuses
from tokviz.models.runs.timings import answer_timings
from tokviz.models.tower.vision import Vision
from tokviz.plans import Plan, Step
from tokviz.reduction.run_status import Status
from tokviz.trace.lane_view import LaneView
from tokviz.trace.stages import MitigationRecord, StageRecord


class Run:
    """One plan on one question: `start` reads the prompt, `step` writes a token, `finish` ends."""

    def __init__(
        self,
        loaded: Loaded,
        prepared: Prepared,
        shared: Vision,
        tower: dict[str, np.ndarray],
        plan: Plan | None,
        capture: Capture,
        sinks: Sequence[int] = (),
        limit: int = 64,
    ) -> None:
        """Args: `shared` the tower's run on the full image, `tower` its arrays for the trace.

        `limit`: the most tokens of the answer; the caller of `step` ends the run there.
        """
        self.loaded, self.prepared, self.shared, self.tower = loaded, prepared, shared, tower
        self.sinks, self.limit = sinks, limit
        self.plan, self.capture = plan or Plan(()), capture
        self.recipe = self.plan.recipe
        self.contrast: ContrastBranch | None = None
        self.picture_note, self.picture_seconds = "", 0.0
        "The sentence about a smaller picture, and the seconds in which its size was found."
        self.first_supplied: set[str] = set()
        "Signals given in a first reading of the prompt, where a second followed."
        total = prepared.asked.layout.n
        self.view = LaneView(self.plan.label, total_visual_tokens=total)
        self.said = loaded.answer_text()
        self.tokens: tuple[str, ...] = ()
        self.stops = end_tokens(loaded.model)

    def advance(self, work: Any, strict: bool) -> None:
        """Call `work` under the model's lock; a TokvizError ends only this lane unless `strict`."""
        try:
            with self.loaded.guarded(goes_on=bool(self.tokens)):
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
        """True if this lane cannot step in one forward with other lanes."""
        return self.contrast is not None or self.lane.alone

    def start(self) -> None:
        """Carry out the plan, read the prompt, and write the first token.

        Raises:
            MissingSignal: the mitigation needs sink dimensions, which the model lacks.
        """
        self.check_forced()
        if self.recipe.needs_sinks:
            self.sinks = sink_dims(self.loaded)
            if not self.sinks:
                title = self.plan.mitigation.entry.title  # type: ignore[union-attr]
                raise MissingSignal(
                    f"{title} moves attention away from sinks, and no sink dimension was found in "
                    "this model: there is nothing to redistribute."
                )
        whole = self.prepared.inputs["input_ids"]
        rules = answer_rules(self.loaded.model, whole, self.limit)
        self.read_prompt()
        self.lane.next_token.rules = rules
        self.view.visual_tokens = len(self.lane.stages.visual)
        if self.recipe.contrast:
            self.contrast = ContrastBranch(self.recipe.contrast, self.lane, self.branch_lane)
        self.write()

    def read_prompt(self) -> None:
        """Carry out the plan and read the prompt; twice if a method restarts the prefill."""
        self.began = time.perf_counter()
        self.shrink_picture()
        try:
            self.read(self.plan)
        except StartAgain:
            self.read_again()

    def shrink_picture(self) -> None:
        """Ask about a smaller picture from here on, if the plan says so."""
        for step in self.plan.at("picture"):
            found = smaller(self.loaded, self.prepared, step)
            if found.note:
                self.picture_seconds = time.perf_counter() - self.began
                self.prepared, self.picture_note = found.prepared, found.note
                self.shared = encode(self.loaded, self.prepared, [self.plan], self.capture)
                limit = self.capture.heads_bytes
                self.tower = tower_arrays(self.shared, limit) if self.capture.tower else {}

    def read_again(self) -> None:
        """Read the prompt again without the tokens that the method removed in the first pass."""
        stages, spent = self.lane.stages, self.prefill_input.decide_seconds
        self.first_supplied = stages.supplied
        layer, done, _ = stages.done[0]
        step = next(iter(self.plan.at("language_model")))
        earlier = tuple(s for s in self.plan.steps if s.place in ("tower", "before"))
        policy = step.position_policy
        ready = Step(step.method, done.m, reduction=done, positions=policy)
        self.read(Plan((*earlier, ready, *self.plan.at("cache"))))
        first_reading = time.perf_counter() - self.began - self.lane.prefill_seconds
        record = StageRecord(step.method, "language_model", layer, done, first_reading, "restart")
        self.prefill_input.records[-1] = record
        self.prefill_input.decide_seconds = spent + first_reading

    def read(self, plan: Plan) -> None:
        """Reduce the visual tokens by the plan and read the prompt."""
        loaded = self.loaded
        self.prefill_input: PrefillInput = make_prefill_input(
            loaded.family, loaded.model, self.prepared, self.shared, plan
        )
        entering = self.prefill_input
        self.prefill_input.decide_seconds += self.picture_seconds
        stages, edit = self.prefill_input.stages, self.recipe.attention
        width = loaded.model.config.get_text_config().hidden_size
        self.lane = Lane(
            loaded.family,
            loaded.model,
            stages,
            self.prefill_input.positions,
            self.capture,
            self.sinks,
            self.prefill_input.prompt_rows.blocks(self.prepared.asked),
            Editing(edit, stages, width) if edit else None,
            self.recipe.reads_early,
            self.heads_of(),
            lane_change(self.recipe, loaded, self.prepared, self.shared, entering.features.tokens),
        )
        self.lane.prefill(entering.input_ids, entering.features, entering.row_inputs)

    def branch_lane(self) -> Lane | None:
        """Return the lane of the contrast branch after its prefill; None for an early read-out."""
        branch = self.recipe.contrast.branch  # type: ignore[union-attr]
        if isinstance(branch, EarlyExit):
            return None
        if isinstance(branch, NoisedImage):
            noised = {name: branch.noise(one) for name, one in self.prepared.pixels.items()}
            return self.lane_with(noised)
        if isinstance(branch, (EditedAttention, ZeroedTokens)):
            return same_tokens_lane(self.loaded, self.prefill_input, branch)
        picked: list[int] = []
        if isinstance(branch, FewTokens):
            layout = self.prepared.asked.layout
            picked = few_tokens(branch, self.shared, layout, self.prefill_input, self.view.label)
        return short_lane(self.loaded, self.prefill_input, picked)

    def lane_with(self, pixels: dict[str, torch.Tensor]) -> Lane:
        """Return a lane after the prefill of the same prompt and plan with other pixels."""
        inputs = {**self.prepared.inputs, **pixels}
        prepared, plan = replace(self.prepared, inputs=inputs), Plan(self.plan.steps)
        shared = encode(self.loaded, prepared, [plan], Capture.nothing())
        other = Run(self.loaded, prepared, shared, {}, plan, Capture.nothing())
        other.read_prompt()
        return other.lane

    def heads_of(self) -> int:
        """Return the largest number of answer tokens for which single heads are kept."""
        text = self.loaded.model.config.get_text_config()  # type: ignore[union-attr, operator]
        n = max(self.prepared.asked.layout.n, 1)
        per_token = 2 * n * text.num_hidden_layers * text.num_attention_heads
        return self.capture.heads_bytes // per_token

    def check_forced(self) -> None:
        """Raise InputError unless all forced tokens are in the vocabulary and no end tokens."""
        size = self.loaded.model.config.get_text_config().vocab_size  # type: ignore[union-attr, operator]
        bad = [i for i in self.plan.forced if not 0 <= i < size or i in self.stops]
        if bad:
            raise InputError(
                f"forced tokens must be 0 to {size - 1} and not end the answer, got {bad[0]}."
            )

    def step(self) -> None:
        """Predict and write one more token."""
        self.lane.step()
        if self.contrast:
            self.contrast.step(self.lane.ids[-1])
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
        """Update the text of the view and its pieces."""
        self.tokens = self.view.tokens = self.said.pieces
        self.view.text = self.said.text

    def end_text(self, finish: str) -> None:
        """End the answer; `finish` is a key of FINISHES."""
        self.said.close()
        self.show_text()
        self.view.finish = finish

    def refresh(self) -> None:
        """Update timings and cache size of the view."""
        self.view.timings = answer_timings(self.prefill_input, self.lane, self.contrast)
        self.view.kv_bytes = self.lane.kv()[0]
        if self.contrast:
            self.view.kv_bytes += self.contrast.kv_bytes

    def finish(self, reason: str) -> None:
        """Build the trace; `reason` says why the answer ended, a key of FINISHES."""
        self.refresh()
        self.end_text(reason)
        entered, asked, t = self.prefill_input.prompt_rows, self.prepared.asked, len(self.tokens)
        likely = self.lane.predictions.candidates()[0].tolist() if t else []
        candidates = [self.said.candidates(at, row) for at, row in enumerate(likely[:t])]
        states = state_arrays(self.lane, entered, asked, t)
        statuses = self.statuses()
        self.view.trace = build_trace(
            self.lane,
            entered,
            asked,
            self.tower | states,
            self.prefill_input.records,
            {
                **self.loaded.info,
                "date": datetime.now(UTC).date().isoformat(),
                "positions": [s.position_policy for s in self.plan.steps],
                "prefill_share": prefill_share(self),
                "status": [status.as_json() for status in statuses],
                **self.unlike_plain(),
            },
            (
                self.tokens,
                candidates,
                self.view.text,
                word_texts(states, readout_words(self.lane, entered, asked, t), self.said),
            ),
            dict(self.view.timings or {}),
            notes_of(self, statuses),
            kv_bytes=self.view.kv_bytes,
            mitigation=self.mitigation_record(),
            finish=reason,
            word_marks=self.said.word_marks,
            answer_marks=self.said.marks,
        )
        self.lane.leave(with_keys=False)
        self.view.done = True

    def unlike_plain(self) -> dict[str, Any]:
        """Return what makes a run without stages another one than the model's own answer."""
        found: dict[str, Any] = {}
        if self.picture_note:
            step = next(iter(self.plan.at("picture")))
            found |= {"picture": step.method, "whole_tokens": self.view.total_visual_tokens}
        count = min(len(self.plan.forced), len(self.tokens))
        return found | ({"forced": count} if count else {})

    def statuses(self) -> list[Status]:
        """Return how close each method, and the mitigation, came to its publication here."""
        entered = self.prefill_input
        inside = self.first_supplied | self.lane.stages.supplied
        given = {s.method: entered.supplied.get(s.method, set()) for s in self.plan.steps}
        for step in self.plan.at("language_model"):
            given[step.method] = given[step.method] | inside
        for step in self.plan.at("cache"):
            eviction = self.lane.stages.eviction
            given[step.method] = eviction.supplied if eviction else set()
        images = len(self.prepared.asked.layout.sizes)
        text = self.loaded.model.config.get_text_config()  # type: ignore[union-attr, operator]
        return plan_statuses(
            self.plan,
            given,
            images,
            entered.one_patch_each,
            entered.member_positions,
            entered.why_merged,
            {
                "tower": len(self.loaded.family.tower_layers(self.loaded.model)),
                "language_model": self.lane.layers,
            },
            budgets_reached(
                self.plan,
                [*entered.records, *self.lane.stages.records()],
                self.view.total_visual_tokens,
            ),
            (self.loaded.family.name, text.num_attention_heads),
            entered.moved,
        )

    def mitigation_record(self) -> MitigationRecord | None:
        """Return the plan's mitigation and the numbers that it measured."""
        chosen = self.plan.mitigation
        if chosen is None:
            return None
        entry, editing = chosen.entry, self.lane.editing
        return MitigationRecord(
            entry.name,
            entry.check_options(chosen.options),
            entry.kinds,
            entry.verified,
            dict(editing.measured) if editing else {},
        )
