"""The notes of a run: sentences that whoever reads its answer needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from tokviz.models.before.unlike_pictures import unlike_note
from tokviz.models.decoder.answer_rules import setting_notes
from tokviz.models.decoder.lane import Lane
from tokviz.reduction.run_status import Status
from tokviz.trace.stages import CUT_OFF

if TYPE_CHECKING:
    from tokviz.models.runs.run import Run


def notes_of(run: Run, statuses: Sequence[Status]) -> list[str]:
    """Return what a reader must know about this run; `statuses` of its methods."""
    model = run.loaded.model
    said = [status.sentence for status in statuses]
    notes = [*said, *effects(run), *run.loaded.notes, *run.prepared.asked.notes]
    notes += unlike_note(run.loaded.known_pictures, run.shared, run.prepared.asked.layout)
    notes += [run.picture_note] if run.picture_note else []
    notes += [*run.prefill_input.notes, *setting_notes(model)]
    notes += context_notes(model, run.lane)
    notes += run.lane.stages.eviction.notes if run.lane.stages.eviction else []
    count = min(len(run.plan.forced), len(run.tokens))
    if count:
        what = "token was" if count == 1 else f"{count} tokens were"
        notes.append(f"The answer's first {what} forced, not chosen by the model.")
    if run.view.finish in CUT_OFF:
        notes.append(CUT_OFF[run.view.finish].format(count_of(len(run.tokens), "token")))
    if run.lane.shared_words:
        word = len(run.lane.steps_alone) + 2  # the first comes from the prefill
        notes.append(
            f"From token {word} on several tokens, of one or more lanes, were computed in one "
            "batch: the time of those steps is that of all these tokens together, and rounding "
            "differs from that of an answer written alone (in bfloat16 a word may change if two "
            "are almost equally likely)."
        )
    return notes


def effects(run: Run) -> list[str]:
    """Return what came of the mitigation, a sentence for each of its halves."""
    chosen, editing = run.plan.mitigation, run.lane.editing
    if chosen is None or "diagnostic" in chosen.entry.kinds:
        return []
    title = chosen.entry.title
    found = [editing.effect(title)] if editing else []
    if run.lane.changing:
        found.append(run.lane.changing.effect(title))
    if run.contrast:
        found.append(run.contrast.effect(title, max(len(run.tokens), 1)))
    return found


def context_notes(model: nn.Module, lane: Lane) -> list[str]:
    """Return a note where a run goes to positions beyond those that the model was made for."""
    config = model.config.get_text_config()  # type: ignore[union-attr, operator]
    limit = getattr(config, "max_position_embeddings", None)
    reached = int(lane.positions.max()) + 1 + len(lane.ids)
    if not isinstance(limit, int) or reached <= limit:
        return []
    return [
        f"Prompt and answer take {reached} positions, and this model was made for at most {limit} "
        "(max_position_embeddings): its answer may be wrong. Ask with fewer or smaller images, a "
        "shorter prompt, or fewer tokens of answer."
    ]


def count_of(number: int, name: str) -> str:
    """Return a number with its noun."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
