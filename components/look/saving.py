"""Files that a visitor can save of what is shown; the browser asks for them by the run's name.

Server functions are open to anybody with any argument, so everything is checked, and the one that
takes a second (the film) is made for one visitor at a time.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.runs.links import read_view
from components.runs.runs import FULL, GONE, RUNS, Run
from components.runs.showing import charts, explorer, titles
from tokviz.errors import TokvizError
from tokviz.trace import Trace
from tokviz.view.explorer import find_sinks
from tokviz.view.page_file import page_html
from tokviz.view.recipe import recipe
from tokviz.view.walk import walk_gif

BAD = "This file cannot be made: the page asked for something unknown."
FILMS = threading.Lock()


@dataclass(frozen=True)
class Wanted:
    """One lane of a run and how it is looked at."""

    run: Run
    lane: int
    view: dict[str, Any]

    @property
    def trace(self) -> Trace:
        """The lane's trace."""
        return self.run.traces[self.lane]


def page(wanted: Wanted) -> bytes:
    """Return the lane as one web page."""
    return page_html(explorer(wanted.run, wanted.lane, wanted.view)).encode()


def film(wanted: Wanted) -> bytes:
    """Return the walk through stages and layers."""
    with FILMS:
        return walk_gif(wanted.trace, titles=titles(), sinks=find_sinks(wanted.trace)[0])


def figures(wanted: Wanted) -> bytes:
    """Return the three charts as plotly JSON, by name."""
    names = ("layers", "words", "times")
    drawn = zip(names, charts(wanted.run, wanted.lane), strict=True)
    return json.dumps({name: json.loads(figure.to_json()) for name, figure in drawn}).encode()


def code(wanted: Wanted) -> bytes:
    """Return the Python that makes the numbers shown."""
    lane = wanted.run.plans.get(wanted.lane)
    shown = f"{wanted.run.example}.png" if wanted.run.example else "picture.png"
    picture = wanted.run.file or shown
    return recipe(wanted.trace, wanted.view, picture=picture, lane=lane).encode()


def saved_trace(wanted: Wanted) -> bytes:
    """Return the trace's file."""
    return wanted.trace.to_bytes()


FILES: Mapping[str, tuple[str, str, Callable[[Wanted], bytes]]] = {
    "trace": ("tokviz-trace.safetensors", "application/octet-stream", saved_trace),
    "page": ("tokviz.html", "text/html", page),
    "walk": ("tokviz-walk.gif", "image/gif", film),
    "charts": ("tokviz-charts.json", "application/json", figures),
    "code": ("tokviz.py", "text/x-python", code),
}


def save_file(asked: Any) -> dict[str, str]:
    """Return one file of one lane of a run, for the browser to save.

    Args:
        asked: {id, kind, view}: "<run>:<lane>" as in the payload's id (run names cannot be
            guessed), one of FILES, and the view as in a link.

    Returns:
        {name, type, data} with the file's bytes in base64, or {error}.
    """
    if not isinstance(asked, Mapping) or asked.get("kind") not in tuple(FILES):
        return {"error": BAD}
    found = re.fullmatch(r"([\w-]{1,60}):(-?[0-9]{1,2})", str(asked.get("id"))[:80])
    run = RUNS.get(found[1]) if found else None
    lane = int(found[2]) if found else FULL
    if run is None or lane not in run.traces:
        return {"error": GONE}
    sent = asked.get("view")
    query = (
        {str(k): str(v) for k, v in sent.items() if v is not None}
        if isinstance(sent, Mapping)
        else {}
    )
    name, kind, make = FILES[str(asked["kind"])]
    try:
        data = make(Wanted(run, lane, read_view(query)))
    except TokvizError as error:
        return {"error": str(error)}
    return {"name": name, "type": kind, "data": base64.b64encode(data).decode("ascii")}
