"""How close did each step of a plan come to its publication in one run?"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tokviz.plans import Plan
from tokviz.reduction.run_status import RunFacts, Status, declared_status, run_status


def plan_statuses(
    plan: Plan,
    supplied: Mapping[str, Collection[str]],
    images: int,
    one_patch_each: bool,
    member_positions: bool = True,
) -> list[Status]:
    """Return one status for each published method of a plan that decided, and its mitigation's.

    Args:
        plan: what was carried out.
        supplied: method -> names of the signals that its decisions were given; none where it
            decided nothing, since every token was to stay.
        images: pictures in the prompt.
        one_patch_each: whether each visual token is one patch of the tower.
        member_positions: whether merged tokens were given their members' positions.
    """
    chain = [step.method for step in plan.steps if step.entry]
    found = []
    for step in plan.steps:
        if step.entry is None or not supplied.get(step.method):
            continue
        facts = RunFacts(images, one_patch_each, chain, step.position_policy, member_positions)
        found.append(run_status(step.entry, step.options, supplied[step.method], facts))
    if plan.mitigation:
        found.append(declared_status(plan.mitigation.entry))
    return [status for status in found if status is not None]
