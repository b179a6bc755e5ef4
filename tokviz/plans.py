"""Plans: the methods, budgets and mitigation of one run, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from tokviz.budget import check_budget
from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.mitigation import MITIGATIONS, Mitigation, Recipe
from tokviz.reduction import METHODS
from tokviz.reduction.method import PLACES, Method
from tokviz.trace.status import marked_title

POSITIONS = ("keep", "repack", "mean")
"""keep: kept tokens keep their position ids; repack: positions are renumbered without gaps; mean: a
merged token has the mean of its members' position ids, rounded down (before the LLM only)."""


@dataclass(frozen=True)
class Step:
    """One method with its budget."""

    method: str
    keep: int | str
    "Visual tokens left after this step, as a count or as a share of those in the prompt (25%)."
    options: Mapping[str, Any] = field(default_factory=dict)
    positions: str | None = None
    "keep, repack or mean; None = as published."
    reduction: Reduction | None = None
    "A ready decision (painted by hand, imported) instead of a method."
    inside: tuple[tuple[int, Reduction], ...] = ()
    "Ready decisions in the language model: (layer before which it acts, of the tokens left then)."

    @property
    def ready(self) -> bool:
        """True for ready decisions, which no method makes."""
        return self.reduction is not None or bool(self.inside)

    @property
    def entry(self) -> Method | None:
        """The registered method; None for a ready decision."""
        return None if self.ready else METHODS[self.method]

    @property
    def place(self) -> str:
        """tower, before or language_model."""
        if self.inside:
            return "language_model"
        return "before" if self.entry is None else self.entry.place

    @property
    def position_policy(self) -> str:
        """The position policy that will be used."""
        if self.positions:
            return self.positions
        return "keep" if self.entry is None else self.entry.published_positions(self.options)

    @property
    def title(self) -> str:
        """The method's title."""
        return self.method if self.entry is None else self.entry.title

    @property
    def label(self) -> str:
        """Short text for a lane's head."""
        title = self.title if self.entry is None else marked_title(self.entry)
        of = "of the tokens" if isinstance(self.keep, str) else "tokens"
        return f"{title}, {self.keep} {of}"


@dataclass(frozen=True)
class Mitigated:
    """A mitigation with its options, beside the steps of a plan."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entry(self) -> Mitigation:
        """The registered mitigation."""
        return MITIGATIONS[self.name]

    @property
    def label(self) -> str:
        """Short text for a lane's head."""
        return marked_title(self.entry)


@dataclass(frozen=True)
class Plan:
    """Steps in order: in the tower, before the model, in it, in its cache; and a mitigation."""

    steps: tuple[Step, ...] = ()
    mitigation: Mitigated | None = None
    "Attention edit or contrast, on the tokens that the steps keep."
    forced: tuple[int, ...] = ()
    "Token ids with which the answer must begin; the model continues from there."

    def __post_init__(self) -> None:
        """Check order, budgets and options; raise InputError."""
        steps = tuple(
            replace(s, keep=check_budget(s.keep, "keep")) if s.entry else s for s in self.steps
        )
        object.__setattr__(self, "steps", steps)  # budgets in standard form; the class is frozen
        places = [list(PLACES).index(step.place) for step in self.steps]
        if places != sorted(places):
            raise InputError(
                "the steps of a plan must be in order: on the picture, in the tower, before the "
                "language model, inside it, in its KV cache."
            )
        for place in ("picture", "tower", "language_model", "cache"):
            if sum(step.place == place for step in self.steps) > 1:
                raise InputError(f"a plan can hold only one method {PLACES[place]}.")
        if self.at("cache"):
            self._check_cache(self.at("cache")[0])
        for step in self.steps:
            if step.entry is not None:
                step.entry.check_options(step.options)
            if step.positions is not None and str(step.positions) not in POSITIONS:
                raise InputError(
                    f"positions must be keep or repack, or mean, got {step.positions!r}."
                )
            if step.positions == "mean" and step.place in ("language_model", "cache"):
                raise InputError(
                    f"{step.title} acts {PLACES[step.place]}, where positions are those that a "
                    "token was read with: positions must be keep or repack, got mean."
                )
        if self.mitigation:
            self.mitigation.entry.check_options(self.mitigation.options)

    def _check_cache(self, step: Step) -> None:
        """Raise InputError for what cannot be joined with a method of the KV cache."""
        if step.positions == "repack":
            raise InputError(
                f"{step.title} leaves keys in the cache at the positions at which they were read: "
                "positions must be keep, got repack."
            )
        for other in self.at("language_model"):
            if other.entry and other.entry.effect not in ("remove", "restart"):
                raise InputError(
                    f"{step.title} cannot follow {other.title}, which leaves all tokens in the "
                    "cache: choose a method that removes them, such as fastv, or run one alone."
                )
        if self.mitigation and "attention" in self.mitigation.entry.kinds:
            raise InputError(
                f"{step.title} cannot be joined with {self.mitigation.entry.title}, which edits "
                "attention over a whole cache: choose one of them."
            )

    def at(self, place: str) -> tuple[Step, ...]:
        """Return the steps at one place."""
        return tuple(step for step in self.steps if step.place == place)

    def then(self, later: Plan) -> Plan:
        """Return this plan followed by another; only one of them may hold a mitigation."""
        if self.mitigation and later.mitigation:
            raise InputError("a plan can hold only one mitigation.")
        if self.forced and later.forced:
            raise InputError("a plan can force only one beginning of the answer.")
        return Plan(
            self.steps + later.steps,
            self.mitigation or later.mitigation,
            self.forced or later.forced,
        )

    def mitigated(self, name: str, **options: Any) -> Plan:
        """Return this plan with a mitigation, e.g. `plan.mitigated("pai", alpha=0.5)`.

        Raises:
            InputError: unknown mitigation or option, or the plan has one already.
        """
        return self.then(Plan((), Mitigated(name, options)))

    @property
    def recipe(self) -> Recipe:
        """The mitigation's recipe; an empty one without a mitigation."""
        chosen = self.mitigation
        return chosen.entry.recipe(chosen.options) if chosen else Recipe()

    @property
    def label(self) -> str:
        """Short text for a lane's head."""
        steps = " then ".join(step.label for step in self.steps) or "All tokens"
        steps = f"{steps} with {self.mitigation.label}" if self.mitigation else steps
        return f"{steps}, first words forced" if self.forced else steps


def plan(
    method: str | None = None,
    keep: int | str | None = None,
    positions: str | None = None,
    mitigation: str | None = None,
    **options: Any,
) -> Plan:
    """Return a plan of one method, one mitigation, or both.

        tokviz.plan("fastervlm", keep=64)
        tokviz.plan(mitigation="pai", alpha=0.5)
        tokviz.plan("fastervlm", keep=64, mitigation="pai")
        tokviz.plan("fastervlm", keep=64).mitigated("pai", alpha=0.5)

    Args:
        method: a name in METHODS; None = keep all visual tokens.
        keep: visual tokens to keep, a count from 1 to n or a share such as "25%" (compared with n
            in the run); needs `method`.
        positions: keep, repack or mean; None = as published.
        mitigation: a name in MITIGATIONS.
        **options: the method's own options, or without a method the mitigation's.

    Raises:
        InputError: unknown method, mitigation, option or position policy; keep without method.
    """
    if method is None:
        if keep is not None or positions is not None:
            raise InputError("keep and positions need a method.")
        if mitigation is None:
            raise InputError("a plan needs a method or a mitigation.")
        return Plan().mitigated(mitigation, **options)
    if keep is None:
        raise InputError(needs_budget(METHODS[method]))
    alone = Plan((Step(method, keep, options, positions),))
    return alone.mitigated(mitigation) if mitigation else alone


def needs_budget(entry: Method) -> str:
    """Return the sentence for a method without a budget."""
    return (
        f"{entry.title} needs a budget: tokviz.plan({entry.name!r}, keep=64), or keep='25%' of the "
        "visual tokens."
    )


def as_plan(given: Any) -> Plan | None:
    """Return a Plan for a Plan, a list of plans, or the name of a mitigation.

    Args:
        given: None = keep all; a Plan; a list of plans, which are composed; the name of a
            mitigation.

    Raises:
        InputError: anything else, such as the name of a method, which needs a budget.
    """
    if given is None or isinstance(given, Plan):
        return given
    if isinstance(given, str) and given in MITIGATIONS and given not in METHODS:
        return plan(mitigation=given)
    if isinstance(given, str):
        raise InputError(needs_budget(METHODS[given]))
    if isinstance(given, list | tuple):
        parts = [part for part in map(as_plan, given) if part is not None]
        return reduce(Plan.then, parts) if parts else None
    raise InputError(
        f"a plan must be made by tokviz.plan(...), or be a list of such, got a "
        f"{type(given).__name__}."
    )


def as_plans(given: Any) -> list[Plan | None]:
    """Return the plan of each lane; one plan, None or one name stands for one lane.

    Raises:
        InputError: a lane whose plan `as_plan` does not take.
    """
    lanes = given if isinstance(given, list | tuple) else [given]
    return [as_plan(lane) for lane in lanes]


def chosen(reduction: Reduction, name: str = "chosen by hand") -> Plan:
    """Return a plan that applies a ready decision before the language model."""
    return Plan((Step(name, reduction.m, reduction=reduction, positions="keep"),))


def staged(stages: Sequence[tuple[int | None, Reduction]], name: str = "imported") -> Plan:
    """Return a plan that applies ready decisions, each before its own layer.

    Args:
        stages: (layer, decision of the tokens that earlier stages left), layers ascending; None or
            0 = before the language model. Stages at the same layer become one.
        name: the method that made them.

    Raises:
        InputError: layers that are not in order.
    """
    layers = [layer or 0 for layer, _ in stages]
    if layers != sorted(layers):
        raise InputError(
            "stages must be in the order of their layers, so that each acts on what is left."
        )
    joined: dict[int, Reduction] = {}
    for layer, (_, done) in zip(layers, stages, strict=True):
        joined[layer] = joined[layer].then(done) if layer in joined else done
    before, inside = joined.pop(0, None), tuple(joined.items())
    steps = []
    if before is not None:
        steps.append(Step(name, before.m, reduction=before, positions="keep"))
    if inside:
        steps.append(Step(name, inside[-1][1].m, positions="keep", inside=inside))
    return Plan(tuple(steps))
