"""The title of a section of the page, in the reader's language."""

from html import escape

import gradio as gr

TRANSLATE = "window.__tokviz.translateFixed(element);"
"""Runs once the part is in the page, where each text is a key of the tables of assets/i18n."""


def section_title(title: str, text: str) -> gr.HTML:
    """Return a title and a line below it; both English texts stand in the tables."""
    return gr.HTML(
        f"<h2>{escape(title, quote=False)}</h2><p>{escape(text, quote=False)}</p>",
        elem_classes="tv-title",
        js_on_load=TRANSLATE,
    )
