"""Trying promises one by one, and saying which are broken and how."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

import tokviz
from tokviz.errors import TokvizError
from tokviz.models import VLM
from tokviz.reduction import METHODS
from tokviz.testing import geometry, on_families, on_methods

log = logging.getLogger(__name__)
Promise = tuple[str, Callable[[], None]]
"What is promised, and what raises when it is not kept."
Told = Callable[[str, "Broken | None"], None]


@dataclass(frozen=True)
class Broken:
    """A promise that was not kept."""

    promise: str
    why: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.why}"


def check_method(name: str, model: VLM | None = None, told: Told | None = None) -> list[Broken]:
    """Return the promises that a method breaks on a model.

    Args:
        name: a key of METHODS.
        model: a loaded model; None = the one that ships with tokviz.
        told: called after each promise, with what is wrong or None.

    Raises:
        InputError: there is no such method.
    """
    entry = METHODS[name]
    vlm = model or tokviz.load("embedded")
    return tried(on_methods.promises(entry, vlm), told)


def check_family(
    source: str | Path | tuple[nn.Module, Any], told: Told | None = None, everything: bool = False
) -> list[Broken]:
    """Return the promises that a model's family breaks.

    Args:
        source: a folder, or (model, processor) of the family: a tiny one with random weights is
            enough and fast. Weights must not all be alike, or every answer is.
        told: called after each promise, with what is wrong or None.
        everything: also try every method, analysis and mitigation (a minute).

    Raises:
        ModelError: it cannot be loaded, as when its family is not registered.
    """
    return check_model(tokviz.load(source), told, everything)


def check_model(vlm: VLM, told: Told | None = None, everything: bool = False) -> list[Broken]:
    """Return the promises that a loaded model breaks; the arguments of `check_family`."""
    return tried(family_promises(vlm, everything), told)


def family_promises(vlm: VLM, everything: bool = False) -> Iterator[Promise]:
    """Yield the promises of a family, to be tried on one of its models."""
    yield from on_families.promises(vlm)
    yield from geometry.promises(vlm)
    if everything:
        yield from on_families.all_that_there_is(vlm)


def tried(promises: Iterable[Promise], told: Told | None = None) -> list[Broken]:
    """Try promises and return those that are broken."""
    broken = []
    for promise, attempt in promises:
        found = None
        try:
            attempt()
        except (AssertionError, TokvizError) as error:
            found = Broken(promise, str(error) or type(error).__name__)
        except Exception as error:  # a stranger's code: named, and the next promise is tried
            log.info("%s: an error that is not ours", promise, exc_info=True)
            found = Broken(promise, f"{type(error).__name__}: {error}")
        if told:
            told(promise, found)
        if found:
            broken.append(found)
    return broken
