"""The tokens that a method would keep, as the start of a choice by hand.

The brush itself runs in the browser; asking with the painted tokens is a lane of the comparison.
"""

from dataclasses import replace
from typing import Any

import gradio as gr

import tokviz
from tokviz.trace.status import marked_title

from ..answering.answering import choose
from ..answering.run_request import ask_about
from ..error_text import error_text
from ..runs.lane_request import read_lanes
from ..runs.pictures import Sent
from ..screen import MODEL, Screen
from ..site import Site
from ..widgets.widget import event_payload


class BrushHandlers:
    """The handler that needs the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def choose(
        self,
        image: str | None,
        several: Sent,
        prompt: str,
        model: str,
        session: str,
        event: gr.EventData,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Return the tokens that a method would keep, or a sentence, for the browser's brush."""
        try:
            sent = event_payload(event)
            lanes = read_lanes([{"method": sent.get("method"), "keep": sent.get("keep")}])
            shown = self.site.run(session)
            picture = shown.image if shown is not None and shown.image else several or image
            asked = replace(ask_about(self.site.settings, picture, prompt, model, lanes), limit=1)
            kept = choose(self.site, asked, str(request.session_hash))
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
            return {"choice": {"kept": [], "title": "", "error": error_text(error)}}
        title = marked_title(tokviz.METHODS[lanes[0].method])
        return {"choice": {"kept": kept, "title": title, "error": ""}}


def wire_brush(site: Site, screen: Screen) -> None:
    """Connect the explorer's brush."""
    ask, overlay = screen.ask, screen.show.overlay
    inputs = [ask.image, ask.several.sent, ask.prompt, ask.model, screen.session]
    overlay.choose(BrushHandlers(site).choose, inputs, overlay, show_progress="hidden", **MODEL)
