"""Opening a stored run: the first screen, an example, a copied link, a trace file."""

from itertools import islice
from typing import Any

import gradio as gr
from PIL import Image

from tokviz.errors import InputError, TraceError
from tokviz.trace import Trace, open_trace
from tokviz.trace.decisions import is_decisions, read_decisions
from tokviz.view.run_names import forced_tokens, is_own_answer, run_name

from ..answering.links import read_compare, read_lane, read_pictures, read_start, read_view
from ..answering.widget_values import (
    charts,
    default_lanes,
    explorer,
    lane_of,
    lanes_value,
    stored_lanes,
)
from ..error_text import error_text
from ..i18n import reader_language
from ..runs.lane_request import LaneRequest
from ..runs.pictures import Shown
from ..runs.runs import FULL, KeptRun
from ..runs.shared_runs import full_lane
from ..runs.stored_examples import Example
from ..screen import QUICK, SKIP, Screen, frame, show_run
from ..share.sharing import note_of
from ..site import Site
from ..widgets.notice import notice
from ..widgets.widget import event_payload
from .several import linked_film

SEVERAL = "This link is about {count} example pictures, in their order: the model answers now."
DRAWN_AHEAD = 16
"""Stored examples whose payloads are computed at the start."""
MESSAGE_AT = 4
"""Place of the notice among the values that an opened example has."""
LANES_AT = 6
"""Place of the comparison among the values that an opened example has."""


def opened(site: Site) -> dict[str, Any]:
    """Return what the first screen shows: the first stored example."""
    for name, example in site.stored.all.items():
        lane, view = opening_lane(example), opening_view(example.view)
        return {
            "run": example.run,
            "run_name": example.run.name,
            "example": name,
            "overlay": explorer(example.run, lane, view),
            "lanes": stored_lanes(example.run),
        }
    empty = lanes_value(0, {}, default_lanes(4), None, [])
    return {"run": None, "run_name": "", "example": "", "overlay": None, "lanes": empty}


def opening_lane(example: Example) -> int:
    """Return the lane in which an example opens: one of its own, or all tokens."""
    lane = example.view.get("lane", FULL)
    return lane if type(lane) is int and lane in example.run.traces else FULL


def opening_view(view: dict[str, Any]) -> dict[str, Any]:
    """Return how an example opens. Words that it holds are a suggestion: a click replaces them."""
    return {**view, "suggested": True} if view.get("words") else dict(view)


def draw_all(site: Site) -> None:
    """Compute the payloads of the first stored examples, so that no visitor waits for them."""
    for example in islice(site.stored.all.values(), DRAWN_AHEAD):
        explorer(example.run)
        stored_lanes(example.run)
        charts(example.run, FULL)


def show_example(
    site: Site,
    name: str,
    lane: int,
    view: dict[str, Any],
    lanes: list[LaneRequest] | None = None,
) -> tuple[Any, ...]:
    """Return picture, prompt and frame of an example; an unknown name changes nothing.

    `lanes` replace the stored lanes; a lane that is not stored has no answer yet.
    """
    example = site.stored.all.get(name)
    if example is None:
        return (SKIP, SKIP, SKIP, *frame(message=notice("There is no such example here.", "bad")))
    row = site.stored.value(name)
    lane = lane if lane in example.run.traces else FULL
    message = notice(example.note)
    shown = show_run(example.run, lane, {**opening_view(example.view), **view}, message, lanes)
    return (None, example.run.prompt, row, *shown)


class OpenHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def pick(self, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        """Open a stored example; a run that is still writing is stopped."""
        self.site.stops.leave(str(request.session_hash))
        name = str(event_payload(event).get("example"))
        example = self.site.stored.all.get(name)
        lane = FULL if example is None else opening_lane(example)
        return show_example(self.site, name, lane, {})

    def open_link(self, request: gr.Request) -> tuple[Any, ...]:
        """Open the example that the page's address names; without one nothing changes."""
        self.site.later.opened()
        query = {str(k): str(v) for k, v in dict(request.query_params).items()}
        if query.get("shared"):
            return (*self.shared(query["shared"]), SKIP)
        if not query.get("example"):
            return (SKIP, SKIP, SKIP, *self.first_charts(), SKIP)
        lane, name, lanes = read_lane(query), query["example"], read_compare(query)
        lane, start = FULL if lane is None else lane, read_start(query)
        several = self.several(name)
        if linked_film(self.site.stored, query):
            start = start or "ask"
        if several:
            name, start, lane = several[0], start or "ask", FULL
        model = query.get("model", "")
        chosen = model if model in self.site.models.names else SKIP
        shown = list(show_example(self.site, name, lane, read_view(query), lanes))
        place = LANES_AT
        if isinstance(shown[place], dict):
            shown[place] = shown[place] | {"start": start} | read_pictures(query)
            shown[1] = query.get("prompt") or shown[1]
            if several:
                shown[MESSAGE_AT] = notice(SEVERAL.format(count=len(several)), "busy")
        return (*shown, chosen)

    def first_charts(self) -> tuple[Any, ...]:
        """Return the frame of the page as it is; its charts anew, where they are not in English."""
        first = next(iter(self.site.stored.all.values()), None)
        if first is None or reader_language() == "en":
            return frame()
        return frame(figures=charts(first.run, opening_lane(first)))

    def several(self, names: str) -> list[str]:
        """Return the names of a link to a run on several example pictures; [] for any other."""
        try:
            found = [example.name for example in self.site.stored.several(names)]
        except InputError:  # said where the one example is opened
            return []
        return found if len(found) > 1 else []

    def shared(self, name: str) -> tuple[Any, ...]:
        """Show the run of a link that a visitor made of a run on their own picture."""
        try:
            run, view, until = self.site.shared.open(name)
            full = run.traces[full_lane(run)]
            run.image = pictures_of(self.site, full)
            run.file_note = note_of(until)
            self.site.runs.put(run)
            message = notice(run.file_note)
            return (None, SKIP, SKIP, *show_run(run, full_lane(run), view, message))
        except Exception as error:  # noqa: BLE001  a stranger's file: whatever it does is a sentence
            return (SKIP, SKIP, SKIP, *frame(message=notice(error_text(error), "bad")))

    def open_file(
        self,
        path: str | None,
        request: gr.Request,
        image: str | None = None,
        session: str = "",
    ) -> tuple[Any, ...]:
        """Show a trace file, or decisions on the picture of the page; a run that writes is stopped.

        `image` and `session` are the page's picture and run, which decisions are shown on.
        """
        try:
            if not path:
                return (SKIP, SKIP, *frame())
            decided = is_decisions(path)
            trace = self.decided(path, image, session) if decided else open_trace(path)
            if not trace.n:
                raise TraceError("this trace holds no visual tokens, so there is nothing to show.")
            self.site.stops.leave(str(request.session_hash))
            run, lane = run_of_file(trace, pictures_of(self.site, trace))
            self.site.runs.put(run)
            message = notice(f"{run.file_note} Nothing was run here.")
            return (None, trace.prompt, *show_run(run, lane, message=message))
        except Exception as error:  # noqa: BLE001  a stranger's file: whatever it does is a sentence
            return (SKIP, SKIP, *frame(message=notice(error_text(error), "bad")))

    def decided(self, path: str, image: str | None, session: str) -> Trace:
        """Return a trace that shows a file's decisions on the page's picture.

        Raises:
            InputError: the page has no single picture, or the file cannot be used.
        """
        found, run = read_decisions(path), self.site.run(session)
        shown = self.site.pictures.open(image) if image else (run.image if run else None)
        if isinstance(shown, list) and len(shown) == 1:
            shown = shown[0]
        if not isinstance(shown, Image.Image):
            raise InputError(
                "a decisions file holds no picture: put the one picture that was decided on into "
                "the box above, then open the file again."
            )
        return found.trace(shown)


def pictures_of(site: Site, trace: Trace) -> Shown | None:
    """Return the pictures that a trace holds; None where it has none.

    A film cannot be asked about again: a trace has one frame of each group, and small ones.
    """
    if not trace.images or trace.layout.is_film:
        return None
    return site.pictures.open(list(trace.images))


def run_of_file(trace: Trace, image: Shown | None) -> tuple[KeptRun, int]:
    """Return the run that shows a trace from a visitor's file, and the lane of its answer.

    An answer with fewer tokens or with a mitigation is not the full answer, which nobody ran: its
    lane stays empty.
    """
    run = KeptRun(image, trace.prompt, "", file_note=file_note(trace))
    lane = FULL if is_own_answer(trace) else 0
    run.traces[lane] = trace
    if lane != FULL:
        run.lanes[lane] = lane_of(trace)
    return run, lane


def file_note(trace: Trace) -> str:
    """Say what a trace from a file is: method, tokens that are left, model and date."""
    if imported := str(trace.model.get("imported") or ""):
        tokens = f"{trace.reduction.m} of {trace.whole_n}"
        return f"What {imported} decided, {tokens} visual tokens, from your file."
    model, date = str(trace.model.get("name") or ""), str(trace.model.get("date") or "")
    by = f"by {model}" if model else "by a model that it does not name"
    when = f"on {date}" if date else "on a date that it does not say"
    name = run_name(trace)
    tokens = f"{trace.reduction.m} of {trace.whole_n}"
    count = forced_tokens(trace)
    forced = f"its beginning ({count} token{'s' * (count > 1)}) was forced, " if count else ""
    return f"{name[:1].upper()}{name[1:]}, {tokens}, {forced}from your file: made {by} {when}."


def wire_opening(
    site: Site, screen: Screen, page: gr.Blocks, waiting: list[dict[str, Any]]
) -> None:
    """Connect examples, links and trace files; opening one cancels a question that still waits."""
    ask, opening = screen.ask, OpenHandlers(site)
    everything = [ask.image, ask.prompt, ask.examples, *screen.outputs]
    ask.examples.pick(opening.pick, None, everything, cancels=waiting, **QUICK)
    page.load(opening.open_link, None, [*everything, ask.model], **QUICK)
    file = [ask.image, ask.prompt, *screen.outputs]
    given = [ask.trace, ask.image, screen.session]
    ask.trace.upload(opening.open_file, given, file, cancels=waiting, **QUICK)
