"""Reading lessons: Markdown files whose steps set the page.

The format is described for teachers in docs/lessons.md. A lesson is text of its author, not of a
visitor, and still nothing in it is trusted: it is parsed as data, every name is checked when the
page starts, and the page's Markdown component removes scripts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tokviz.errors import TokvizError
from tokviz.shipped_files import ASSETS

from ..answering.links import read_lane, read_view
from ..runs.runs import FULL
from .tasks import CONDITIONS, QUANTITIES, TASK_KINDS, Task

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024
HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.S)
STEP = re.compile(r"^## +(.+)$", re.M)
BLOCK = re.compile(r"^```(page|task)\n(.*?)^```\n?", re.M | re.S)
PAGE_FIELDS = (
    "example", "lane", "map", "layer", "head", "keep", "opacity", "token", "words", "fates",
    "focus",
)  # fmt: skip
FOCUS = (
    "picture", "sentence", "legend", "words", "layers", "maps", "heads", "paint", "lanes",
    "lane 1", "lane 2", "lane 3", "ask", "sweep", "desk",
)  # fmt: skip
"""Parts of the page that a step can speak of; assets/js/page/highlight.js finds them."""
TASK_FIELDS = ("ask", *TASK_KINDS, "right", "lane", "layer", "word", "within", "hint", "why")


class LessonError(TokvizError):
    """A lesson that cannot be used; the message is for its author."""


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
    def focus(self) -> str:
        """Return the part of the page that the step speaks of, one of FOCUS."""
        if self.page.get("focus"):
            return str(self.page["focus"])
        task = self.task
        if task is not None and task.kind == "done":
            return "lanes"
        if task is not None and task.quantity.startswith("share"):
            return "layers"
        if self.page.get("words"):
            return "words"
        return "legend" if "lane" in self.page else "picture"

    @property
    def view(self) -> dict[str, Any]:
        """Return how the step looks at it, with the fields that a link has."""
        query = {str(k): _as_query(v) for k, v in self.page.items() if k != "focus"}
        return read_view(query)


@dataclass(frozen=True)
class Lesson:
    """One lesson file."""

    name: str
    title: str
    minutes: int
    steps: tuple[LessonStep, ...]

    @property
    def needs(self) -> str:
        """What the lesson needs, in words: a run of the model, or stored runs alone."""
        kinds = {step.task.kind for step in self.steps if step.task}
        runs = "done" in kinds
        return "runs the small model (no network)" if runs else "stored runs alone, no model"


def _as_query(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


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
            page = _mapping(text, f"{where}, page", PAGE_FIELDS)
            if page.get("focus", FOCUS[0]) not in FOCUS:
                raise LessonError(f"{where}, page: focus must be one of {', '.join(FOCUS)}.")
        else:
            task = _task(where, _mapping(text, f"{where}, task", TASK_FIELDS))
    return LessonStep(title, BLOCK.sub("", body).strip(), page, task)


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
    kinds = [kind for kind in TASK_KINDS if kind in found]
    if len(kinds) != 1 or not isinstance(found.get("ask"), str):
        raise LessonError(f"{where}: a task has an 'ask' and one of {', '.join(TASK_KINDS)}.")
    kind = kinds[0]
    read = {"choose": _read_choose, "number": _read_number, "done": _read_done}[kind]
    hint, why = (str(found.get(name, "")) for name in ("hint", "why"))
    return Task(found["ask"], kind, hint=hint, why=why, **read(where, found))


def _read_choose(where: str, found: dict[str, Any]) -> dict[str, Any]:
    choices, right = found["choose"], found.get("right")
    if not (isinstance(choices, list) and all(isinstance(text, str) for text in choices)):
        raise LessonError(f"{where}: 'choose' is a list of texts; quote yes, no and colons.")
    if not isinstance(right, int):
        raise LessonError(f"{where}: 'right' is the number of the right choice.")
    if not 1 <= right <= len(choices):
        raise LessonError(f"{where}: right must be 1 to {len(choices)}, got {right}.")
    return {"choices": tuple(choices), "right": right}


def _read_number(where: str, found: dict[str, Any]) -> dict[str, Any]:
    if found["number"] not in QUANTITIES:
        raise LessonError(f"{where}: number must be one of {', '.join(QUANTITIES)}.")
    places = {name: found[name] for name in ("lane", "layer", "word") if name in found}
    if not all(isinstance(number, int) for number in places.values()):
        raise LessonError(f"{where}: lane, layer and word are whole numbers.")
    within = float(found.get("within", 0.5))
    return {"quantity": found["number"], "where": places, "within": within}


def _read_done(where: str, found: dict[str, Any]) -> dict[str, Any]:
    conditions = found["done"]
    if not isinstance(conditions, dict) or set(conditions) - set(CONDITIONS) or not conditions:
        raise LessonError(f"{where}: done takes some of {', '.join(CONDITIONS)}.")
    if conditions.get("answer", "stays") not in ("stays", "changes"):
        raise LessonError(f"{where}: answer must be stays or changes.")
    if conditions.get("sinks", "removed") != "removed":
        raise LessonError(f"{where}: sinks must be removed.")
    return {"conditions": conditions}
