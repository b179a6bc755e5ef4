"""Making and deleting a link, as the browser asks for it; and what a link shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tokviz.errors import InputError

from ..answering.links import read_view
from ..error_text import error_text
from ..runs.runs import GONE, KeptRun
from ..site import Site


def server_functions(site: Site) -> list[Callable[[Any], Any]]:
    """Return the functions of the viewer that share; none where this server shares nothing."""

    def share_run(asked: Any) -> dict[str, Any]:
        """Return {name, key, until} of a link to a run. `asked` is {id, view}."""
        try:
            sent = asked if isinstance(asked, Mapping) else {}
            run = _run(site, sent.get("id"))
            view = sent.get("view")
            named = view if isinstance(view, Mapping) else {}
            shown = read_view({str(k): str(v) for k, v in named.items() if v is not None})
            link = site.shared.share(run, shown)
        except InputError as error:
            return {"error": error_text(error)}
        return {"name": link.name, "key": link.key, "until": day(link.until)}

    def unshare(asked: Any) -> dict[str, bool]:
        """Return {gone} for {name, key}: whether the link was deleted."""
        sent = asked if isinstance(asked, Mapping) else {}
        return {"gone": site.shared.delete(sent.get("name"), sent.get("key"))}

    return [share_run, unshare] if site.shared.hours else []


def _run(site: Site, sent: Any) -> KeptRun:
    found = site.lane(sent)
    if found is None:
        raise InputError(GONE)
    run, _ = found
    if run.stored:
        raise InputError("this is an example: its own link shows it already.")
    return run


def day(seconds: float) -> str:
    """Return a time as a date and an hour in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")


def note_of(until: float) -> str:
    """Return what a run from a link is, in a sentence."""
    return f"Shared with you by a link, which is kept until {day(until)}. Nothing was run here."
