"""A run as plain JSON data: the output of `python -m tokviz answer --json`.

The schema is documented in docs/cli.md; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from tokviz.matrix import FATES
from tokviz.trace import Trace

SECONDS = ("encode", "decide", "prefill", "decode", "first_token", "total", "shared", "total_alone")


def answer_record(trace: Trace) -> dict[str, Any]:
    """Return one run as JSON-ready values: no arrays, no NaN."""
    return {
        "model": str(trace.model.get("name", "")),
        "date": str(trace.model.get("date") or ""),
        "unseen": _number(trace.layout.unseen_share),
        "prompt": trace.prompt,
        "answer": trace.answer,
        "finish": trace.finish,
        "tokens": _answer_tokens(trace),
        "visual_tokens": _counts(trace),
        "stages": [
            {
                "method": s.method,
                "place": s.place,
                "layer": s.layer,
                "left": s.reduction.m,
                "effect": s.effect,
                "seconds": _number(s.seconds),
            }
            for s in trace.stages
        ],
        "status": list(trace.model.get("status", ())),
        "positions": [str(policy) for policy in trace.model.get("positions", ())],
        "prefill_share": prefill_share(trace),
        "seconds": {name: _number(trace.timings.get(name)) for name in SECONDS},
        "time_ratio": None,  # one timing is no comparison: the command fills it in with --repeats
        "mitigation": _mitigation(trace),
        "kv_bytes": trace.kv_bytes,
        "fates": _fates(trace),
        "notes": list(trace.notes),
    }


def _mitigation(trace: Trace) -> dict[str, Any] | None:
    used = trace.mitigation
    if used is None:
        return None
    seconds = _number(trace.timings.get("contrast"))
    return {**asdict(used), "kinds": list(used.kinds), "second_run_seconds": seconds}


def prefill_share(trace: Trace) -> dict[str, float | None]:
    """Return the prefill's theoretical cost relative to keeping every token; None if not known."""
    told = trace.model.get("prefill_share")
    shares = told if isinstance(told, Mapping) else {}
    return {name: _number(_float(shares.get(name))) for name in ("visual_tokens", "whole_prompt")}


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _answer_tokens(trace: Trace) -> list[dict[str, Any]]:
    ids = trace.arrays.get("answer_ids", np.full(trace.t, -1))
    probabilities = trace.arrays.get("answer_prob", np.full(trace.t, np.nan))
    return [
        {"id": int(i), "text": text, "probability": _number(p)}
        for i, text, p in zip(ids, trace.pieces, probabilities, strict=True)
    ]


def _counts(trace: Trace) -> dict[str, int]:
    fates = np.bincount(trace.reduction.fate, minlength=len(FATES))
    counts = {"total": trace.whole_n, "left": trace.reduction.m}
    return counts | {name: int(count) for name, count in zip(FATES, fates, strict=True)}


def _fates(trace: Trace) -> list[dict[str, Any]]:
    went, group, box = trace.went_at, trace.reduction.group, trace.layout.box
    return [
        {
            "fate": FATES[fate],
            "group": None if group[i] < 0 else int(group[i]),
            "stage": None if went[i] < 0 else int(went[i]),
            "box": None if np.isnan(box[i]).any() else [round(float(v), 2) for v in box[i]],
        }
        for i, fate in enumerate(trace.reduction.fate)
    ]


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 6)
