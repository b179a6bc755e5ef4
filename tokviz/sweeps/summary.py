"""Summary of a sweep's rows: means with confidence intervals, and the answers that flipped.

Intervals are 95 %: Wilson's for shares of right answers, a bootstrap over questions (fixed seed)
for CHAIR. Both assume independent questions; with several questions about one picture they are too
narrow.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokviz.errors import InputError
from tokviz.evaluation import agreement
from tokviz.film import is_film, open_film
from tokviz.images import open_image, preview_jpeg
from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS
from tokviz.sweeps.rows import Row, images_of
from tokviz.trace.stages import CUT_OFF
from tokviz.trace.status import STAND_IN, with_mark
from tokviz.view.encode import data_url
from tokviz.view.run_names import published_policy
from tokviz.view.sweep_charts import Estimate, Point
from tokviz.view.sweep_page import Flip, SweepReport

MEASURES = {
    "Accuracy": ("exact", "yes_no", "choice"),
    "True mentions (1 - CHAIR_i)": ("chair",),
}
"""Name of a measure -> the kinds of questions for which it is computed."""
STABILITY = "Same answer as with all tokens"
Z = 1.959964
MAX_FLIPS = 300
THUMBNAIL = 96


def wilson(right: int, total: int) -> Estimate:
    """Return a share with Wilson's interval (1927), which is always within 0 to 1."""
    share, spread = right / total, Z * Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * np.sqrt(share * (1 - share) / total + spread / total / 4)
    return Estimate(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def bootstrap(values: np.ndarray, weights: np.ndarray, draws: int = 1000) -> Estimate:
    """Return sum(values) / sum(weights) over questions with a percentile interval."""
    pick = np.random.default_rng(0).integers(0, len(values), (draws, len(values)))
    ratios = values[pick].sum(1) / np.maximum(weights[pick].sum(1), 1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Estimate(float(values.sum() / max(weights.sum(), 1)), float(low), float(high))


def quality(measure: str, rows: Sequence[Row]) -> Estimate:
    """Return the mean of a measure over rows, with its interval."""
    if measure == STABILITY:
        return wilson(sum(row["same"] for row in rows), len(rows))
    if MEASURES[measure] == ("chair",):
        said = np.array([row["mentions"] for row in rows])
        return bootstrap(said - np.array([row["hallucinated"] for row in rows]), said)
    scores = np.array([row["score"] for row in rows], np.float64)
    if not np.isin(scores, (0, 1)).all():  # VQA's score can be between 0 and 1
        return bootstrap(scores, np.ones(len(scores)))
    return wilson(int(scores.sum()), len(rows))


def details(measure: str, rows: Sequence[Row]) -> tuple[tuple[str, float], ...]:
    """Return further numbers for the table."""
    found = {"same answer": _mean(rows, "same"), "KL": _mean(rows, "kl"),
             "total variation": _mean(rows, "total_variation")}  # fmt: skip
    cut = sum(row.get("finish") in CUT_OFF for row in rows)
    if cut:
        found["cut off"] = cut / len(rows)
    for name in ("gap", "comprehensiveness", "sufficiency"):
        found[f"faithfulness: {name}"] = _mean(rows, name)
    asked = [row for row in rows if row["kind"] == "yes_no"]
    if measure == "Accuracy" and asked:
        pope = agreement([row["truth"] for row in asked], [row["answer"] for row in asked])
        found |= {"F1 of yes": pope.f1, "yes ratio": pope.yes_ratio}
    if MEASURES.get(measure) == ("chair",):
        wrong = [row["hallucinated"] > 0 for row in rows]
        found["CHAIR_s"] = sum(wrong) / len(rows)
        found["recall"] = _sum(rows, "found") / max(_sum(rows, "there"), 1)
    return tuple((name, value) for name, value in found.items() if not np.isnan(value))


def _sum(rows: Iterable[Row], name: str) -> float:
    return sum(row[name] or 0 for row in rows)


def _mean(rows: Iterable[Row], name: str) -> float:
    values = [row[name] for row in rows if row[name] is not None]
    return float(np.mean(values)) if values else np.nan


def points_of(rows: Iterable[Row], measure: str) -> tuple[Point, ...]:
    """Return a point per model, method and budget, over the rows of a measure."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        judged = measure == STABILITY or (
            row["score"] is not None and row["kind"] in MEASURES[measure]
        )
        if judged and not row["error"]:
            name = what_was_done(row)
            groups[row["model"], name, row["budget"]].append(row)
    return tuple(
        Point(
            model=model,
            method=name,
            budget=budget,
            tokens_left=_mean(group, "tokens_left"),
            questions=len(group),
            quality=quality(measure, group),
            seconds=float(np.median([row["seconds_first_token"] for row in group])),
            seconds_total=float(np.median([row["seconds_total"] for row in group])),
            kv_bytes=_mean(group, "kv_bytes"),
            details=details(measure, group),
            times={row["question"]: row["seconds_first_token"] for row in group},
            positions=policy(group[0]),
            prefill_share=share if np.isfinite(share := _mean(group, "prefill_share")) else None,
        )
        for (model, name, budget), group in groups.items()
    )


def flipped(rows: Iterable[Row]) -> list[tuple[Row, Row]]:
    """Return (row of the full model, row) where the answers differ, answers lost first."""
    rows = list(rows)
    full = {(r["model"], r["question"]): r for r in rows if is_full(r) and not r["error"]}
    pairs = [
        (full[row["model"], row["question"]], row)
        for row in rows
        if not is_full(row) and not row["error"] and not row["same"]
        and (row["model"], row["question"]) in full
    ]  # fmt: skip
    order = {"lost": 0, "gained": 1, "": 2}
    return sorted(pairs, key=lambda pair: order[turn(*pair)])


def is_full(row: Row) -> bool:
    """Return whether a row has neither method nor mitigation."""
    return not row["method"] and not row["mitigation"]


def what_was_done(row: Row) -> str:
    """Return method and mitigation with options that differ from defaults; empty = all tokens.

    A stand-in is marked: where the row says that it was one, or declares it and the row says
    nothing.
    """
    method = _part(METHODS, row["method"], row["options"], row["status"] or "")
    more = _part(MITIGATIONS, row["mitigation"], row["mitigation_options"], row["status"] or "")
    return f"{method or 'all tokens'} + {more}" if more else method


def _part(registry: Mapping[str, Any], name: str, options: str, status: str) -> str:
    text = " ".join(filter(None, (name, options)))
    if name not in registry:
        return text
    entry = registry[name]
    told = [line for line in status.splitlines() if line.startswith(f"{entry.title}: ")]
    declared = not entry.verified and not told
    return with_mark(text, declared or any(f": {STAND_IN}" in line for line in told))


def policy(row: Row) -> str:
    """Return what was done to position ids, in words; sweeps do as published."""
    pairs = (part.partition("=") for part in row["options"].split())
    return published_policy(row["method"], {name: value for name, _, value in pairs})


def turn(full: Row, row: Row) -> str:
    """Return lost, gained or "" for two answers to one question."""
    if full["score"] is None or row["score"] is None or full["score"] == row["score"]:
        return ""
    return "lost" if row["score"] < full["score"] else "gained"


def report_of(
    rows: Sequence[Row], title: str, stored: Mapping[str, tuple[str, int]], lab: str
) -> SweepReport:
    """Return the contents of the report page.

    Args:
        rows: a sweep's rows.
        title: of the page.
        stored: row key -> (name of a stored run, lane) that the lab can open.
        lab: the lab's address.
    """
    panels = []
    for measure in (*MEASURES, STABILITY):
        points = points_of(rows, measure)
        for model in dict.fromkeys(point.model for point in points):
            own = tuple(point for point in points if point.model == model)
            panels.append((f"{measure}, {model}", own))
    pairs = flipped(rows)
    pairs.sort(key=lambda pair: pair[1]["key"] not in stored)
    thumbnails = {
        image: thumbnail(image) for _, row in pairs[:MAX_FLIPS] for image in [row["image"]]
    }
    return SweepReport(
        title,
        facts(rows),
        tuple(panels),
        tuple(flip_of(*pair, stored, thumbnails) for pair in pairs[:MAX_FLIPS]),
        max(len(pairs) - MAX_FLIPS, 0),
        tuple(Counter(row["error"] for row in rows if row["error"]).most_common(20)),
        lab,
    )


def facts(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the sentences under the title."""
    count = {name: len({row[name] for row in rows}) for name in ("question", "image", "model")}
    devices = sorted({row["device"] for row in rows if row["device"]})
    return (
        f"{count['question']:,} questions about {count['image']:,} pictures, {count['model']} "
        f"model(s), {len(rows):,} rows, measured on {', '.join(devices) or 'nothing'}.",
        "Times are measured. The vision tower runs once per picture, with the signals of every "
        "method in the sweep, and its time is charged to every row alike.",
        "Intervals take the questions as independent; several questions about one picture make "
        "them too narrow.",
    )


def flip_of(
    full: Row, row: Row, stored: Mapping[str, tuple[str, int]], thumbnails: Mapping[str, str]
) -> Flip:
    """Return one line of the list of flips."""
    name, lane = stored.get(row["key"], ("", 0))
    return Flip(
        prompt=row["prompt"],
        truth=row["truth"],
        full=full["answer"],
        answer=row["answer"],
        model=row["model"],
        setting=", ".join(filter(None, (what_was_done(row), row["budget"]))),
        turn=turn(full, row),
        example=name,
        lane=lane,
        command=command(row),
        thumbnail=thumbnails.get(row["image"], ""),
    )


def command(row: Row) -> str:
    """Return the command that runs one row again and saves its trace."""
    more = [part for pair in row["options"].split() for part in flag("--option", pair)]
    if row["method"]:
        more = [*flag("--method", row["method"]), *flag("--keep", str(row["keep"])), *more]
    if row["mitigation"]:
        more += flag("--mitigation", row["mitigation"])
        for pair in row["mitigation_options"].split():
            more += flag("--mitigation-option", pair)
    if row["frames"]:
        more.append(f"--{row['frames']}")
    words = ["python", "-m", "tokviz", "answer", *images_of(row), *flag("--prompt", row["prompt"]),
             *flag("--model", row["model"]), *more, "--trace", "run.safetensors"]  # fmt: skip
    return shlex.join(words)


def flag(name: str, value: str) -> list[str]:
    """Return a flag and its value; joined by = if the value looks like a flag."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def thumbnail(path: str) -> str:
    """Return a small picture as a data: address; "" if the file does not exist any more."""
    try:
        first = open_film(path, 1).frames[0] if is_film(path) else open_image(Path(path))
        return data_url(preview_jpeg(first, THUMBNAIL))
    except InputError:
        return ""
