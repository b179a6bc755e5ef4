"""The row of stored examples."""

from .widget import Widget


class Examples(Widget):
    """A row of pictures. Event: pick {example: name}."""

    script = "Examples"
    template = "page/examples.html"
    emits = ("pick",)
