"""The runs of this visit as cards."""

from .widget import Widget


class History(Widget):
    """Cards of the runs of this visit, which the script collects from what the viewer shows.

    Events: open {run, lane}; compare {runs: [{run, lane}]}.
    """

    script = "History"
    template = "history/history.html"
    emits = ("open", "compare")
