"""The big picture with its visual tokens, words and controls.

The value is a payload of `tokviz.view.overlay`; after that, nothing but saving and asking needs
the server.
"""

from .widget import Widget


class Overlay(Widget):
    """The token explorer; its script calls the server function save_file.

    Event: choose {method, keep}, answered by a value {choice: ...}.
    """

    script = "Explorer"
    template = "explorer/explorer.html"
    emits = ("choose",)
