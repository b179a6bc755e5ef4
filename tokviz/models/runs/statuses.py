"""How close did each step of a plan come to its publication in one run?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tokviz.budget import tokens_of
from tokviz.plans import Plan
from tokviz.reduction.run_status import (
    RUN_DIFFERS,
    STAND_IN,
    RunFacts,
    Status,
    declared_status,
    run_status,
    settings,
)
from tokviz.trace.stages import StageRecord

PUBLISHED_DEPTHS = (32, 40)
"""Layers of LLaVA-1.5's language models, for which mitigations name their first layer."""


def plan_statuses(
    plan: Plan,
    supplied: Mapping[str, Collection[str]],
    images: int,
    one_patch_each: bool,
    member_positions: bool = True,
    why_merged: str | None = None,
    layers: Mapping[str, int] | None = None,
    reached: Mapping[str, int] | None = None,
    model: tuple[str, int] | None = None,
    moved: Mapping[str, str] | None = None,
) -> list[Status]:
    """Return one status for each published method of a plan that decided, and its mitigation's.

    Args:
        plan: what was carried out.
        supplied: method -> names of the signals that its decisions were given; none where it
            decided nothing, since every token was to stay.
        images: pictures in the prompt.
        one_patch_each: whether each visual token is one patch of the tower.
        member_positions: whether merged tokens were given their members' positions.
        why_merged: why attention did not unmerge tokens, for the method that asks for it.
        layers: of the model's tower and language_model.
        reached: method -> its budget, where that is what is left.
        model: family of the model and heads in a layer of its language model.
        moved: method -> where it decides instead, where layers have no attention.
    """
    chain = [step.method for step in plan.steps if step.entry]
    found = []
    for step in plan.steps:
        if step.entry is None or not supplied.get(step.method):
            continue
        why = why_merged if step.entry.unmerged_by else None
        facts = RunFacts(
            images,
            one_patch_each,
            chain,
            step.position_policy,
            member_positions,
            layers or {},
            (reached or {}).get(step.method),
            model,
            why,
            (moved or {}).get(step.method),
        )
        found.append(run_status(step.entry, step.options, supplied[step.method], facts))
    if plan.mitigation:
        reduced = [
            step.title for step in plan.steps if step.entry is None or supplied.get(step.method)
        ]
        found.append(mitigation_status(plan, (layers or {}).get("language_model"), reduced))
    return [status for status in found if status is not None]


def budgets_reached(plan: Plan, records: Sequence[StageRecord], total: int) -> dict[str, int]:
    """Return method -> its budget, where no fewer tokens are left than it allows.

    Args:
        plan: what was carried out.
        records: its stages.
        total: visual tokens of the prompt.
    """
    left = {record.method: record.reduction.m for record in records}
    found = {}
    for step in plan.steps:
        if step.entry is not None and step.entry.own_count and step.method in left:
            keep = tokens_of(step.keep, total)
            if left[step.method] >= keep < total:
                found[step.method] = keep
    return found


def mitigation_status(plan: Plan, layers: int | None, reduced: Sequence[str]) -> Status | None:
    """Return the word for a plan's mitigation.

    Args:
        plan: what was carried out.
        layers: of the language model.
        reduced: titles of the methods that took tokens away beside it.
    """
    chosen = plan.mitigation
    status = declared_status(chosen.entry)  # type: ignore[union-attr]
    if status is None:
        return None
    why = [
        *settings(chosen.entry, chosen.options),  # type: ignore[union-attr]
        *mitigated_depth(plan, layers),
    ]
    if reduced:
        why.append(f"it acted on what {', '.join(reduced)} had left")
    word = RUN_DIFFERS if why and status.word != STAND_IN else status.word
    return Status(status.name, word, (*status.why, *why))


def mitigated_depth(plan: Plan, layers: int | None) -> list[str]:
    """Return how a mitigation's layers lie on a model of another depth than the published ones."""
    entry, edit = plan.mitigation.entry, plan.recipe.attention  # type: ignore[union-attr]
    if layers is None:
        return []
    if entry.depths:
        if layers in entry.depths:
            return []
        return [f"its layers are meant for {entry.depths[0]}, this model has {layers}"]
    if edit is None or not edit.first_layer or edit.last_layer_only or layers in PUBLISHED_DEPTHS:
        return []
    usual = PUBLISHED_DEPTHS[0]
    return [f"it acts from layer {edit.first_layer} of {layers} on, published: of {usual}"]
