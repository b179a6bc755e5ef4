"""The viewer: the picture with its visual tokens, the answer's words and the controls.

The value is a payload of `tokviz.view.overlay`; after that, only saving and asking need the server.
"""

from .widget import Widget


class Overlay(Widget):
    """The viewer; its script calls the server function save_file.

    Events: choose {method, keep}, answered by a value {choice: ...}; lesson {lesson}, the lesson
    about a part of the model; letterbox {}, ask again about the padded picture.
    """

    script = "Explorer"
    template = "explorer/explorer.html"
    emits = ("choose", "lesson", "letterbox")
