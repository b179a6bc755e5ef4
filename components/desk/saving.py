"""Functions that the desk's script calls: saving a case, and the maps of a word.

These functions are open to anybody with any argument, so everything is checked.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tokviz.errors import TokvizError
from tokviz.view.case_page import case_page

from ..error_text import error_text
from ..i18n import reader_language, retold
from ..runs.runs import FULL, GONE, KeptRun
from ..site import Site
from .cases import case_value, word_pictures

OCTETS = "application/octet-stream"
MAX_PICTURED = 24
"""Flagged words that get their maps into a saved page."""


def server_functions(site: Site) -> list[Callable[[Any], dict[str, Any]]]:
    """Return the functions of the desk, by the names that its script calls."""

    def save_case(asked: Any) -> dict[str, str]:
        """Return a case as a page or its trace, for the browser to save.

        Args:
            asked: {run, kind}: the case's run, whose name cannot be guessed; page or trace.

        Returns:
            {name, type, data} with the file's bytes in base64, or {error}.
        """
        run = asked_case(site, asked)
        return {"error": GONE} if run is None else case_file(run, asked.get("kind"))

    def word_map(asked: Any) -> dict[str, Any]:
        """Return where the model looked for one word, for the browser to show.

        Args:
            asked: {run, word}: the case's run and the number of the word.

        Returns:
            {maps: [{title, note, picture}]}, or {error}.
        """
        run = asked_case(site, asked)
        return {"error": GONE} if run is None else {"maps": word_pictures(run, asked.get("word"))}

    return [save_case, word_map]


def asked_case(site: Site, asked: Any) -> KeptRun | None:
    """Return the run with a case that a browser names, or None."""
    run = site.run(asked.get("run")) if isinstance(asked, Mapping) else None
    return run if run is not None and run.case is not None else None


def case_file(run: KeptRun, kind: Any) -> dict[str, str]:
    """Return {name, type, data} of a case as a trace, or else as a page; {error} if it fails."""
    try:
        if kind == "trace":
            data, file, media = run.traces[FULL].to_bytes(), "case.safetensors", OCTETS
        else:
            code = reader_language()
            say = partial(retold, code=code)
            page = case_page(illustrated(run), run.traces[FULL], say, code)
            data, file, media = page.encode(), "case.html", "text/html"
    except TokvizError as error:
        return {"error": error_text(error)}
    return {"name": f"tokviz-{file}", "type": media, "data": base64.b64encode(data).decode("ascii")}


def illustrated(run: KeptRun) -> dict[str, Any]:
    """Return a case with the maps of its first flagged words, for a page of its own."""
    value = case_value(run)
    flagged = [number for number, word in enumerate(value["words"]) if word["flagged"]]
    for number in flagged[:MAX_PICTURED]:
        value["words"][number]["maps"] = word_pictures(run, number)
    return value
