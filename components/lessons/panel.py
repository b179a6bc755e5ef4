"""The sidebar with the lessons: read a step, look at what it shows, have its task checked."""

import re
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from ..ask.opening import show_example
from ..ask.several import SeveralHandlers
from ..i18n import reader_language, translated
from ..runs.pictures import Sent
from ..runs.runs import FULL, GONE
from ..screen import QUICK, SKIP, Screen, frame, show_run
from ..site import Site
from ..widgets.highlight import Highlight
from ..widgets.notice import notice
from ..widgets.section_title import TRANSLATE
from ..widgets.widget import event_payload
from .lesson_files import Lesson, LessonStep, read_lessons
from .lesson_languages import LessonTexts, Translations, read_translations
from .tasks import Task, check

CHOOSE = "Choose a lesson"
STEP = "{number} of {count}: {title}"
MENU_AT, TEXT_AT = 2, 3
"""Places of the menu and the text in `LessonsPanel.outputs`."""
HIGHLIGHT_AT = -3
"""Place of the highlight's value in what `LessonHandlers.go` returns."""


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
    highlight: Highlight
    resume: gr.Button
    kept: gr.State
    "The visitor's work before the lesson: a `Work`, or None."

    @property
    def outputs(self) -> list[Any]:
        """Return the outputs of `shown`, in its order."""
        return [
            self.side, self.place, self.menu, self.text, self.ask, self.choices, self.number,
            self.check, self.verdict, self.back, self.onward,
        ]  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What a visitor had on the page when a lesson began."""

    run: str
    "Name of the run that the page showed."
    prompt: str
    image: str | None
    "Path of the uploaded picture."
    several: Sent = field(default_factory=Sent)
    "Several pictures, or a film, in place of one."


class LessonHandlers:
    """The handlers that need the site and its lessons."""

    def __init__(
        self, site: Site, lessons: dict[str, Lesson], translations: Translations | None = None
    ) -> None:
        self.site, self.texts = site, LessonTexts(lessons, translations or {})
        self.several = SeveralHandlers(site)

    @property
    def lessons(self) -> dict[str, Lesson]:
        """The lessons in the reader's language."""
        return self.texts.all()

    def choose(self, name: str, request: gr.Request) -> tuple[Any, ...]:
        """Open a lesson at its first step."""
        return self.go(name, 0, request)

    def move(self, place: list[Any], by: int, request: gr.Request) -> tuple[Any, ...]:
        """Go some steps on or back."""
        name, number = place or ["", 0]
        lessons = self.lessons
        lesson, names = lessons.get(name), list(lessons)
        if lesson and number + by == len(lesson.steps) and name != names[-1]:
            return self.go(names[names.index(name) + 1], 0, request)
        return self.go(name, number + by, request)

    def back(self, place: list[Any], request: gr.Request) -> tuple[Any, ...]:
        """Go a step back."""
        return self.move(place, -1, request)

    def onward(self, place: list[Any], request: gr.Request) -> tuple[Any, ...]:
        """Go a step on, after the last one to the next lesson."""
        return self.move(place, 1, request)

    def go(self, name: str, number: int, request: gr.Request, given: str = "") -> tuple[Any, ...]:
        """Show a step and set the page as it says; an unknown lesson changes nothing.

        A step with an example stops a run that is still writing.

        Args:
            name: the lesson's.
            number: of the step, from 0.
            request: whose page it is.
            given: an answer to the step's task that was there before: see `answers`.
        """
        lessons = self.lessons
        lesson = lessons.get(name)
        if lesson is None:
            return (*[SKIP] * 11, SKIP, SKIP, SKIP, *frame(), SKIP, SKIP, SKIP)
        number = min(max(number, 0), len(lesson.steps) - 1)
        step = lesson.steps[number]
        page = (SKIP, SKIP, SKIP, *frame(message=notice()))
        several: tuple[Any, ...] = (SKIP, SKIP)
        if step.page.get("example"):
            self.site.stops.leave(str(request.session_hash))
            example = str(step.page["example"])
            shown_run = show_example(self.site, example, step.lane, step.view)
            page = (self.site.stored.picture_of(example), *shown_run[1:])
            several = self.several.of_example(example)
        panel = self.shown(lesson, number, step, given, last=name == list(lessons)[-1])
        return (*panel, *page, {"focus": step.focus, "turn": f"{name} {number}"}, *several)

    def begin(
        self,
        name: str,
        kept: Work | None,
        session: str,
        prompt: str,
        image: str | None,
        several: Sent,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        """Open a lesson from the menu; what the visitor has now is remembered."""
        before = Work(session, prompt, image, several) if kept is None else kept
        return with_work(self.choose(name, request), before)

    def begin_about(
        self,
        kept: Work | None,
        session: str,
        prompt: str,
        image: str | None,
        several: Sent,
        event: gr.EventData,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        """Open the lesson about a part of the model that was clicked."""
        name = str(event_payload(event).get("lesson"))
        return self.begin(name, kept, session, prompt, image, several, request)

    def resume(self, kept: Work | None, request: gr.Request) -> tuple[Any, ...]:
        """End the lesson and show again what the visitor had before it."""
        run = self.site.run(kept.run) if kept is not None else None
        closed = (gr.Sidebar(open=False), ["", 0], None, *[SKIP] * 8)
        button = gr.Button(visible=False)
        self.site.stops.leave(str(request.session_hash))
        if kept is None or run is None or not run.traces:
            page = (SKIP, SKIP, SKIP, *frame(message=notice(GONE, "warn")))
            return (*closed, *page, {"focus": ""}, SKIP, SKIP, button, None)
        lane = FULL if FULL in run.traces else min(run.traces)
        back = show_run(run, lane, message=notice("Back at what you had before the lesson."))
        row = self.site.stored.value(run.example)
        several = self.several.again(kept.several, run.source)
        work = (kept.image, kept.prompt, row, *back, {"focus": ""}, *several)
        return (*closed, *work, button, None)

    def open_link(self, request: gr.Request) -> tuple[Any, ...]:
        """Open the lesson that the page's address names."""
        query = dict(request.query_params)
        number = str(query.get("step", "1"))
        at = int(number) - 1 if number.isdecimal() and len(number) < 4 else 0
        return self.go(str(query.get("lesson", "")), at, request, str(query.get("given", "")))

    def open_page(self, request: gr.Request) -> tuple[Any, ...]:
        """Put menu and overview into the reader's language, and open the address' lesson."""
        opened = list(with_work(self.open_link(request), self.linked_work(request)))
        if reader_language() == "en":
            return tuple(opened)
        name = opened[MENU_AT]
        opened[MENU_AT] = gr.Dropdown(
            self.texts.menu(), value=name if isinstance(name, str) else None
        )
        if not isinstance(name, str):
            opened[TEXT_AT] = self.texts.overview()
        return tuple(opened)

    def linked_work(self, request: gr.Request) -> Work | None:
        """Return the work that a page in another language handed over with its open lesson.

        Its run is named in the address. A picture of the visitor's own is asked about as the run's.
        """
        query = dict(request.query_params)
        run = self.site.run(query.get("work")) if query.get("lesson") in self.lessons else None
        if run is None or not run.traces:
            return None
        return Work(run.name, run.prompt, self.site.stored.picture_of(run.source))

    def check(self, place: list[Any], session: str, chosen: str | None, number: Any) -> str:
        """Say whether the step's task is done."""
        name, at = place or ["", 0]
        lesson = self.lessons.get(name)
        task = lesson.steps[at].task if lesson and 0 <= at < len(lesson.steps) else None
        if task is None:
            return ""
        given = chosen if task.choices else number
        done, text = check(task, self.site.run(session), given, self.texts.say)
        return f"{'✅' if done else '➡️'} {text}"

    def shown(
        self, lesson: Lesson, number: int, step: LessonStep, given: str = "", *, last: bool
    ) -> tuple[Any, ...]:
        """Return the panel's values for a step; `last` when no lesson follows this one."""
        task, end, say = step.task, number == len(lesson.steps) - 1, self.texts.say
        kind = task.kind if task else ""
        button = say("Check what I did") if kind == "done" else say("Check")
        onward = say("Next lesson") if end and not last else say("Next")
        heading = say(STEP, number=number + 1, count=len(lesson.steps), title=step.title)
        ask = f"**{say('Task.')}** {task.ask}" if task else ""
        chosen, typed = answers(task, given)
        return (
            gr.Sidebar(open=True),
            [lesson.name, number],
            lesson.name,
            f"### {heading}\n\n{step.text}",
            gr.Markdown(ask, visible=task is not None),
            gr.Radio(list(task.choices) if task else [], value=chosen, visible=kind == "choose"),
            gr.Number(typed, visible=kind == "number"),
            gr.Button(button, visible=task is not None),
            "",
            gr.Button(interactive=number > 0),
            gr.Button(onward, interactive=not (end and last)),
        )


def with_work(opened: tuple[Any, ...], work: Work | None) -> tuple[Any, ...]:
    """Return an opened step with the button back and the work it leads to; None = there is none.

    The page knows the run's name too, and hands it to the page in another language.
    """
    if work is None:
        return (*opened, SKIP, SKIP)
    values = list(opened)
    if isinstance(values[HIGHLIGHT_AT], dict):
        values[HIGHLIGHT_AT] = {**values[HIGHLIGHT_AT], "work": work.run}
    return (*values, gr.Button(visible=True), work)


def answers(task: Task | None, given: str) -> tuple[str | None, float | None]:
    """Return what was chosen and what was typed, as the page wrote it into its address.

    Args:
        task: the task of the step.
        given: the number of the choice, from 1, or the number that was typed; "" = no answer yet.
    """
    choices = task.choices if task else ()
    if choices:
        known = {str(i): choice for i, choice in enumerate(choices, start=1)}
        return known.get(given), None
    found = re.fullmatch(r"-?[0-9]{1,9}([.][0-9]{1,9})?", given)
    return None, float(given) if found else None


def lessons_panel(texts: LessonTexts) -> LessonsPanel:
    """Build the sidebar, in English; `open_page` puts it into the reader's language."""
    with gr.Sidebar(
        position="right", open=False, width="min(26rem, 92vw)", elem_id="tv-lessons"
    ) as side:
        gr.HTML("<h2>Lessons</h2>", elem_id="tv-lessons-title", js_on_load=TRANSLATE)
        resume = gr.Button(
            translated("Back to my work"),
            visible=False,
            size="sm",
            variant="secondary",
            elem_id="tv-resume",
        )
        place = gr.State(["", 0])
        choose = gr.Dropdown(
            texts.menu(), value=None, label=translated(CHOOSE), elem_id="tv-lesson-menu"
        )
        text = gr.Markdown(texts.overview(), elem_id="tv-lesson-text")
        ask = gr.Markdown(visible=False, elem_id="tv-lesson-ask")
        choices = gr.Radio(
            [], label=translated("Your answer"), visible=False, elem_id="tv-lesson-choices"
        )
        number = gr.Number(
            None, label=translated("Your answer"), visible=False, elem_id="tv-lesson-number"
        )
        go = gr.Button(
            translated("Check"), visible=False, variant="secondary", elem_id="tv-lesson-check"
        )
        verdict = gr.Markdown(elem_id="tv-lesson-verdict")
        with gr.Row():
            back = gr.Button(
                translated("Back"), interactive=False, size="sm", elem_id="tv-lesson-back"
            )
            onward = gr.Button(
                translated("Next"),
                interactive=False,
                size="sm",
                variant="primary",
                elem_id="tv-lesson-next",
            )
        highlight = Highlight({})
    return LessonsPanel(
        side, place, choose, text, ask, choices, number, go, verdict, back, onward, highlight,
        resume, gr.State(None),
    )  # fmt: skip


def wire_lessons(site: Site, screen: Screen, page: gr.Blocks) -> None:
    """Add the sidebar and connect it."""
    home = site.stored.assets / "lessons"
    lessons = read_lessons(home)
    if not lessons:
        return
    teaching = LessonHandlers(site, lessons, read_translations(home, lessons))
    panel = lessons_panel(teaching.texts)
    ask = screen.ask
    page_parts = [ask.image, ask.prompt, ask.examples, *screen.outputs, panel.highlight]
    several = [ask.several.sent, ask.several.gallery]
    everything = [*panel.outputs, *page_parts, *several]
    resumed = [*everything, panel.resume, panel.kept]
    before = [panel.kept, screen.session, ask.prompt, ask.image, ask.several.sent]
    panel.menu.input(teaching.begin, [panel.menu, *before], resumed, **QUICK)
    screen.show.overlay.lesson(teaching.begin_about, before, resumed, **QUICK)
    panel.resume.click(teaching.resume, panel.kept, resumed, **QUICK)
    panel.back.click(teaching.back, panel.place, everything, **QUICK)
    panel.onward.click(teaching.onward, panel.place, everything, **QUICK)
    page.load(teaching.open_page, None, resumed, **QUICK)
    given = [panel.place, screen.session, panel.choices, panel.number]
    panel.check.click(teaching.check, given, panel.verdict, **QUICK)
