"""Debug a hallucination: each word with what speaks for it, and what would have changed it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import gradio as gr

from components.ask.panel import stop
from components.compare.opened_lane import open_lane
from components.desk import work as desk_work
from components.desk.cases import case_value, new_case, word_pictures
from components.runs.answering import held
from components.runs.asking import Request, ask_about
from components.runs.runs import FULL, GONE, RUNS, Run, Stop
from components.screen import MODEL, QUICK, Screen
from components.sentences import sentence
from components.state import Site
from components.widget import Widget, told
from tokviz.errors import InputError, TokvizError
from tokviz.view.case_page import case_page

MOST_PICTURED = 24
"""Flagged words that get their maps into a saved page."""
Work = Callable[[Request, Run, Stop], Iterator[str]]


class Desk(Widget):
    """The desk. Events: examine, force {run, at, token}, search {run, kind}, mitigate {run},
    halt, open {run, lane}."""

    script = "Desk"
    template = "desk/desk.html"
    emits = ("examine", "force", "search", "mitigate", "halt", "open")

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(value, server_functions=[save_case, word_map], **kwargs)


def desk_value(
    run: Run | None = None, phase: str = "done", progress: str = "", error: str = ""
) -> dict[str, Any]:
    """Return the desk's value; without a case there is only the button to begin."""
    case = case_value(run) if run is not None and run.case is not None else None
    return {"phase": phase, "progress": progress, "error": error, "case": case}


class Examining:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def examine(self, model: str, session: str, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Report on every word of the answer that is shown."""
        yield desk_value(
            phase="running", progress="Reading the answer again with control pictures …"
        )
        try:
            run = RUNS.get(session or "")
            if run is None or FULL not in run.traces or run.image is None:
                raise InputError("ask a question about a picture first, then examine the answer.")
            asked = ask_about(self.site.settings, run.image, run.prompt, model)
            trace = run.traces[FULL]
            with held(asked, str(request.session_hash)):
                report = desk_work.examine(self.site.models, asked, trace)
            example = self.site.stored.all.get(run.example)
            note = example.note if example is not None and example.run is run else ""
            yield desk_value(new_case(run, model, trace, report, note))
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and said in plain words
            yield desk_value(error=sentence(error))

    def force(self, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Continue the answer from another word."""
        sent = told(event)
        work = partial(self._work(desk_work.force), at=sent.get("at"), token=sent.get("token"))
        yield from self.job(sent.get("run"), work, request)

    def search(self, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Look for tokens that the answer stands on."""
        work = partial(self._work(desk_work.search), kind=told(event).get("kind"))
        yield from self.job(told(event).get("run"), work, request)

    def mitigate(self, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Answer again with every mitigation."""
        yield from self.job(told(event).get("run"), self._work(desk_work.mitigate), request)

    def _work(self, function: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
        return partial(function, self.site.models)

    def job(self, name: Any, work: Work, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Do some work on a case, saying how far it is."""
        run = RUNS.get(name) if isinstance(name, str) else None
        if run is None or run.case is None:
            yield desk_value(error=GONE)
            return
        yield desk_value(run, "running", "Waiting for the model …")
        try:
            asked = ask_about(self.site.settings, run.image, run.prompt, run.model)
            with held(asked, str(request.session_hash)) as (flag, entry):
                for said in work(asked, run, flag):
                    yield desk_value(run, "running", said)
                entry.outcome = "stopped" if flag.is_set() else "done"
            yield desk_value(run)
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and said in plain words
            yield desk_value(run, error=sentence(error))


def open_run(event: gr.EventData) -> tuple[Any, ...]:
    """Show one further run of a case as a lane and in the big picture."""
    return open_lane(told(event).get("run"), told(event).get("lane"))


def save_case(asked: Any) -> dict[str, str]:
    """Return a case as a page or its trace, for the browser to save.

    Args:
        asked: {run, kind}: the case's run, whose name cannot be guessed; page or trace.

    Returns:
        {name, type, data} with the file's bytes in base64, or {error}.
    """
    name = asked.get("run") if isinstance(asked, Mapping) else None
    run = RUNS.get(name) if isinstance(name, str) else None
    if run is None or run.case is None:
        return {"error": GONE}
    try:
        if asked.get("kind") == "trace":
            data, file, kind = run.traces[FULL].to_bytes(), "case.safetensors", "octet-stream"
            media = f"application/{kind}"
        else:
            page = case_page(illustrated(run), run.traces[FULL])
            data, file, media = page.encode(), "case.html", "text/html"
    except TokvizError as error:
        return {"error": sentence(error)}
    return {"name": f"tokviz-{file}", "type": media, "data": base64.b64encode(data).decode("ascii")}


def illustrated(run: Run) -> dict[str, Any]:
    """Return a case with the maps of its first flagged words, for a page of its own."""
    value = case_value(run)
    flagged = [number for number, word in enumerate(value["words"]) if word["flagged"]]
    for number in flagged[:MOST_PICTURED]:
        value["words"][number]["maps"] = word_pictures(run, number)
    return value


def word_map(asked: Any) -> dict[str, Any]:
    """Return where the model looked for one word, for the browser to show.

    Args:
        asked: {run, word}: the case's run and the number of the word.

    Returns:
        {maps: [{title, note, picture}]}, or {error}.
    """
    name = asked.get("run") if isinstance(asked, Mapping) else None
    run = RUNS.get(name) if isinstance(name, str) else None
    if run is None or run.case is None:
        return {"error": GONE}
    return {"maps": word_pictures(run, asked.get("word"))}


def desk_panel() -> Desk:
    """Build the desk."""
    with gr.Column(elem_classes="tv-section", elem_id="tv-debug"):
        gr.HTML(
            "<h2>Debug a hallucination</h2><p>Which words may be made up, what speaks for each, "
            "and what would have changed the answer? For the run that is shown above.</p>",
            elem_classes="tv-title",
        )
        return Desk(desk_value(), elem_id="tv-desk")


def wire_desk(site: Site, screen: Screen, desk: Desk) -> None:
    """Connect the desk."""
    handlers, quiet = Examining(site), {"show_progress": "hidden"} | MODEL
    desk.examine(handlers.examine, [screen.ask.model, screen.session], desk, **quiet)
    desk.force(handlers.force, None, desk, **quiet)
    desk.search(handlers.search, None, desk, **quiet)
    desk.mitigate(handlers.mitigate, None, desk, **quiet)
    desk.halt(stop, None, screen.show.notice, **QUICK)
    desk.open(open_run, None, screen.outputs, **QUICK)
