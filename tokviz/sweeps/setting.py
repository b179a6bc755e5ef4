"""What is done to the visual tokens in one column of a sweep: a method, its options, a budget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokviz.errors import InputError
from tokviz.plans import Plan, Step
from tokviz.reduction import METHODS

MAX_SETTINGS = 10_000


@dataclass(frozen=True)
class Setting:
    """One way of answering. Without a method: all tokens, which every other one is held against."""

    method: str = ""
    budget: str = ""
    "Visual tokens to leave as a count (`64`) or a share of those there are (`25%`)."
    options: Mapping[str, Any] = field(default_factory=dict)

    def keep(self, n: int) -> int:
        """Return the budget as a count of n visual tokens, at least 1 where it is a share."""
        if self.budget.endswith("%"):
            return max(1, round(float(self.budget[:-1]) / 100 * n))
        return int(self.budget)

    def plan(self, n: int) -> Plan | None:
        """Return the plan for n visual tokens; None = keep all."""
        if not self.method:
            return None
        return Plan((Step(self.method, self.keep(n), self.options),))

    def identity(self) -> dict[str, Any]:
        """Return what makes two settings the same one: every option with its value."""
        if not self.method:
            return {}
        options = METHODS[self.method].check_options(self.options)
        return {"method": self.method, "budget": self.budget, "options": options}

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of the same sweep was measured with this setting."""
        return (self.method, self.budget) == (row["method"], row["budget"])

    @property
    def unusual(self) -> dict[str, Any]:
        """Return the options that differ from their defaults."""
        if not self.method:
            return {}
        known = METHODS[self.method].options
        found = METHODS[self.method].check_options(self.options)
        return {name: value for name, value in found.items() if value != known[name].default}


FULL = Setting()


def settings(
    methods: Iterable[str],
    budgets: Iterable[int | str],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Setting, ...]:
    """Return the full answer and every method with every budget.

    Args:
        methods: names in METHODS.
        budgets: counts (64) or shares ("25%").
        options: method -> its options.

    Raises:
        InputError: an unknown method or option, a budget that is neither, or far too many.
    """
    methods, given = list(dict.fromkeys(methods)), dict(options or {})
    sizes = list(dict.fromkeys(check_budget(budget) for budget in budgets))
    unused = sorted(set(given) - set(methods))
    if unused:
        raise InputError(f"options are given for {unused[0]!r}, which is not among the methods.")
    if methods and not sizes:
        raise InputError("methods need budgets: give --keep, such as 16,64 or 25%.")
    if len(methods) * len(sizes) > MAX_SETTINGS:
        raise InputError(f"{len(methods) * len(sizes):,} settings; at most {MAX_SETTINGS:,}.")
    for method in methods:
        METHODS[method].check_options(given.get(method, {}))
    return (FULL, *(Setting(m, size, given.get(m, {})) for m in methods for size in sizes))


def check_budget(budget: int | str) -> str:
    """Return a budget in its one spelling, `64` or `25%`; raise InputError for anything else."""
    text = str(budget).strip()
    if re.fullmatch(r"[0-9]{1,6}", text) and int(text) > 0:
        return str(int(text))
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?%", text) and 0 < float(text[:-1]) <= 100:
        return f"{float(text[:-1]):g}%"
    raise InputError(
        f"a budget must be a count such as 64 or a share such as 25%, got {text[:40]!r}."
    )
