"""The row of stored examples."""

from .widget import Widget


class Examples(Widget):
    """A row of pictures. Event: pick {example: name}."""

    script = "Examples"
    template = "examples.html"
    emits = ("pick",)
