"""Compare: the full answer beside up to three methods, run for real."""

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from gradio.events import Dependency

from tokviz.errors import InputError

from ..answering.links import read_lane, read_query, read_view
from ..answering.run_request import RunRequest, ask_about, ask_about_shown
from ..answering.widget_values import charts, explorer
from ..ask.several import linked_film
from ..error_text import error_text
from ..figures.making import saver
from ..runs.lane_request import LaneRequest, read_lanes
from ..runs.pictures import Sent
from ..runs.runs import FULL, GONE
from ..screen import MODEL, QUICK, ComparePanel, Screen, StopButton, frame, run_and_show
from ..site import Site
from ..widgets.lanes import Lanes
from ..widgets.notice import notice
from ..widgets.section_title import section_title
from ..widgets.widget import event_payload


def compare_panel(site: Site, first: dict[str, Any]) -> ComparePanel:
    """Build the comparison; a lane may choose from the site's models."""
    with gr.Column(elem_classes="tv-section", elem_id="tv-compare"):
        section_title(
            "Compare",
            "What does the model answer with only a part of the picture's tokens? The picture and "
            "question are those above.",
        )
        lanes = Lanes(
            first | {"models": list(site.models.names)},
            server_functions=[saver(site)],
            elem_id="tv-lanes",
        )
    return ComparePanel(lanes)


class CompareHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def compare(
        self,
        image: str | None,
        several: Sent,
        prompt: str,
        model: str,
        session: str,
        event: gr.EventData,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Answer with all tokens and with each lane's method, together."""
        sent = event_payload(event)
        link = read_query(sent.get("link"))
        try:
            lanes = read_lanes(sent.get("plans"))
            asked = (
                self.linked(link, lanes)
                if link
                else ask_about_shown(self.site, session, prompt, model, lanes, several or image)
            )
        except InputError as error:
            yield frame(message=notice(error_text(error), "bad"))
            return
        view = (read_lane(link), read_view(link)) if link else (None, None)
        yield from run_and_show(self.site, asked, str(request.session_hash), *view)

    def linked(self, link: Mapping[str, str], lanes: list[LaneRequest]) -> RunRequest:
        """Return the request that a copied link describes."""
        source = link.get("example", "")
        examples = self.site.stored.several(source)
        known, names = examples[0].run.prompt, self.site.models.names
        prompt = link.get("prompt") or known
        model = link["model"] if link.get("model") in names else names[0]
        alone = len(examples) == 1
        film = linked_film(self.site.stored, link)
        asked = source if alone and not film and prompt.strip() == known.strip() else ""
        images: Any = [one.run.image for one in examples]
        if alone:
            images = film or examples[0].run.image
        return ask_about(self.site.settings, images, prompt, model, lanes, asked, source)

    def explore(self, session: str, event: gr.EventData) -> tuple[Any, ...]:
        """Show one lane of the last run in the viewer."""
        lane, run = event_payload(event).get("lane"), self.site.run(session)
        if run is None or not isinstance(lane, int) or lane not in run.traces:
            return frame(message=notice(GONE, "bad"))
        what = "the answer with all tokens"
        if lane != FULL:
            what = f"lane {lane + 1} of the comparison"
        message = notice(f"Shown here: {what}.")
        return frame(message=message, overlay=explorer(run, lane), figures=charts(run, lane))


def wire_compare(site: Site, screen: Screen) -> Dependency:
    """Connect the comparison; return the event that runs it."""
    lanes, ask, handlers = screen.compare.lanes, screen.ask, CompareHandlers(site)
    comparing: Dependency = lanes.compare(
        handlers.compare,
        [ask.image, ask.several.sent, ask.prompt, ask.model, screen.session],
        screen.outputs,
        show_progress="minimal",
        show_progress_on=[screen.show.notice],
        **MODEL,
    )
    lanes.halt(StopButton(site).stop, None, None, **QUICK)
    lanes.explore(handlers.explore, screen.session, screen.outputs, **QUICK)
    return comparing
