"""The comparison: settings, answers, pictures and figures of up to four lanes."""

from components.widget import Widget


class Lanes(Widget):
    """Full answer and methods side by side.

    Events: compare {plans: [{method, keep, options}]}, halt {}, explore {lane: -1 for the full one}.
    """

    script = "Lanes"
    template = "lanes.html"
    emits = ("compare", "halt", "explore")
