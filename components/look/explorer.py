"""The big picture with its visual tokens, words and controls.

The value is a payload of `tokviz.view.overlay`; after that, nothing but saving and asking needs
the server.
"""

from typing import Any

from components.look.saving import save_file
from components.widget import Widget


class Overlay(Widget):
    """The token explorer. Event: choose {method, keep}, answered by a value {choice: ...}."""

    script = "Explorer"
    template = "explorer/explorer.html"
    emits = ("choose",)

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(value, server_functions=[save_file], **kwargs)
