"""The endpoints `/methods`, `/analyses` and `/models`: what can be chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokviz import catalog
from tokviz.errors import InputError, TokvizError

from ..site import Site
from .public_text import public_text
from .short_forms import short_rows


def methods(name: str = "", details: bool = False) -> Any:
    """List the token-reduction methods: their names and where they act.

    Args:
        name: a method's name = all about this one alone.
        details: true = all about every method, 90 kB: what it needs, options, paper, limits.

    Returns:
        [{"name", "place"}, ...] under 4 kB; with details or a name the rows of
        `python -m tokviz methods --json`. {"error": sentence} for a name that is none.
    """
    return listed("methods", name, details)


def analyses(name: str = "", details: bool = False) -> Any:
    """List the analyses, the maps and numbers that explain a run, by name.

    Args:
        name: an analysis' name = all about this one alone.
        details: true = all about every analysis, 24 kB: meaning, cost, paper.

    Returns:
        [{"name"}, ...] under 4 kB; with details or a name the rows of
        `python -m tokviz analyses --json`. {"error": sentence} for a name that is none.
    """
    return listed("analyses", name, details)


def listed(which: str, name: str, details: bool) -> Any:
    """Return a list in its short form or with all details, or all about one entry."""
    try:
        if not isinstance(name, str):
            raise InputError("name must be a text.")
        if name:
            return catalog.entry(which, name)
        return catalog.rows(which) if details else short_rows(catalog.rows(which))
    except TokvizError as error:
        return {"error": public_text(error, name)}


def listing(site: Site) -> Callable[[], list[str]]:
    """Return the endpoint that lists what this server offers."""

    def models() -> list[str]:
        """List the names of the vision-language models that this server offers."""
        return list(site.models.names)

    return models
