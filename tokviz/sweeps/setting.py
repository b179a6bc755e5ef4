"""One setting of a sweep: a method with a budget, a mitigation, or both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tokviz.budget import check_budget, tokens_of
from tokviz.errors import InputError
from tokviz.mitigation import MITIGATIONS
from tokviz.options import Option
from tokviz.plans import Plan, Step
from tokviz.reduction import METHODS
from tokviz.sweeps.arguments import several, texts

MAX_SETTINGS = 10_000


@dataclass(frozen=True)
class Setting:
    """One setting. Without method and mitigation: all tokens, to which all others are compared."""

    method: str = ""
    budget: str = ""
    "Visual tokens to keep, a count (`64`) or a share (`25%`)."
    options: Mapping[str, Any] = field(default_factory=dict)
    mitigation: str = ""
    "Name of the mitigation; empty = none."
    mitigation_options: Mapping[str, Any] = field(default_factory=dict)

    def keep(self, n: int) -> int:
        """Return the budget as a count of n visual tokens; a share gives at least 1."""
        if not self.method:
            return n
        if self.budget.endswith("%"):
            return tokens_of(self.budget, n)
        return int(self.budget)  # a count above n fails in the run, and its row has the error

    def plan(self, n: int) -> Plan | None:
        """Return the plan for n visual tokens; None = keep all."""
        steps = (Step(self.method, self.keep(n), self.options),) if self.method else ()
        plan = Plan(steps)
        if self.mitigation:
            plan = plan.mitigated(self.mitigation, **self.mitigation_options)
        return plan if steps or self.mitigation else None

    def identity(self) -> dict[str, Any]:
        """Return the values that identify a setting: names, budget, every option."""
        found: dict[str, Any] = {}
        if self.method:
            options = METHODS[self.method].check_options(self.options)
            found = {"method": self.method, "budget": self.budget, "options": options}
        if self.mitigation:
            checked = MITIGATIONS[self.mitigation].check_options(self.mitigation_options)
            found["mitigation"] = [self.mitigation, checked]
        return found

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of the same sweep was measured with this setting."""
        ours = (self.method, self.budget, self.mitigation)
        return ours == (row["method"], row["budget"], row["mitigation"])

    @property
    def unusual(self) -> dict[str, Any]:
        """Return the method's options that differ from their defaults."""
        if not self.method:
            return {}
        entry = METHODS[self.method]
        return differing(entry.options, entry.check_options(self.options))

    @property
    def unusual_mitigation(self) -> dict[str, Any]:
        """Return the mitigation's options that differ from their defaults."""
        if not self.mitigation:
            return {}
        entry = MITIGATIONS[self.mitigation]
        return differing(entry.options, entry.check_options(self.mitigation_options))


def differing(known: Mapping[str, Option], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not the options' defaults."""
    return {name: value for name, value in found.items() if value != known[name].default}


FULL = Setting()
SMALLER = "downsample"
"""The baseline of a smaller picture."""


def settings(
    methods: str | Iterable[str],
    budgets: int | str | Iterable[int | str],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    mitigations: str | Iterable[str] = (),
    baselines: bool = False,
) -> tuple[Setting, ...]:
    """Return the full answer and every method with every budget, without and with mitigations.

    Args:
        methods: names in METHODS; a single one needs no list.
        budgets: counts (64) or shares ("25%"); a single one needs no list.
        options: method or mitigation -> its options.
        mitigations: names in MITIGATIONS.
        baselines: True = also a smaller picture at every budget, and the answer without it.

    Raises:
        InputError: an unknown name or option, a budget that is neither, or far too many.
    """
    methods, given = texts("methods", methods), dict(options or {})
    sizes = list(dict.fromkeys(str(check_budget(budget)) for budget in several(budgets)))
    chosen = texts("mitigations", mitigations)
    if baselines:
        methods = [*methods, *({SMALLER} - {*methods})] if sizes else methods
    unused = sorted(set(given) - {*methods, *chosen})
    if unused:
        raise InputError(f"options are given for {unused[0]!r}, which is not among the methods.")
    if methods and not sizes:
        raise InputError("methods need budgets: give --keep, such as 16,64 or 25%.")
    if sizes and not methods:
        raise InputError("budgets need methods: give --method, such as fastervlm.")
    count = (len(methods) * len(sizes) + 1) * (len(chosen) + 1)
    if count > MAX_SETTINGS:
        raise InputError(f"{count:,} settings; at most {MAX_SETTINGS:,}.")
    for method in methods:
        METHODS[method].check_options(given.get(method, {}))
    for name in chosen:
        MITIGATIONS[name].check_options(given.get(name, {}))
    plain = (FULL, *(Setting(m, size, given.get(m, {})) for m in methods for size in sizes))
    mitigated = (
        replace(setting, mitigation=name, mitigation_options=given.get(name, {}))
        for name in chosen
        for setting in plain
    )
    blind = (Setting(mitigation="blind"),) if baselines and "blind" not in chosen else ()
    return (*plain, *mitigated, *blind)
