"""The middle of the page: the notice and the viewer."""

from typing import Any

import gradio as gr

from ..screen import ShowPanel
from ..site import Site
from ..widgets.explorer import Overlay
from ..widgets.notice import Notice
from .saving import server_functions


def show_panel(site: Site, first: dict[str, Any] | None) -> ShowPanel:
    """Build the notice and the viewer, opened on a stored example."""
    with gr.Column(elem_id="tv-show"):
        notice = Notice(elem_id="tv-notice")
        functions = server_functions(site)
        overlay = Overlay(first, server_functions=functions, elem_id="tv-explorer")
    return ShowPanel(notice, overlay)
