"""Compare: the full answer beside up to three methods, run for real."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.events import Dependency

from components.ask.panel import stop
from components.compare.lanes import Lanes
from components.compare_widgets import ComparePanel
from components.notice import notice
from components.runs.asking import Request, ask_about, read_plans
from components.runs.links import read_lane, read_query, read_view
from components.runs.runs import FULL, GONE, RUNS, shown_example, shown_picture, shown_source
from components.runs.showing import charts, explorer
from components.screen import MODEL, QUICK, Screen, frame, play
from components.sentences import sentence
from components.state import Site
from components.widget import told
from tokviz.errors import InputError


def compare_panel(first: dict[str, Any], names: Sequence[str]) -> ComparePanel:
    """Build the comparison; `names` are the models that a lane may choose from."""
    with gr.Column(elem_classes="tv-section", elem_id="tv-compare"):
        gr.HTML(
            "<h2>Compare</h2><p>What does the model answer when it gets only part of the picture's "
            "tokens? The same picture and question as above.</p>",
            elem_classes="tv-title",
        )
        lanes = Lanes(first | {"models": list(names)}, elem_id="tv-lanes")
    return ComparePanel(lanes)


class Comparing:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def compare(
        self,
        image: str | None,
        prompt: str,
        model: str,
        session: str,
        event: gr.EventData,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Answer with all tokens and with each lane's method, together."""
        link = read_query(told(event).get("link"))
        try:
            plans = read_plans(told(event).get("plans"))
            asked = (
                self.linked(link, plans)
                if link
                else self.shown(image, prompt, model, session, plans)
            )
        except InputError as error:
            yield frame(said=notice(sentence(error), "bad"))
            return
        view = (read_lane(link), read_view(link)) if link else (None, None)
        yield from play(self.site, asked, str(request.session_hash), *view)

    def shown(
        self, image: str | None, prompt: str, model: str, session: str, plans: list[dict[str, Any]]
    ) -> Request:
        """Return the request about what the page shows."""
        picture = image or shown_picture(session)
        example, source = shown_example(session, prompt), shown_source(session)
        sources = ("", "") if image else (example, source)
        return ask_about(self.site.settings, picture, prompt, model, plans, *sources)

    def linked(self, link: Mapping[str, str], plans: list[dict[str, Any]]) -> Request:
        """Return the request about what a link that was opened shows."""
        example = self.site.stored.all.get(link.get("example", ""))
        if example is None:
            raise InputError("there is no such example here: click one of those that are shown.")
        known, names = example.run.prompt, self.site.models.names
        prompt = link.get("prompt") or known
        model = link["model"] if link.get("model") in names else names[0]
        asked = example.name if prompt.strip() == known.strip() else ""
        return ask_about(
            self.site.settings, example.run.image, prompt, model, plans, asked, example.name
        )


def explore(session: str, event: gr.EventData) -> tuple[Any, ...]:
    """Show one lane of the last run in the big picture."""
    lane, run = told(event).get("lane"), RUNS.get(session)
    if run is None or not isinstance(lane, int) or lane not in run.traces:
        return frame(said=notice(GONE, "bad"))
    what = "the answer with all tokens" if lane == FULL else f"lane {lane + 1} of the comparison"
    said = notice(f"Shown here: {what}.")
    return frame(said=said, overlay=explorer(run, lane), figures=charts(run, lane))


def wire_compare(site: Site, screen: Screen) -> Dependency:
    """Connect the comparison; return the event that runs it."""
    lanes, ask = screen.compare.lanes, screen.ask
    comparing: Dependency = lanes.compare(
        Comparing(site).compare,
        [ask.image, ask.prompt, ask.model, screen.session],
        screen.outputs,
        show_progress="minimal",
        show_progress_on=[screen.show.notice],
        **MODEL,
    )
    lanes.halt(stop, None, screen.show.notice, **QUICK)
    lanes.explore(explore, screen.session, screen.outputs, **QUICK)
    return comparing
