"""The board of methods and budgets."""

from .widget import Widget


class BoardWidget(Widget):
    """Small multiples of methods x budgets.

    Events: fill {methods, budgets, options, smaller, blind}, halt {}, open {run, lane},
    reopen {run}.
    """

    script = "Board"
    template = "board/board.html"
    emits = ("fill", "halt", "open", "reopen")
