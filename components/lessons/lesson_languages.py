"""Lessons in the reader's language: assets/lessons/<language>/ holds their translations.

A translation has the same file name as the lesson, and the same steps, page blocks and checks; only
its texts differ. A lesson without such a file, or with one that has fallen behind, is English.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..i18n import LANGUAGES, phrase, reader_language
from .lesson_files import Lesson, LessonStep, read_lessons

log = logging.getLogger(__name__)

OVERVIEW = (
    "Short lessons with something to find out or to do in each. All of them use the small model "
    "that comes with tokviz. What you have on the page now is kept: “Back to my work” shows it "
    "again."
)
FOR_TEACHERS = (
    "**For teachers.** {count} lessons, {total} minutes together. Each learner needs a browser; "
    "one laptop without network can serve a class. **Present** enlarges the page for a projector."
)
LISTED = "{title}: **{minutes} min**, {needs}"
CHOICE = "{title} ({minutes} min)"
Translations = Mapping[str, Mapping[str, Lesson]]
"""Language -> name -> lesson; only what is translated."""


def checks(step: LessonStep) -> tuple[Any, ...]:
    """Return what a step does and checks, without its texts."""
    task = step.task
    if task is None:
        return (step.page,)
    of_task = (task.kind, len(task.choices), task.right, task.quantity, task.where, task.within)
    return (step.page, *of_task, task.conditions, bool(task.hint), bool(task.why))


def same_steps(lesson: Lesson, other: Lesson) -> bool:
    """Return whether two lessons do and check the same, step by step."""
    steps = [[checks(step) for step in one.steps] for one in (lesson, other)]
    return steps[0] == steps[1] and lesson.minutes == other.minutes


def read_translations(home: Path, lessons: Mapping[str, Lesson]) -> Translations:
    """Return the translations of lessons; one that does something else is logged and left out."""
    found: dict[str, dict[str, Lesson]] = {}
    for code in LANGUAGES:
        found[code] = {}
        for name, translation in read_lessons(home / code).items():
            if name in lessons and same_steps(lessons[name], translation):
                found[code][name] = translation
            else:
                log.warning("%s/%s.md has other steps or checks: not used", code, name)
    return found


class LessonTexts:
    """The lessons, and what the panel says around them, for whoever sent the current event."""

    def __init__(self, lessons: Mapping[str, Lesson], translations: Translations) -> None:
        self.lessons, self.translations = lessons, translations

    def all(self) -> dict[str, Lesson]:
        """Return name -> lesson in the reader's language, in their order."""
        return {**self.lessons, **self.translations.get(reader_language(), {})}

    def say(self, english: str, **fields: Any) -> str:
        """Return a text of the panel in the reader's language; its fields stay as they are."""
        return phrase(english, reader_language(), **fields)

    def menu(self) -> list[tuple[str, str]]:
        """Return the choices of the menu."""
        return [
            (self.say(CHOICE, title=lesson.title, minutes=lesson.minutes), name)
            for name, lesson in self.all().items()
        ]

    def overview(self) -> str:
        """Return what stands there before a lesson is chosen: for learners and for teachers."""
        lessons = self.all().values()
        total = sum(lesson.minutes for lesson in lessons)
        rows = [
            f"{number}. "
            + self.say(
                LISTED, title=lesson.title, minutes=lesson.minutes, needs=self.say(lesson.needs)
            )
            for number, lesson in enumerate(lessons, start=1)
        ]
        teachers = self.say(FOR_TEACHERS, count=len(lessons), total=total)
        return "\n".join([self.say(OVERVIEW), "", teachers, "", *rows])
