"""Lessons: Markdown files whose steps set the page and whose tasks the page can check.

The format is described for teachers in docs/lessons.md. A lesson is text of its author, not of a
visitor, and still nothing in it is trusted: it is parsed as data, every name is checked when the
page starts, and the page's Markdown component removes scripts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tokviz.errors import TokvizError
from tokviz.evaluation.same_answer import same_answer
from tokviz.shipped_files import ASSETS
from tokviz.trace import Trace

from ..answering.links import read_lane, read_view
from ..runs.runs import FULL, KeptRun

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024
NOT_YOURS = "Not yet: what is shown came with the page. Run it yourself."
HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.S)
STEP = re.compile(r"^## +(.+)$", re.M)
BLOCK = re.compile(r"^```(page|task)\n(.*?)^```\n?", re.M | re.S)
TASKS = ("choose", "number", "done")
DOINGS = ("method", "keep_at_most", "lanes_at_least", "prompt_has", "prompt_lacks", "answer")


class LessonError(TokvizError):
    """A lesson that cannot be used; the message is for its author."""


@dataclass(frozen=True)
class Task:
    """Something to find out or to do, and how the page knows that it was."""

    ask: str
    kind: str
    "One of TASKS."
    choices: tuple[str, ...] = ()
    right: int = 0
    "Number of the right choice, from 1."
    quantity: str = ""
    "Key of QUANTITIES that the typed number is compared with."
    where: Mapping[str, int] = field(default_factory=dict)
    "Lane, layer and word that the quantity is about."
    within: float = 0.5
    doing: Mapping[str, Any] = field(default_factory=dict)
    "What the shown run must be like, some of DOINGS."
    hint: str = ""
    why: str = ""
    "Said when the answer was right."


@dataclass(frozen=True)
class LessonStep:
    """One screen of a lesson."""

    title: str
    text: str
    "Markdown."
    page: Mapping[str, Any] = field(default_factory=dict)
    "example, lane and the fields of a view; empty leaves the page as it is."
    task: Task | None = None

    @property
    def lane(self) -> int:
        """Return the lane that the step shows."""
        lane = read_lane({"lane": str(self.page.get("lane", ""))})
        return FULL if lane is None else lane

    @property
    def view(self) -> dict[str, Any]:
        """Return how the step looks at it, as a link would say it."""
        query = {str(k): _as_query(v) for k, v in self.page.items()}
        return read_view(query)


@dataclass(frozen=True)
class Lesson:
    """One lesson file."""

    name: str
    title: str
    minutes: int
    steps: tuple[LessonStep, ...]


def _as_query(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


# -- what a task can ask for ----------------------------------------------------------------------


def _share(block: int) -> Callable[[Trace, Mapping[str, int]], float]:
    def percent(trace: Trace, where: Mapping[str, int]) -> float:
        mass = trace.arrays["mass"][where.get("word", 0), where.get("layer", 0)]
        return float(mass[:, block].mean() * 100)

    return percent


def _groups(trace: Trace, where: Mapping[str, int]) -> float:
    group = trace.reduction.group
    members = [int((group == g).sum()) for g in set(group[group >= 0].tolist())]
    return sum(size > 1 for size in members)


QUANTITIES: dict[str, Callable[[Trace, Mapping[str, int]], float]] = {
    "visual_tokens": lambda trace, where: trace.n,
    "tokens_left": lambda trace, where: trace.reduction.m,
    "tokens_pruned": lambda trace, where: int((trace.reduction.group < 0).sum()),
    "merged_groups": _groups,
    "answer_tokens": lambda trace, where: trace.t,
    "probability": lambda trace, where: float(
        trace.arrays["answer_prob"][where.get("word", 0)] * 100
    ),
    "share_before": _share(0),
    "share_image": _share(1),
    "share_text": _share(2),
}
"""Name -> (trace, where) -> number; shares and probabilities in per cent."""


def check(task: Task, run: KeptRun | None, given: Any) -> tuple[bool, str]:
    """Return whether a task is done, and what to say.

    Args:
        task: the task.
        run: the run that the visitor sees.
        given: the chosen text, the typed number, or nothing for something to do.
    """
    if task.kind == "done" and run is not None and run.stored:
        return False, f"{NOT_YOURS} {task.hint}".strip()
    if _is_right(task, run, given):
        return True, f"Right. {task.why}".strip()
    return False, f"Not yet. {task.hint}".strip()


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
    return _was_done(task.doing, run)


def _was_done(doing: Mapping[str, Any], run: KeptRun) -> bool:
    full = run.traces.get(FULL)
    lanes = [trace for number, trace in run.traces.items() if number != FULL]
    prompt = run.prompt.lower()
    if full is None:
        return False
    if len(lanes) < doing.get("lanes_at_least", 0):
        return False
    if str(doing.get("prompt_has", "")).lower() not in prompt:
        return False
    if "prompt_lacks" in doing and str(doing["prompt_lacks"]).lower() in prompt:
        return False
    of_one_lane = doing.keys() & {"method", "keep_at_most", "answer"}
    return not of_one_lane or any(_fits(trace, doing, full.answer) for trace in lanes)


def _fits(trace: Trace, doing: Mapping[str, Any], full: str) -> bool:
    if "method" in doing and doing["method"] not in {stage.method for stage in trace.stages}:
        return False
    if trace.reduction.m > doing.get("keep_at_most", trace.n):
        return False
    said = "stays" if same_answer(trace.answer, full) else "changes"
    return doing.get("answer", said) == said


# -- reading --------------------------------------------------------------------------------------


def read_lessons(home: Path = ASSETS / "lessons") -> dict[str, Lesson]:
    """Return name -> lesson in the order of the file names; a broken one is logged and left out."""
    lessons: dict[str, Lesson] = {}
    for path in sorted(home.glob("*.md")):
        try:
            lessons[path.stem] = read_lesson(path.stem, _text(path))
        except LessonError:
            log.exception("the lesson %r was left out", path.name)
    return lessons


def _text(path: Path) -> str:
    data = path.read_bytes()
    if len(data) > MAX_BYTES:
        raise LessonError(f"{path.name} is over {MAX_BYTES >> 10} KB.")
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise LessonError(f"{path.name} is not UTF-8 text.") from None


def read_lesson(name: str, text: str) -> Lesson:
    """Return the lesson that a Markdown text describes.

    Raises:
        LessonError: the sentence names the lesson, the step and what is wrong.
    """
    head = HEAD.match(text)
    if head is None:
        raise LessonError(f"{name}: a lesson begins with --- title: ... ---.")
    front = _mapping(head[1], f"{name}: front matter", ("title", "minutes"))
    parts = STEP.split(text[head.end() :])
    if len(parts) < 3:
        raise LessonError(f"{name}: a lesson has steps, each under a line '## Title'.")
    opening = parts[0].strip()
    steps: list[LessonStep] = []
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        steps.append(_step(f"{name}, step {len(steps) + 1}", title.strip(), body))
    if opening:
        first = steps[0]
        steps[0] = LessonStep(first.title, f"{opening}\n\n{first.text}", first.page, first.task)
    title, minutes = front.get("title"), front.get("minutes", 5)
    if not isinstance(title, str) or not isinstance(minutes, int):
        raise LessonError(f"{name}: title must be text and minutes a whole number.")
    return Lesson(name, title[:100], minutes, tuple(steps))


def _step(where: str, title: str, body: str) -> LessonStep:
    page: Mapping[str, Any] = {}
    task = None
    for kind, text in BLOCK.findall(body):
        if kind == "page":
            page = _mapping(text, f"{where}, page", PAGE)
        else:
            task = _task(where, _mapping(text, f"{where}, task", TASK))
    return LessonStep(title, BLOCK.sub("", body).strip(), page, task)


PAGE = ("example", "lane", "map", "layer", "head", "keep", "opacity", "token", "words", "fates")
TASK = ("ask", *TASKS, "right", "lane", "layer", "word", "within", "hint", "why")


def _mapping(text: str, where: str, known: tuple[str, ...]) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        at = getattr(error, "problem_mark", None)
        line = f", line {at.line + 1}" if at else ""
        raise LessonError(
            f"{where}{line}: this is not YAML. A text that holds a colon needs quotes around it."
        ) from None
    if not isinstance(found, dict):
        raise LessonError(f"{where}: write one 'name: value' per line.")
    strange = [key for key in found if key not in known]
    if strange:
        raise LessonError(
            f"{where}: {str(strange[0])[:40]!r} is not known, only {', '.join(known)}."
        )
    return found


def _task(where: str, found: dict[str, Any]) -> Task:
    kinds = [kind for kind in TASKS if kind in found]
    if len(kinds) != 1 or not isinstance(found.get("ask"), str):
        raise LessonError(f"{where}: a task has an 'ask' and one of {', '.join(TASKS)}.")
    kind, value = kinds[0], found[kinds[0]]
    places: dict[str, int] = {k: found[k] for k in ("lane", "layer", "word") if k in found}
    if not all(isinstance(v, int) for v in places.values()):
        raise LessonError(f"{where}: lane, layer and word are whole numbers.")
    said: dict[str, Any] = {"hint": str(found.get("hint", "")), "why": str(found.get("why", ""))}
    ask = found["ask"]
    if kind == "choose":
        right = found.get("right")
        if not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
            raise LessonError(f"{where}: 'choose' is a list of texts; quote yes, no and colons.")
        if not isinstance(right, int):
            raise LessonError(f"{where}: 'right' is the number of the right choice.")
        if not 1 <= right <= len(value):
            raise LessonError(f"{where}: right must be 1 to {len(value)}, got {right}.")
        return Task(ask, kind, choices=tuple(value), right=right, **said)
    if kind == "number":
        if value not in QUANTITIES:
            raise LessonError(f"{where}: number must be one of {', '.join(QUANTITIES)}.")
        within = float(found.get("within", 0.5))
        return Task(ask, kind, quantity=value, where=places, within=within, **said)
    if not isinstance(value, dict) or set(value) - set(DOINGS) or not value:
        raise LessonError(f"{where}: done takes some of {', '.join(DOINGS)}.")
    if value.get("answer", "stays") not in ("stays", "changes"):
        raise LessonError(f"{where}: answer must be stays or changes.")
    return Task(ask, kind, doing=value, **said)
