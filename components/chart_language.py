"""Charts in the reader's language: Gradio draws them, so the page's scripts cannot."""

from __future__ import annotations

import copy
from typing import Any

import plotly.graph_objects as go

from .i18n import reader_language, told

TRANSLATED_SERIES = "imx"
"""Axes whose names are the program's own; those of other axes are words of a prompt or answer."""


def for_reader(figure: Any) -> Any:
    """Return a chart in the language of whoever sent the event; what is no chart as it is."""
    code = reader_language()
    return in_language(figure, code) if code != "en" and isinstance(figure, go.Figure) else figure


def in_language(figure: go.Figure, code: str) -> go.Figure:
    """Return a copy of a chart whose titles, axes, series and hover texts are in a language.

    Texts of pictures, prompts and answers stay as they are, and as escaped as they are.
    """
    found = copy.deepcopy(figure.to_plotly_json())
    layout = found["layout"]
    titled(layout, code)
    for name, axis in layout.items():
        if name.startswith(("xaxis", "yaxis")):
            titled(axis, code)
    for note in layout.get("annotations", ()):
        note["text"] = titled_text(note.get("text", ""), code)
    letter = (layout.get("meta") or {}).get("series", TRANSLATED_SERIES)
    for trace in found["data"]:
        if letter in TRANSLATED_SERIES and trace.get("name"):
            trace["name"] = told(trace["name"], code)
        if trace.get("orientation") == "h":
            trace["y"] = [told(name, code) for name in trace["y"]]
        if trace.get("mode") == "markers+text":
            trace["text"] = [told(text, code) for text in trace["text"]]
        if trace.get("hovertemplate"):
            trace["hovertemplate"] = hover_text(trace["hovertemplate"], code)
    return go.Figure(found)


def titled(part: dict[str, Any], code: str) -> None:
    """Put the title of a chart or an axis into a language."""
    title = part.get("title")
    if isinstance(title, dict) and title.get("text"):
        title["text"] = titled_text(title["text"], code)


def titled_text(text: str, code: str) -> str:
    """Return a title in a language, as a whole or else in its parts: "analysis: array, layer 3"."""
    whole = told(text, code)
    head, colon, rest = text.partition(": ")
    if whole != text or not colon:
        name, comma, page = text.rpartition(", ")
        split = whole == text and comma
        return f"{told(name, code)}, {told(page, code)}" if split else whole
    return f"{told(head, code)}: {titled_text(rest, code)}"


def hover_text(template: str, code: str) -> str:
    """Return plotly's template of a hover text in a language; its box at the side has a name."""
    main, box, side = template.partition("<extra>")
    name = side.removesuffix("</extra>")
    return f"{told(main, code)}{box}{told(name, code)}{'</extra>' if box else ''}"
