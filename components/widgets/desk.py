"""The hallucination desk, where the words of an answer are examined."""

from .widget import Widget


class Desk(Widget):
    """The desk; its script calls the server functions save_case and word_map.

    Events: examine, force {run, at, token}, search {run, kind}, mitigate {run}, halt,
    open {run, lane}.
    """

    script = "Desk"
    template = "desk/desk.html"
    emits = ("examine", "force", "search", "mitigate", "halt", "open")
