"""What enters the language model under each position policy, and what is answered to it.

A method decides once per picture and budget. Both policies get the same visual tokens, only their
position ids differ, and inputs that are equal to the last bit are answered once: two methods that
chose the same tokens, or one that chooses the same at two budgets, cost one answer.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.batched import answers, fits
from benchmarks.questions import Asked
from tokviz.models.before.prefill_input import PrefillInput, make_prefill_input
from tokviz.plans import plan
from tokviz.reduction import METHODS

Known = dict[bytes, str]
"""Digest of what entered the language model -> the answer to it."""


def policies_of(name: str) -> tuple[str, ...]:
    """Return the position policies under which a method is measured, the published one included.

    A method that removes tokens before the language model is measured with kept (or averaged) and
    with renumbered ids; every other one as it is published.
    """
    entry = METHODS[name]
    if not entry.removes:
        return ("keep",)
    if entry.place in ("tower", "before") and entry.effect == "remove":
        return ("mean" if entry.positions == "mean" else "keep", "repack")
    return (entry.positions,)


def entering(vlm: Any, asked: Sequence[Asked], name: str, keep: int) -> dict[str, list]:
    """Decide on every picture once; return what enters the language model under each policy.

    Returns:
        Policy -> one PrefillInput per question.
    """
    first, *others = policies_of(name)
    with vlm.guarded():
        found = {first: [enter(vlm, one, name, keep, first) for one in asked]}
        for policy in others:
            found[policy] = [
                renumbered(one, earlier) or enter(vlm, one, name, keep, policy)
                for one, earlier in zip(asked, found[first], strict=True)
            ]
    return found


def enter(vlm: Any, one: Asked, name: str, keep: int, policy: str) -> PrefillInput:
    """Return what enters the language model of one question."""
    chosen = plan(name, keep, policy)
    return make_prefill_input(vlm.family, vlm.model, one.prepared, one.vision, chosen)


def renumbered(one: Asked, kept: PrefillInput) -> PrefillInput | None:
    """Return the same visual tokens with position ids without gaps, as the engine numbers them.

    None where something else than the ids depends on the policy, too.
    """
    if not fits(kept):
        return None
    if kept.prompt_rows.before.m == kept.prompt_rows.before.n:
        return kept  # nothing left, so there is no gap
    places = torch.arange(kept.input_ids.shape[1], device=kept.positions.device)
    return replace(kept, positions=one.prepared.positions[..., :1] + places)


def said(vlm: Any, inputs: Sequence[PrefillInput], known: Known, new_tokens: int) -> list[str]:
    """Return the answers to inputs; those that are in `known` are not asked again."""
    keys = [digest(one) for one in inputs]
    fresh = {key: one for key, one in zip(keys, inputs, strict=True) if key not in known}
    spoken = answers(vlm, list(fresh.values()), new_tokens)
    known |= zip(fresh, spoken, strict=True)
    return [known[key] for key in keys]


def digest(one: PrefillInput) -> bytes:
    """Return a digest of all that the language model gets."""
    found = hashlib.sha256()
    for values in (one.input_ids, one.positions, one.features.tokens):
        found.update(repr(tuple(values.shape)).encode())
        found.update(values.cpu().float().contiguous().numpy().tobytes())
    return found.digest()
