"""Tasks of a lesson: what a visitor is asked for, and how the page knows that it was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokviz.evaluation.same_answer import same_answer
from tokviz.trace import Trace
from tokviz.view.explorer import find_sinks

from ..runs.runs import FULL, KeptRun

TASK_KINDS = ("choose", "number", "done")
CONDITIONS = (
    "method", "keep_at_most", "lanes_at_least", "pictures_at_least", "prompt_has", "prompt_lacks",
    "answer", "sinks",
)  # fmt: skip
"""What a `done` task can ask of the run that is shown."""
NOT_YOURS = "Not yet: what is shown came with the page. Run it yourself."


@dataclass(frozen=True)
class Task:
    """Something to find out or to do."""

    ask: str
    kind: str
    "One of TASK_KINDS."
    choices: tuple[str, ...] = ()
    right: int = 0
    "Number of the right choice, from 1."
    quantity: str = ""
    "Key of QUANTITIES that the typed number is compared with."
    where: Mapping[str, int] = field(default_factory=dict)
    "Lane, layer and word that the quantity is about."
    within: float = 0.5
    conditions: Mapping[str, Any] = field(default_factory=dict)
    "What the shown run must be like, some of CONDITIONS."
    hint: str = ""
    why: str = ""
    "Said when the answer was right."


def _share(block: int) -> Callable[[Trace, Mapping[str, int]], float]:
    def percent(trace: Trace, where: Mapping[str, int]) -> float:
        mass = trace.arrays["mass"][where.get("word", 0), where.get("layer", 0)]
        return float(mass[:, block].mean() * 100)

    return percent


def _groups(trace: Trace, where: Mapping[str, int]) -> float:
    group = trace.reduction.group
    members = [int((group == g).sum()) for g in set(group[group >= 0].tolist())]
    return sum(size > 1 for size in members)


def _sinks(trace: Trace, where: Mapping[str, int]) -> float:
    sinks, _ = find_sinks(trace)
    return 0 if sinks is None else int(sinks[where.get("layer", 0)].sum())


QUANTITIES: dict[str, Callable[[Trace, Mapping[str, int]], float]] = {
    "visual_tokens": lambda trace, where: trace.n,
    "tokens_left": lambda trace, where: trace.reduction.m,
    "tokens_pruned": lambda trace, where: int((trace.reduction.group < 0).sum()),
    "merged_groups": _groups,
    "answer_tokens": lambda trace, where: trace.t,
    "probability": lambda trace, where: float(
        trace.arrays["answer_prob"][where.get("word", 0)] * 100
    ),
    "visual_sinks": _sinks,
    "share_before": _share(0),
    "share_image": _share(1),
    "share_text": _share(2),
}
"""Name -> (trace, where) -> number; shares and probabilities in per cent."""


def check(
    task: Task, run: KeptRun | None, given: Any, say: Callable[[str], str] = str
) -> tuple[bool, str]:
    """Return whether a task is done, and what to say.

    Args:
        task: the task.
        run: the run that the visitor sees.
        given: the chosen text, the typed number, or nothing for something to do.
        say: gives the reader's language to what is said here; the task's own texts have it.
    """
    if task.kind == "done" and run is not None and run.stored:
        return False, f"{say(NOT_YOURS)} {task.hint}".strip()
    if _is_right(task, run, given):
        return True, f"{say('Right.')} {task.why}".strip()
    return False, f"{say('Not yet.')} {task.hint}".strip()


def _is_right(task: Task, run: KeptRun | None, given: Any) -> bool:
    if task.kind == "choose":
        return given == task.choices[task.right - 1]
    if run is None:
        return False
    if task.kind == "number":
        trace = run.traces.get(task.where.get("lane", FULL))
        if trace is None or not isinstance(given, (int, float)):
            return False
        return abs(QUANTITIES[task.quantity](trace, task.where) - given) <= task.within
    return _was_done(task.conditions, run)


def _was_done(conditions: Mapping[str, Any], run: KeptRun) -> bool:
    full = run.traces.get(FULL)
    lanes = [trace for number, trace in run.traces.items() if number != FULL]
    prompt = run.prompt.lower()
    if full is None:
        return False
    if len(lanes) < conditions.get("lanes_at_least", 0):
        return False
    if len(full.layout.sizes) < conditions.get("pictures_at_least", 0):
        return False
    if str(conditions.get("prompt_has", "")).lower() not in prompt:
        return False
    if "prompt_lacks" in conditions and str(conditions["prompt_lacks"]).lower() in prompt:
        return False
    of_one_lane = conditions.keys() & {"method", "keep_at_most", "answer", "sinks"}
    return not of_one_lane or any(_fits(trace, conditions, full) for trace in lanes)


def _fits(trace: Trace, conditions: Mapping[str, Any], full: Trace) -> bool:
    if "method" in conditions and conditions["method"] not in {
        stage.method for stage in trace.stages
    }:
        return False
    if trace.reduction.m > conditions.get("keep_at_most", trace.n):
        return False
    if conditions.get("sinks") == "removed" and not _without_sinks(trace, full):
        return False
    change = "stays" if same_answer(trace.answer, full.answer) else "changes"
    return conditions.get("answer", change) == change


def _without_sinks(trace: Trace, full: Trace) -> bool:
    """Tell whether a run on the same tokens left out every visual sink of the full answer."""
    sinks, _ = find_sinks(full)
    if sinks is None or not sinks.any() or trace.n != full.n:
        return False
    return bool((trace.reduction.group[sinks.any(0)] < 0).all())
