"""The fields of a payload with the fate of each token (kept, merged, pruned), stage by stage."""

from __future__ import annotations

from typing import Any

import numpy as np

from tokviz.matrix import Reduction
from tokviz.trace import Trace
from tokviz.view.encode import pack
from tokviz.view.run_names import stage_name

PLACES = {
    "picture": "on the picture, before the processor",
    "tower": "inside the vision tower",
    "before": "before the language model",
    "language_model": "inside the language model",
    "cache": "in the KV cache after the prefill",
}
MAX_ROLES = 8
MAX_HEAD_BYTES = 1_500_000
"""Stages x key heads x tokens that a view carries."""


def fate_fields(trace: Trace) -> dict[str, Any]:
    """Return the payload's fields fates, head_fates, group, place, went, score, roles and stages.

    Args:
        trace: the run; without stages everything but the empty lists is null.
    """
    names = ("fates", "head_fates", "group", "place", "went", "score")
    fields: dict[str, Any] = dict.fromkeys(names)
    fields |= {"stages": [], "roles": []}
    if not trace.stages:
        return fields
    before, rows = Reduction.identity(trace.n), []
    for stage in trace.stages:
        after = before.then(stage.reduction)
        rows.append((after.fate, after.group, _places(after)))
        fields["stages"].append(_stage(trace, stage))
        fields["roles"] += _roles(stage, before)
        before = after if stage.removes else before
    fates, groups, places = (np.stack(part) for part in zip(*rows, strict=True))
    fields |= {
        "fates": pack(fates, "u1"),
        "head_fates": _head_fates(trace, fates),
        "group": pack(groups, "i4"),
        "place": pack(places, "i4"),
        "went": pack(trace.went_at, "i2"),
        "roles": fields["roles"][:MAX_ROLES],
    }
    if trace.stages[0].reduction.score is not None:
        fields["score"] = pack(trace.stages[0].reduction.score, "f4")
    return fields


def _stage(trace: Trace, stage: Any) -> dict[str, Any]:
    return {
        "title": stage_name(trace, stage.method),
        "where": PLACES.get(stage.place, stage.place),
        "layer": stage.layer,
        "left": tokens_left(stage.reduction),
        "removes": stage.removes,
        "heads": stage.reduction.heads.heads if stage.reduction.heads else 0,
    }


def tokens_left(reduction: Reduction) -> int:
    """Return the tokens that a stage leaves; where key heads keep different ones, in each head."""
    return reduction.m if reduction.heads is None else int(reduction.heads.counts[0])


def _head_fates(trace: Trace, fates: np.ndarray) -> dict[str, Any] | None:
    """Return u1 [k, j, n], fate of each token in each key head after each stage.

    None where no stage tells key heads apart, or where they would make the view too large.
    """
    heads = {s.reduction.heads.heads for s in trace.stages if s.reduction.heads is not None}
    if len(heads) != 1 or fates.size * max(heads) > MAX_HEAD_BYTES:
        return None
    rows, before = [], Reduction.identity(trace.n)
    for stage, joint in zip(trace.stages, fates, strict=True):
        own = stage.reduction.heads
        row = np.broadcast_to(joint, (max(heads), trace.n)).copy()
        if own is not None:  # of the tokens left by earlier stages, put back into their places
            row[:, before.position] = own.fate
        rows.append(row)
        before = before.then(stage.reduction) if stage.removes else before
    return pack(np.stack(rows), "u1")


def _places(whole: Reduction) -> np.ndarray:
    """Return [n], the source token that represents each token's group; -1 = pruned."""
    if not whole.m:
        return np.full(whole.n, -1)
    return np.where(whole.group >= 0, whole.position[np.maximum(whole.group, 0)], -1)


def _roles(stage: Any, before: Reduction) -> list[dict[str, Any]]:
    """Return the method's own names for tokens as {name, tokens}, in source tokens."""
    named = stage.reduction.roles.items()
    found = [(name, before.position[tokens].tolist()) for name, tokens in named]
    return [{"name": name, "tokens": tokens} for name, tokens in found if tokens]
