"""Files that a visitor can save of what is shown; the browser asks for them by the run's name.

Anybody can call server functions with any argument, so everything is checked. The animation takes a
second of one core, so one is made at a time.
"""

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tokviz.errors import TokvizError
from tokviz.film import Film
from tokviz.trace import Trace
from tokviz.view.explorer import find_sinks
from tokviz.view.page_file import page_html
from tokviz.view.recipe import recipe
from tokviz.view.walk import walk_gif

from ..answering.links import read_view
from ..answering.widget_values import charts, explorer
from ..figures.making import saver
from ..i18n import reader_language, saved_page_texts
from ..runs.pictures import SOURCES
from ..runs.runs import GONE, KeptRun
from ..share.sharing import server_functions as sharing_functions
from ..site import Site
from .layer_rows import layer_reader

BAD = "This file cannot be made: the page asked for something unknown."
ANIMATION_LOCK = threading.Lock()
"""Held while an animation is made."""


@dataclass(frozen=True)
class WantedFile:
    """One lane of a run and how it is looked at."""

    run: KeptRun
    lane: int
    view: dict[str, Any]

    @property
    def trace(self) -> Trace:
        """The lane's trace."""
        return self.run.traces[self.lane]


def page(wanted: WantedFile) -> bytes:
    """Return the lane as one web page, in the reader's language."""
    code = reader_language()
    texts = saved_page_texts(code) if code != "en" else None
    shown = explorer(wanted.run, wanted.lane, wanted.view)
    return page_html(shown, texts=texts, language=code).encode()


def animation(wanted: WantedFile) -> bytes:
    """Return the walk through stages and layers as a GIF."""
    with ANIMATION_LOCK:
        return walk_gif(wanted.trace, sinks=find_sinks(wanted.trace)[0])


def figures(wanted: WantedFile) -> bytes:
    """Return the three charts as plotly JSON, by name."""
    names = ("layers", "words", "times")
    drawn = zip(names, charts(wanted.run, wanted.lane), strict=True)
    return json.dumps({name: json.loads(figure.to_json()) for name, figure in drawn}).encode()


def code(wanted: WantedFile) -> bytes:
    """Return the Python that makes the numbers shown."""
    asked, image = wanted.run.lanes.get(wanted.lane), wanted.run.image
    return recipe(
        wanted.trace,
        wanted.view,
        picture=files_of(wanted),
        lane=asked.to_json() if asked else None,
        frames=image.chosen if isinstance(image, Film) else None,
    ).encode()


def files_of(wanted: WantedFile) -> list[str]:
    """Return the files of a run's pictures, or of its film; names for those that it sent."""
    run, layout = wanted.run, wanted.trace.layout
    if run.file:
        return [run.file]
    if layout.is_film:
        return [f"{run.source or 'film'}.mp4"]
    count = len(layout.sizes)
    if count == 1:
        return [f"{run.example or 'picture'}.png"]
    sources = run.source.split(SOURCES) if run.source else []
    named = sources if len(sources) == count else [f"picture_{i + 1}" for i in range(count)]
    return [f"{name}.png" for name in named]


def saved_trace(wanted: WantedFile) -> bytes:
    """Return the trace's file."""
    return wanted.trace.to_bytes()


FILES: Mapping[str, tuple[str, str, Callable[[WantedFile], bytes]]] = {
    "trace": ("tokviz-trace.safetensors", "application/octet-stream", saved_trace),
    "page": ("tokviz.html", "text/html", page),
    "walk": ("tokviz-walk.gif", "image/gif", animation),
    "charts": ("tokviz-charts.json", "application/json", figures),
    "code": ("tokviz.py", "text/x-python", code),
}


def server_functions(site: Site) -> list[Callable[[Any], dict[str, str]]]:
    """Return the explorer's functions, by the names that its script calls."""

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
        found = site.lane(asked.get("id"))
        if found is None:
            return {"error": GONE}
        return made_file(str(asked["kind"]), WantedFile(*found, sent_view(asked.get("view"))))

    return [save_file, layer_reader(site), saver(site), *sharing_functions(site)]


def sent_view(sent: Any) -> dict[str, Any]:
    """Return the view that a browser sent; what makes no sense is left out."""
    if not isinstance(sent, Mapping):
        return read_view({})
    return read_view({str(k): str(v) for k, v in sent.items() if v is not None})


def made_file(kind: str, wanted: WantedFile) -> dict[str, str]:
    """Return {name, type, data} of one of FILES, or {error}."""
    name, media, make = FILES[kind]
    try:
        data = make(wanted)
    except TokvizError as error:
        return {"error": str(error)}
    return {"name": name, "type": media, "data": base64.b64encode(data).decode("ascii")}
