"""The comparison: settings, answers, pictures and measurements of up to four lanes."""

from .widget import Widget


class Lanes(Widget):
    """Full answer and methods side by side.

    Events: compare {plans: [{method, keep, positions, options}]}, halt {}, explore {lane}; the
    full answer is lane -1.
    """

    script = "Lanes"
    template = "compare/lanes.html"
    emits = ("compare", "halt", "explore")
