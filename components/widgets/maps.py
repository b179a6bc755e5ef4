"""The menu of analyses and one result."""

from .widget import Widget


class Maps(Widget):
    """Every analysis of the run that the viewer shows.

    Events: make {id, name, options}, show {result, name, page}, halt {}.
    """

    script = "Maps"
    template = "maps/maps.html"
    emits = ("make", "show", "halt")
