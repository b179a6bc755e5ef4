"""The sidebar with the lessons: read a step, look at what it shows, have its task checked."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..ask.opening import show_example
from ..screen import QUICK, SKIP, Screen, frame
from ..site import Site
from ..widgets.notice import notice
from ..widgets.widget import event_payload
from .lesson_files import Lesson, LessonStep, read_lessons
from .tasks import check

CHOOSE = "Choose a lesson"


@dataclass
class LessonsPanel:
    """Widgets that handlers read and write."""

    side: gr.Sidebar
    place: gr.State
    "[lesson name, step number]"
    menu: gr.Dropdown
    text: gr.Markdown
    ask: gr.Markdown
    choices: gr.Radio
    number: gr.Number
    check: gr.Button
    verdict: gr.Markdown
    back: gr.Button
    onward: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """Return the outputs of `shown`, in its order."""
        return [
            self.side, self.place, self.menu, self.text, self.ask, self.choices, self.number,
            self.check, self.verdict, self.back, self.onward,
        ]  # fmt: skip


class LessonHandlers:
    """The handlers that need the site and its lessons."""

    def __init__(self, site: Site, lessons: dict[str, Lesson]) -> None:
        self.site, self.lessons = site, lessons

    def choose(self, name: str, request: gr.Request) -> tuple[Any, ...]:
        """Open a lesson at its first step."""
        return self.go(name, 0, request)

    def about(self, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        """Open the lesson about a part of the model that was clicked."""
        return self.go(str(event_payload(event).get("lesson")), 0, request)

    def move(self, place: list[Any], by: int, request: gr.Request) -> tuple[Any, ...]:
        """Go some steps on or back."""
        name, number = place or ["", 0]
        lesson, names = self.lessons.get(name), list(self.lessons)
        if lesson and number + by == len(lesson.steps) and name != names[-1]:
            return self.go(names[names.index(name) + 1], 0, request)
        return self.go(name, number + by, request)

    def back(self, place: list[Any], request: gr.Request) -> tuple[Any, ...]:
        """Go a step back."""
        return self.move(place, -1, request)

    def onward(self, place: list[Any], request: gr.Request) -> tuple[Any, ...]:
        """Go a step on, after the last one to the next lesson."""
        return self.move(place, 1, request)

    def go(self, name: str, number: int, request: gr.Request) -> tuple[Any, ...]:
        """Show a step and set the page as it says; an unknown lesson changes nothing.

        A step with an example stops a run that is still writing.
        """
        lesson = self.lessons.get(name)
        if lesson is None:
            return (*[SKIP] * 11, SKIP, SKIP, SKIP, *frame())
        number = min(max(number, 0), len(lesson.steps) - 1)
        step = lesson.steps[number]
        page = (SKIP, SKIP, SKIP, *frame(message=notice()))
        if step.page.get("example"):
            self.site.stops.leave(str(request.session_hash))
            page = show_example(self.site, str(step.page["example"]), step.lane, step.view)
        return (*shown(lesson, number, step, last=lesson.name == list(self.lessons)[-1]), *page)

    def open_link(self, request: gr.Request) -> tuple[Any, ...]:
        """Open the lesson that the page's address names."""
        query = dict(request.query_params)
        number = str(query.get("step", "1"))
        at = int(number) - 1 if number.isdecimal() and len(number) < 4 else 0
        return self.go(str(query.get("lesson", "")), at, request)

    def check(self, place: list[Any], session: str, chosen: str | None, number: Any) -> str:
        """Say whether the step's task is done."""
        name, at = place or ["", 0]
        lesson = self.lessons.get(name)
        task = lesson.steps[at].task if lesson and 0 <= at < len(lesson.steps) else None
        if task is None:
            return ""
        done, text = check(task, self.site.run(session), chosen if task.choices else number)
        return f"{'✅' if done else '➡️'} {text}"


def shown(lesson: Lesson, number: int, step: LessonStep, *, last: bool) -> tuple[Any, ...]:
    """Return the panel's values for a step; `last` when no lesson follows this one."""
    task, end = step.task, number == len(lesson.steps) - 1
    kind = task.kind if task else ""
    button = {"choose": "Check", "number": "Check", "done": "Check what I did"}.get(kind, "Check")
    return (
        gr.Sidebar(open=True),
        [lesson.name, number],
        lesson.name,
        f"### {number + 1} of {len(lesson.steps)}: {step.title}\n\n{step.text}",
        gr.Markdown(f"**Task.** {task.ask}" if task else "", visible=task is not None),
        gr.Radio(list(task.choices) if task else [], value=None, visible=kind == "choose"),
        gr.Number(None, visible=kind == "number"),
        gr.Button(button, visible=task is not None),
        "",
        gr.Button(interactive=number > 0),
        gr.Button("Next lesson" if end and not last else "Next", interactive=not (end and last)),
    )


def lessons_panel(lessons: dict[str, Lesson]) -> LessonsPanel:
    """Build the sidebar."""
    menu = [(f"{lesson.title} ({lesson.minutes} min)", name) for name, lesson in lessons.items()]
    with gr.Sidebar(
        position="right", open=False, width="min(26rem, 92vw)", elem_id="tv-lessons"
    ) as side:
        gr.Markdown("## Lessons")
        place = gr.State(["", 0])
        choose = gr.Dropdown(menu, value=None, label=CHOOSE, elem_id="tv-lesson-menu")
        text = gr.Markdown(
            "Short lessons with something to find out or to do in each. All of them use the small "
            "model that comes with tokviz.",
            elem_id="tv-lesson-text",
        )
        ask = gr.Markdown(visible=False, elem_id="tv-lesson-ask")
        choices = gr.Radio([], label="Your answer", visible=False, elem_id="tv-lesson-choices")
        number = gr.Number(None, label="Your answer", visible=False, elem_id="tv-lesson-number")
        go = gr.Button("Check", visible=False, variant="secondary", elem_id="tv-lesson-check")
        verdict = gr.Markdown(elem_id="tv-lesson-verdict")
        with gr.Row():
            back = gr.Button("Back", interactive=False, size="sm", elem_id="tv-lesson-back")
            onward = gr.Button(
                "Next", interactive=False, size="sm", variant="primary", elem_id="tv-lesson-next"
            )
    return LessonsPanel(side, place, choose, text, ask, choices, number, go, verdict, back, onward)


def wire_lessons(site: Site, screen: Screen, page: gr.Blocks) -> None:
    """Add the sidebar and connect it."""
    lessons = read_lessons(site.stored.assets / "lessons")
    if not lessons:
        return
    panel, teaching = lessons_panel(lessons), LessonHandlers(site, lessons)
    ask = screen.ask
    everything = [*panel.outputs, ask.image, ask.prompt, ask.examples, *screen.outputs]
    panel.menu.input(teaching.choose, panel.menu, everything, **QUICK)
    screen.show.overlay.lesson(teaching.about, None, everything, **QUICK)
    panel.back.click(teaching.back, panel.place, everything, **QUICK)
    panel.onward.click(teaching.onward, panel.place, everything, **QUICK)
    page.load(teaching.open_link, None, everything, **QUICK)
    given = [panel.place, screen.session, panel.choices, panel.number]
    panel.check.click(teaching.check, given, panel.verdict, **QUICK)
