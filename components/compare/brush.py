"""Starting a choice by hand from what a method would keep; the rest of the brush is in the browser.

Asking again with exactly the painted tokens is a lane of the comparison (`compare_panel`).
"""

from dataclasses import replace
from typing import Any

import gradio as gr

import tokviz
from components.runs.answering import choose
from components.runs.asking import ask_about, read_plans
from components.runs.runs import shown_picture
from components.screen import MODEL, Screen
from components.sentences import sentence
from components.state import Site
from components.widget import told


class Brushing:
    """The handler that needs the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def choose(
        self,
        image: str | None,
        prompt: str,
        model: str,
        session: str,
        event: gr.EventData,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Return the tokens that a method would keep, or a sentence, for the browser's brush."""
        try:
            plans = read_plans(
                [{"method": told(event).get("method"), "keep": told(event).get("keep")}]
            )
            picture = shown_picture(session) or image
            asked = replace(ask_about(self.site.settings, picture, prompt, model, plans), limit=1)
            kept = choose(self.site.models, asked, str(request.session_hash))
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and said in plain words
            return {"choice": {"kept": [], "title": "", "error": sentence(error)}}
        method = tokviz.METHODS[plans[0]["method"]]
        return {"choice": {"kept": kept, "title": method.title, "error": ""}}


def wire_brush(site: Site, screen: Screen) -> None:
    """Connect the explorer's brush."""
    ask, overlay = screen.ask, screen.show.overlay
    inputs = [ask.image, ask.prompt, ask.model, screen.session]
    overlay.choose(Brushing(site).choose, inputs, overlay, show_progress="hidden", **MODEL)
