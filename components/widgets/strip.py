"""The strip of budgets that the keep sweep draws."""

from .widget import Widget


class Strip(Widget):
    """Strips of budgets.

    Events: sweep {methods, held}, judge {run, held}, halt {}, open {run, lane}; `held` is what must
    hold, {mode, words, threshold}.
    """

    script = "Strip"
    template = "compare/strip.html"
    emits = ("sweep", "judge", "halt", "open")
