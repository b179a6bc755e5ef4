"""A custom widget: a template and a script class from assets/, fed by one JSON value."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from tokviz.shipped_files import ASSETS
from tokviz.view.script import linked

from ..i18n import head_script
from .payload_cache import as_sent

STYLES = ("tokviz", "desk", "panels", "page")


def head() -> str:
    """Return the styles and scripts of all widgets for the page's <head>."""
    css = "\n".join((ASSETS / "css" / f"{name}.css").read_text("utf-8") for name in STYLES)
    script = f"{head_script()}\n{linked('page/main.js')}"
    return f"<style>{css}</style><script>{script}</script>"


def event_payload(event: gr.EventData) -> Mapping[str, Any]:
    """Return the fields that came with an event; {} when it has no object."""
    return event._data if isinstance(event._data, Mapping) else {}


class Widget(gr.HTML):
    """A gr.HTML whose value is a JSON object that a script class draws."""

    script = ""
    "Name of the class in assets/js/page/main.js."
    template = ""
    "File in assets/js."
    emits: tuple[str, ...] = ()
    "Names that the script may trigger."

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any) -> None:
        quoted = ", ".join(f"'{event}'" for event in self.emits)
        super().__init__(
            value,
            html_template=(ASSETS / "js" / self.template).read_text("utf-8"),
            js_on_load=(
                f"/* events: {quoted} */\n"
                f"const view = window.__tokviz.make('{self.script}', element, "
                "{server: typeof server === 'undefined' ? {} : server, trigger});\n"
                "const load = window.__tokviz.storedLoader((value) => view.load(value));\n"
                "watch('value', () => load(props.value));\nload(props.value);"
            ),
            apply_default_css=False,
            **kwargs,
        )

    def postprocess(  # type: ignore[override]
        self, value: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        return as_sent(value)

    def preprocess(self, payload: Any) -> None:
        """Return nothing: what a widget shows is never read back from the browser."""
        return

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "What the widget draws, as JSON."}

    def example_payload(self) -> dict[str, Any]:
        return {}

    def example_value(self) -> dict[str, Any]:
        return {}
