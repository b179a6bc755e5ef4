"""The arguments of `tokviz.sweep`, each checked before anything is read or measured."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from tokviz.budget import whole_number
from tokviz.errors import InputError
from tokviz.keywords import no_argument
from tokviz.load_options import LOAD_OPTIONS


def texts(name: str, given: Any) -> list[str]:
    """Return one text, or several, as a list without repetitions; None = none.

    Raises:
        InputError: anything that is no text.
    """
    found = [] if given is None else several(given)
    for one in found:
        if not isinstance(one, str):
            got = type(one).__name__
            raise InputError(f"{name} must be a text or a list of texts, got a {got}.")
    return list(dict.fromkeys(found))


def several(given: Any) -> list[Any]:
    """Return the values of anything that holds several, or one value as a list."""
    try:
        return [given] if isinstance(given, str | bytes | Mapping) else list(given)
    except TypeError:  # also an array without axes
        return [given]


def check_count(name: str, given: Any, least: int) -> int | None:
    """Return a count of questions as a whole number, None for None; raise InputError."""
    count = whole_number(given)
    if given is not None and (count is None or count < least):
        raise InputError(f"{name} must be a count of questions from {least} on, got {given!r:.40}.")
    return count


def check_kinds(options: Any, engine: Any, lab: Any, baselines: Any) -> None:
    """Raise InputError for options, an engine, an address or a switch of another kind."""
    if options is not None and not isinstance(options, Mapping):
        raise InputError(
            "options must be a mapping such as {'fastv': {'layer': 2}}, got a "
            f"{type(options).__name__}."
        )
    if engine is not None and not callable(engine):
        raise InputError(
            "engine must be None for this process, or a tokviz.sweeps.ray_engine.RayEngine, got "
            f"{engine!r:.40}."
        )
    if baselines is not None and not isinstance(baselines, bool):
        raise InputError(f"baselines must be True, False or None, got {baselines!r:.40}.")
    if not str(lab).startswith(("http://", "https://")):
        raise InputError(f"the lab's address must begin with http(s)://, got {str(lab)[:60]!r}.")


def check_loading(loading: Mapping[str, Any], sweep: Any) -> None:
    """Raise InputError for an argument that neither a sweep nor `tokviz.load` has."""
    unknown = sorted(set(loading) - set(LOAD_OPTIONS))
    if unknown:
        known = [*list(signature(sweep).parameters)[:-1], *LOAD_OPTIONS]
        raise no_argument("sweep", unknown[0], known)
