"""How close was a run to the publication? One of three words, and the reasons for it.

The word follows from what the engine supplied to the method in this run and from what it did with
the decision, not from the method alone: CDPruner without CLIP's text encoder is a stand-in on a
model where CDPruner with it runs as published.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tokviz.options import Option
from tokviz.reduction.method import Method
from tokviz.trace.status import AS_PUBLISHED, RUN_DIFFERS, STAND_IN, WORDS, Status

__all__ = [
    "AS_PUBLISHED",
    "RUN_DIFFERS",
    "STAND_IN",
    "WORDS",
    "RunFacts",
    "Status",
    "declared_status",
    "run_status",
]

FREE_OPTIONS = ("variant", "version", "seed")
"""Options whose values are all published, or of which the publication names none."""
FULL, MAX_LISTED = 576, 4
"""Visual tokens for which stages are compared, and how many stages are listed one by one."""
OF_TOWER = {"cls_attn", "cls_logits", "recv_attn", "full_attn", "q", "k", "v"}
"""Signals that the tower gives patch by patch."""


class Declares(Protocol):
    """What the word needs to know of a method or a mitigation."""

    @property
    def notes(self) -> str:
        """Its docstring after the first line."""

    @property
    def verified(self) -> bool:
        """False for a stand-in."""


class HasOptions(Protocol):
    """What the word needs to know of the options of a method or a mitigation."""

    @property
    def options(self) -> Mapping[str, Option]:
        """Name -> type, range and default."""

    @property
    def published_options(self) -> Mapping[str, Any]:
        """Name -> published value, where it is not the default; a tuple = any of these."""

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return every option with its value."""


@dataclass(frozen=True)
class RunFacts:
    """What else a run did that the word follows from."""

    images: int = 1
    one_patch_each: bool = True
    "False where a visual token is made of several patches of the tower."
    chain: Sequence[str] = ()
    "Names of the methods of the plan, in order."
    positions: str | None = None
    "The position policy that was used; None = the published one."
    member_positions: bool = True
    "True where merged tokens were given their members' positions, for a method that has them."
    layers: Mapping[str, int] = field(default_factory=dict)
    "Layers of the model's tower and language_model, by these names; none = as published."
    reached: int | None = None
    "The budget, where as many tokens are left as it allows and it is less than all."
    model: tuple[str, int] | None = None
    "Family of the model and heads in a layer of its language model; None = as published."
    why_merged: str | None = None
    "Why attention did not unmerge tokens, for a method that asks for it; empty where it did."
    moved: str | None = None
    "Where it decides instead, as a clause, in a model with layers without attention."


def run_status(
    entry: Method, options: Mapping[str, Any], supplied: Collection[str], facts: RunFacts
) -> Status | None:
    """Return the word for one method in one run; None for a baseline, which has no publication.

    Args:
        entry: the method.
        options: as they were given.
        supplied: names of the signals that its decisions read.
        facts: what the run did around them.
    """
    if not entry.paper:
        return None
    if stands_in := replaced(entry, supplied):
        return Status(entry.title, STAND_IN, tuple(stands_in))
    differs = [
        *entry.differs,
        *settings(entry, options),
        *([] if facts.moved else other_depth(entry, options, facts.layers)),
        *other_model(entry, facts.model),
        *around(entry, entry.published_positions(options), facts),
        *company(entry, facts.chain),
    ]
    return Status(entry.title, RUN_DIFFERS if differs else AS_PUBLISHED, tuple(differs))


def declared_status(entry: Any) -> Status | None:
    """Return the best word that a method or mitigation can earn, whatever the model gives."""
    if not entry.paper:
        return None
    if not entry.verified:
        return Status(entry.title, STAND_IN, (reason_of(entry),))
    return Status(entry.title, RUN_DIFFERS if entry.differs else AS_PUBLISHED, entry.differs)


def replaced(entry: Method, supplied: Collection[str]) -> list[str]:
    """Return what stood in for what; the replacements of official code are none."""
    found = [] if entry.verified else [reason_of(entry)]
    for name in entry.needs:
        instead = (entry.fallbacks or {}).get(name)
        if name not in supplied and instead in supplied and name not in entry.official_fallbacks:
            found.append(f"{instead} was read in place of {name}")
    return found


def reason_of(entry: Declares) -> str:
    """Return why a method is a stand-in and of what, from its own notes, as a clause."""
    sentences = re.split(r"(?<=\.)\s+", " ".join(entry.notes.split()))
    said = next((s for s in sentences if "stand-in" in s.lower()), "")
    clause = re.sub(r"^A stand-in[ :,]*", "", said).strip().rstrip(".")
    return clause or "built from secondary sources"


def settings(entry: HasOptions, options: Mapping[str, Any]) -> list[str]:
    """Return the options of a method or mitigation that are not at their published values."""
    found = []
    for name, value in entry.check_options(options).items():
        published = entry.published_options.get(name, entry.options[name].default)
        several = published if isinstance(published, tuple) else (published,)
        if value in several or name in FREE_OPTIONS:
            continue
        by_itself = "by hand, not by the method's own rule"
        how = by_itself if published is None else f"published: {' or '.join(map(str, several))}"
        found.append(f"{name} = {value}, {how}")
    return found


def other_depth(entry: Method, options: Mapping[str, Any], layers: Mapping[str, int]) -> list[str]:
    """Return how the published layers were placed on a model of another depth."""
    here = layers.get("tower" if entry.place in ("tower", "before") else "language_model")
    if here is None or not entry.depths or here in entry.depths:
        return []
    published = entry.depths[0]
    if entry.schedule is None:
        return [f"its layers are read at the same share of {here}, published: of {published}"]
    both = [
        [stage.layer for stage in entry.stages(FULL, FULL // 4, depth, **options)]
        for depth in (here, published)
    ]
    if max(map(len, both)) > MAX_LISTED:
        return [f"its stages are spread over {here} layers, published: over {published}"]
    ours, theirs = (", ".join(map(str, stages)) for stages in both)
    return [f"it decides at layer {ours} of {here}, published: {theirs} of {published}"]


def other_model(entry: Method, model: tuple[str, int] | None) -> list[str]:
    """Return that a method's fixed numbers were measured on another model than this one."""
    if entry.measured_on is None or model is None or model == entry.measured_on[1:]:
        return []
    name, *meant = entry.measured_on
    theirs, ours = ("{} with {} heads".format(*each) for each in (meant, model))
    return [f"its numbers are for {name} ({theirs}), this model is {ours}"]


def around(entry: Method, published: str, facts: RunFacts) -> list[str]:
    """Return how the picture, the model and the position ids make the run another one."""
    found = []
    if facts.positions not in (None, published):
        found.append(f"position ids: {facts.positions}, published: {published}")
    if entry.member_positions and not facts.member_positions:
        found.append(
            "a merged token has its centre's position, where the publication gives several"
        )
    if entry.own_count and facts.reached is not None:
        found.append(
            f"its budget of {facts.reached} was reached, published: the image decides how many stay"
        )
    if facts.why_merged:
        found.append(f"attention read each merged token once: {facts.why_merged}")
    if facts.moved:
        found.append(facts.moved)
    if facts.images > 1 and not entry.several_images:
        found.append(f"{facts.images} images, where the publication decides on one")
    reads_patches = entry.place == "tower" or OF_TOWER & {*entry.needs, *entry.fallbacks.values()}
    if reads_patches and not facts.one_patch_each:
        found.append("a visual token is several patches of the tower here, taken together")
    return found


def company(entry: Method, chain: Sequence[str]) -> list[str]:
    """Return what the other steps of the plan mean for this one."""
    earlier = list(chain[: chain.index(entry.name)]) if entry.name in chain else []
    found = []
    if entry.rest and entry.rest not in chain:
        found.append(f"the method's other part, {entry.rest}, was not run")
    if strangers := [name for name in earlier if name != entry.rest]:
        found.append(f"it decided on what {', '.join(strangers)} had left")
    return found
