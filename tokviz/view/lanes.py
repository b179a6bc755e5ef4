"""The text under an answer in the comparison: changed words and measurements.

Every figure is a measurement of that run. Whether a lane is faster or slower than the full answer
is said only where both were timed in turn, several times (`tokviz/time_ratio.py`): a run of its own
is one timing, shown as it is. Where several tokens were computed in one batch, the time of that
step is that of all of them: then the total counts each of them as the median of the steps that the
lane took alone, and is marked as an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from tokviz.evaluation.same_answer import same_answer
from tokviz.time_ratio import repeats_of, time_ratio
from tokviz.trace import Trace
from tokviz.trace.lane_view import LaneView
from tokviz.trace.stages import CUT_OFF_WORDS
from tokviz.trace.status import status_from
from tokviz.view.distance import word_distances
from tokviz.view.numbers import percent
from tokviz.view.run_names import POSITIONS
from tokviz.view.words import compare_words, verdict

ONCE = "timed once"
ONCE_TITLE = (
    "one timing is no comparison: the same run takes longer while the machine does something else. "
    "python -m tokviz answer --repeats 5 times this and the full answer in turn"
)
TIMES = {
    "first_token": ("first token", "time from the start of this answer to its first token"),
    "total": ("total time", "encoding, deciding, prefill and decoding"),
    "prefill": ("prefill", "time to read the prompt, measured; decisions apart"),
    "decide": ("deciding", "time the method itself took to choose"),
}


def lane_card(lane: LaneView, full: LaneView | None) -> dict[str, Any]:
    """Return what is shown of one lane while it streams and when it is done.

    Args:
        lane: the lane.
        full: the full answer's lane of the same comparison, or None if this is the full answer.

    Returns:
        {text, words, verdict, changed, finish, status, done, error, metrics, distances}; words
        are marked only when both are done.
    """
    compared = full is not None and lane.done and full.done and not (lane.error or full.error)
    said, other = lane.text, full.text if full is not None else ""
    return {
        "text": lane.text,
        "words": compare_words(said, other) if compared else [],
        "verdict": f"{verdict(said, other)}{cut_off(lane.finish)}" if compared else "",
        "changed": bool(compared) and not same_answer(said, other),
        "finish": getattr(lane, "finish", ""),
        "status": statuses(lane.trace),
        "done": bool(lane.done),
        "error": lane.error or "",
        "metrics": metrics(lane, full) if lane.done and not lane.error else [],
        "distances": distances(lane, full) if compared and full is not None else [],
    }


def statuses(trace: Trace | None) -> list[str]:
    """Return a sentence per method on how close the run came to its publication."""
    told = trace.model.get("status", ()) if trace is not None else ()
    return [status_from(entry).sentence for entry in told]


def cut_off(finish: str) -> str:
    """Return a sentence about an answer that was cut off or stopped; "" for any other."""
    word = CUT_OFF_WORDS.get(finish)
    return f" It was {word}: there may have been more." if word else ""


def distances(lane: LaneView, full: LaneView) -> list[dict[str, str]]:
    """Return how far each next-word distribution is from the full run's, as {text, share}."""
    found = word_distances(lane.trace, full.trace)
    return [{"text": one["text"], "share": percent(one["distance"])} for one in found]


def metrics(lane: LaneView, full: LaneView | None) -> list[dict[str, str]]:
    """Return the measured figures as {name, value, ratio, trend, title} texts."""
    rows = []
    timings = shown_times(lane, full)
    for key, (name, title) in TIMES.items():
        seconds = timings.get(key)
        if seconds is None or (key == "decide" and full is None):
            continue
        if key == "decide":
            rows.append(_row(name, duration(seconds), _share(seconds, timings), "", title))
        elif key == "total" and timings.get("shared"):
            rows.append(_total_alone(timings, full is not None))
        else:
            rows.append(_time(key, seconds, lane, full))
    if full is not None:
        rows += _theory(lane.trace)
    tokens = full.visual_tokens if full is not None else None
    cache = full.kv_bytes if full is not None else None
    rows.append(
        _row("visual tokens", str(lane.visual_tokens), *_ratio(lane.visual_tokens, tokens),
             "visual tokens that reach the end of the language model")
    )  # fmt: skip
    rows.append(
        _row("KV cache", size(lane.kv_bytes), *_ratio(lane.kv_bytes, cache),
             "bytes of keys and values at the end of the answer")
    )  # fmt: skip
    return rows


def shown_times(lane: LaneView, full: LaneView | None) -> dict[str, float]:
    """Return the times of a lane that are shown: medians of repeats where these are compared.

    The full answer's repeats are compared with every lane's, so it shows its own medians.
    """
    timings = dict(lane.timings or {})
    for key in TIMES:
        own = _repeats(lane, key)
        if key in timings and time_ratio(own, own if full is None else _repeats(full, key)):
            timings[key] = median(own)
            if key == "total":
                timings |= {"shared": 0.0, "total_alone": timings[key]}
    return timings


def _time(key: str, seconds: float, lane: LaneView, full: LaneView | None) -> dict[str, str]:
    """Return the row of a time: compared where both sides were timed in turn, else as it is."""
    name, title = TIMES[key]
    own = _repeats(lane, key)
    if full is None:
        many = f", median of {len(own)} runs" if time_ratio(own, own) else ""
        return _row(name, duration(seconds), "", "", f"{title}{many}")
    base = _repeats(full, key)
    found = time_ratio(own, base)
    if found is None:
        return _row(name, duration(seconds), ONCE, "once", f"{title}; {ONCE_TITLE}")
    title += f": median of {found.pairs} runs, timed in turn with the full answer; in brackets the "
    title += "spread of the ratio"
    return _row(name, duration(seconds), found.text(), found.verdict, title)


def _repeats(lane: LaneView, key: str) -> list[float]:
    return repeats_of(lane.trace.model, key) if lane.trace is not None else []


def _share(seconds: float, timings: Mapping[str, float]) -> str:
    """Return what part of the lane's total a decision took: of the total that is shown above it."""
    own = _alone(timings)
    total = timings.get("total") if own is None else own
    about = "≈ " if timings.get("shared") and own is not None else ""
    if not total:
        return ""
    share = min(seconds / total, 1.0)
    text = percent(share, 1 if share < 0.1 else 0)
    return f"{about}{text} of the total"


def _total_alone(timings: Mapping[str, float], compared: bool) -> dict[str, str]:
    """Return the row of the total of a lane that took shared steps."""
    seconds = _alone(timings)
    part = timings.get("shared", 0.0) / timings["total"] if timings["total"] else 0.0
    title = "encoding, deciding, prefill and decoding, as if this lane had run alone: "
    title += f"{percent(part)} of the time measured went into steps with several tokens in one "
    title += "batch; each of these tokens is counted as the median of the steps that this lane "
    title += "took alone"
    if seconds is None:
        return _row("total time", duration(timings["total"]), "shared steps", "", title)
    note, trend = (ONCE, "once") if compared else ("", "")
    return _row("total time", f"≈ {duration(seconds)}", note, trend, title)


def _alone(timings: Mapping[str, float]) -> float | None:
    """Return the estimated total of a lane without batching; None if it made no step alone."""
    return timings.get("total_alone", None if timings.get("shared") else timings.get("total"))


def _theory(trace: Trace | None) -> list[dict[str, str]]:
    """Return the rows of the theoretical prefill cost and of the position policy."""
    facts, rows = (trace.model if trace is not None else {}), []
    shares = facts.get("prefill_share")
    if isinstance(shares, Mapping) and isinstance(shares.get("whole_prompt"), (int, float)):
        alone = shares.get("visual_tokens")
        how = f", {percent(alone)} counting visual tokens alone, as papers do" if alone else ""
        title = "multiplications of the prefill by formula, as a share of the full prompt's" + how
        rows.append(_row("prefill, theory", percent(shares["whole_prompt"]), "of full", "", title))
    policies = list(dict.fromkeys(facts.get("positions") or ()))
    known = [POSITIONS[policy] for policy in policies if policy in POSITIONS]
    if known:
        value, title = (", then ".join(texts) for texts in zip(*known, strict=True))
        rows.append(_row("position ids", value, "", "", title))
    return rows


def _row(name: str, value: str, ratio: str, trend: str, title: str) -> dict[str, str]:
    return {"name": name, "value": value, "ratio": ratio, "trend": trend, "title": title}


def _ratio(value: float, base: float | None) -> tuple[str, str]:
    return (f"{percent(value / base)} of full", "") if base else ("", "")


def duration(seconds: float) -> str:
    """Return a time as text, in µs, ms or s."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def size(count: float) -> str:
    """Return a number of bytes as text, in B, KiB, MiB or GiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:.3g} GiB"
