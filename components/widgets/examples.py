"""The row of stored examples."""

from .widget import Widget


class Examples(Widget):
    """A row of pictures. Events: pick {example: name}; beside, the same for a further picture."""

    script = "Examples"
    template = "page/examples.html"
    emits = ("pick", "beside")
