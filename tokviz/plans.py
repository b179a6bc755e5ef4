"""What to do with the visual tokens of one run: methods, places and budgets, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction import METHODS
from tokviz.reduction.method import PLACES, Method

POSITIONS = ("keep", "repack")
"""keep: survivors retain their position ids; repack: positions are renumbered without gaps."""


@dataclass(frozen=True)
class Step:
    """One method with its budget."""

    method: str
    keep: int
    "Visual tokens left after this step."
    options: Mapping[str, Any] = field(default_factory=dict)
    positions: str | None = None
    "keep or repack; None = as published."
    reduction: Reduction | None = None
    "A ready decision (brushed by hand, imported) in place of a method."

    @property
    def entry(self) -> Method | None:
        """The registered method, None for a ready decision."""
        return None if self.reduction is not None else METHODS[self.method]

    @property
    def place(self) -> str:
        """tower, before or language_model."""
        return "before" if self.entry is None else self.entry.place

    @property
    def position_policy(self) -> str:
        """The position policy that will be used."""
        if self.positions:
            return self.positions
        return "keep" if self.entry is None else self.entry.positions

    @property
    def label(self) -> str:
        """Short text for a lane's head."""
        title = self.method if self.entry is None else self.entry.title
        stand_in = "" if self.entry is None or self.entry.verified else " (stand-in)"
        return f"{title}{stand_in}, {self.keep} tokens"


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which tokens meet them: tower, before the LLM, inside the LLM."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Check order and options; raise InputError."""
        places = [list(PLACES).index(step.place) for step in self.steps]
        if places != sorted(places):
            raise InputError("a plan goes tower, before the language model, inside it.")
        for place in ("tower", "language_model"):
            if sum(step.place == place for step in self.steps) > 1:
                raise InputError(f"a plan can hold only one method {PLACES[place]}.")
        for step in self.steps:
            if step.entry is not None:
                step.entry.check_options(step.options)
            if step.positions not in (None, *POSITIONS):
                raise InputError(f"positions must be keep or repack, got {step.positions!r}.")

    def at(self, place: str) -> tuple[Step, ...]:
        """Return the steps at one place."""
        return tuple(step for step in self.steps if step.place == place)

    def then(self, later: Plan) -> Plan:
        """Return this plan followed by another."""
        return Plan(self.steps + later.steps)

    @property
    def label(self) -> str:
        """Short text for a lane's head."""
        return " then ".join(step.label for step in self.steps) or "All tokens"


def plan(method: str, keep: int, positions: str | None = None, **options: Any) -> Plan:
    """Return a plan of one method, e.g. `tokviz.plan("fastervlm", keep=64)`.

    Args:
        method: a name in METHODS.
        keep: visual tokens to leave, 1 to n (checked when the image is known).
        positions: keep or repack; None = as published.
        **options: the method's own options.

    Raises:
        InputError: unknown method, option or position policy.
    """
    return Plan((Step(method, keep, options, positions),))


def chosen(reduction: Reduction, name: str = "chosen by hand") -> Plan:
    """Return a plan that applies a ready decision before the language model."""
    return Plan((Step(name, reduction.m, reduction=reduction, positions="keep"),))
