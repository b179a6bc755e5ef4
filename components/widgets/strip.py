"""The strip of budgets that the keep sweep draws."""

from .widget import Widget


class Strip(Widget):
    """A strip of budgets. Events: sweep {method, options}, halt {}, open {run, lane}."""

    script = "Strip"
    template = "compare/strip.html"
    emits = ("sweep", "halt", "open")
