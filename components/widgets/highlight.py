"""What a lesson's step speaks of, framed on the page."""

from .widget import Widget


class Highlight(Widget):
    """Frames a part of the page and scrolls to it; {focus, turn}: `turn` differs for each step."""

    script = "Highlight"
    template = "page/highlight.html"
