"""The middle of the page: the notice and the big picture."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.look.explorer import Overlay
from components.notice import Notice


@dataclass
class ShowPanel:
    """Widgets that other panels write to."""

    notice: Notice
    overlay: Overlay


def show_panel(first: dict[str, Any] | None) -> ShowPanel:
    """Build the notice and the explorer, opened on a stored example."""
    with gr.Column(elem_id="tv-show"):
        notice = Notice(elem_id="tv-notice")
        overlay = Overlay(first, elem_id="tv-explorer")
    return ShowPanel(notice, overlay)
