"""The inputs of `/answer`, with what is accepted: programs and MCP clients read it as a schema."""

from __future__ import annotations

from typing import Any

import gradio as gr

from tokviz import METHODS
from tokviz.film import MAX_FRAMES
from tokviz.prompts import MAX_PROMPT

from ..runs.lane_request import MAX_TOKENS
from ..widgets.safe_upload import SafeFiles, SafeImage

OPTION_TYPES = ("number", "string", "boolean")


class Prompt(gr.Textbox):
    """The question."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": MAX_PROMPT}


class Name(gr.Textbox):
    """One of the names in `known`, or nothing."""

    is_template = True

    def __init__(self, value: str = "", known: tuple[str, ...] = (), **more: Any) -> None:
        self.known = known
        super().__init__(value, **more)

    def api_info(self) -> dict[str, Any]:
        return {"type": "string", "enum": ["", *self.known]}

    def get_config(self) -> dict[str, Any]:  # type: ignore[override]
        config = super().get_config()
        config.pop("known", None)  # the browser has no use for it
        return config


class Keep(gr.Number):
    """A count of visual tokens."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0, "maximum": MAX_TOKENS}


class Frames(gr.Number):
    """How many frames of a film."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0, "maximum": MAX_FRAMES}


class Rate(gr.Number):
    """Frames of a film per second."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0, "maximum": 1000}


class Times(gr.JSON):
    """Seconds of the frames of a film."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "number"}, "maxItems": MAX_FRAMES}


class Options(gr.JSON):
    """Names and values. Says that it is an object, which the tools of MCP clients need to know."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        return {
            "type": "object",
            "description": "names and values",
            "additionalProperties": {"anyOf": [{"type": kind} for kind in OPTION_TYPES]},
        }


def answer_inputs(models: tuple[str, ...]) -> list[gr.components.Component]:
    """Return the inputs of `/answer` in their order."""
    return [
        SafeImage(type="filepath", label="image"),
        Prompt(label="prompt"),
        Name("", known=models, label="model"),
        Name("", known=tuple(METHODS), label="method"),
        Keep(0, label="keep", precision=None),
        Options({}, label="options"),
        gr.Checkbox(False, label="details"),
        Frames(0, label="frames", precision=None),
        Rate(0, label="rate", precision=None),
        Times([], label="times"),
        SafeFiles([], file_count="multiple", label="more"),
    ]
