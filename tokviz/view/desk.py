"""The contents of the hallucination desk: each word with the evidence for and against it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from tokviz.analysis import analyse
from tokviz.errors import TokvizError
from tokviz.evaluation.same_answer import same_answer
from tokviz.mitigation import EarlyExit
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import mean_over_layers
from tokviz.view.lanes import cut_off, duration
from tokviz.view.numbers import percent
from tokviz.view.run_names import mitigation_name
from tokviz.view.still import draw
from tokviz.view.words import compare_words, verdict

CONTROL_NAMES = {
    "blank": "a blank picture",
    "blurred": "a blurred picture",
    "noise": "noise",
    "removed": "no picture",
}
PICTURE_SIDE = 320


def word_card(word: Any, trace: Trace) -> dict[str, Any]:
    """Return one word of a report of `tokviz.diagnose`.

    Args:
        word: a `tokviz.examine.diagnosis.Word`.
        trace: the run it is from.

    Returns:
        {text, at, flagged, reason, facts: [name, value, explanation], candidates}.
    """
    return {
        "text": word.text,
        "at": word.tokens[0],
        "flagged": word.flagged,
        "reason": word.reason,
        "facts": word_facts(word, int(trace.model.get("layers", 0))),
        "candidates": candidates(trace, word.tokens[0]),
    }


def word_facts(word: Any, layers: int) -> list[list[str]]:
    """Return the numbers of a word as [name, value, explanation]."""
    rows = [
        ["probability", f"{word.probability:.3f}", "product over the word's tokens"],
        ["entropy", f"{word.entropy:.2f} nats", "of the whole distribution it was chosen from"],
    ]
    for control, bits in word.dependence.items():
        name = CONTROL_NAMES.get(control, control)
        title = "how much more probable the picture makes the word than this does; 1× = no help"
        rows.append(
            [
                f"likelier than with {name}",
                f"{times(bits)} ({round(bits, 1) + 0.0:+.1f} bits)",
                title,
            ]
        )
    rows.append(
        ["attention on the picture", percent(word.image_share), "mean over layers and heads"]
    )
    if word.sink_share is not None:
        share = percent(word.sink_share)
        rows.append(["of it on sinks", share, "tokens that draw attention whatever they show"])
    decided = f"layer {word.decided_at}" if word.decided_at < layers else "no layer"
    rows.append(["decided at", decided, "from there on the logit lens reads this word"])
    area = f"{percent(word.area)} of the tokens"
    rows.append(["its map covers", area, "share of tokens that hold 85 % of its map"])
    return rows


def times(bits: float) -> str:
    """Return 2 to the power of bits as a short text, such as "3×"."""
    factor = 2.0 ** min(max(bits, -20.0), 20.0)
    return f"{factor:,.0f}×" if factor >= 10 else f"{factor:.2g}×"


def candidates(trace: Trace, at: int) -> list[dict[str, Any]]:
    """Return the most probable tokens at one place of the answer, best first."""
    if "candidate_ids" not in trace or at >= len(trace.candidate_tokens):
        return []
    ids, shares = trace["candidate_ids"][at].tolist(), trace["candidate_prob"][at].tolist()
    chosen = int(trace["answer_ids"][at]) if "answer_ids" in trace else None
    return [
        {"text": text, "id": int(i), "probability": float(p), "chosen": i == chosen}
        for text, i, p in zip(trace.candidate_tokens[at], ids, shares, strict=False)
    ]


def outcome(lane: int, title: str, trace: Trace, full: Trace) -> dict[str, Any]:
    """Return how another run of the question compares with the examined answer."""
    words = compare_words(trace.answer, full.answer)
    changed = verdict(trace.answer, full.answer, "Same answer as before.")
    return {
        "lane": lane,
        "title": title,
        "text": trace.answer,
        "words": words,
        "changed": not same_answer(trace.answer, full.answer),
        "verdict": f"{changed}{cut_off(trace.finish)}",
        "finish": trace.finish,
    }


def mitigation_outcome(lane: int, entry: Any, trace: Trace, full: Trace) -> dict[str, Any]:
    """Return what a mitigation made of the answer, and what it took: one timing, no verdict.

    Args:
        lane: its number in the case's run.
        entry: the registered mitigation.
        trace: its run.
        full: the run whose answer is looked at.
    """
    spent = trace.timings.get("total")
    once = f"≈ {duration(spent)}, timed once" if spent else ""
    cost = ", ".join(filter(None, (once, work(entry))))
    made = outcome(lane, mitigation_name(trace), trace, full)
    return made | {"cost": cost, "summary": entry.summary}


def work(entry: Any) -> str:
    """Return what a mitigation costs by formula: a second run reads every token once more."""
    contrast = entry.recipe().contrast
    second = contrast is not None and not isinstance(contrast.branch, EarlyExit)
    return "by formula a second prompt, and two decoder steps per token" if second else ""


def proof(certificate: Any, trace: Trace | None, lane: int | None) -> dict[str, Any]:
    """Return a certificate of `tokviz.examine.counterfactual` with the picture of its tokens."""
    minimal = "No single token can be left out of this set; other sets may do as well."
    return {
        "kind": certificate.kind,
        "said": certificate.sentence(),
        "note": minimal if certificate.found and certificate.minimal else "",
        "spent": f"{certificate.runs} answers written in {certificate.seconds:.1f} s",
        "lane": lane,
        "picture": picture_url(trace) if trace is not None else "",
    }


def word_maps(tokens: Sequence[int], trace: Trace) -> list[dict[str, str]]:
    """Return maps of one word as pictures.

    Args:
        tokens: the word's answer tokens; maps of several are summed.
        trace: the run.

    Returns:
        Up to two of {title, note, picture}: attention and Token Activation Map.
    """
    found = []
    if "attention" in trace:
        rows = trace["attention"][list(tokens)].astype(np.float32)
        values = np.nan_to_num(mean_over_layers(rows, 1)).sum(0)
        found.append(("Where it looked", "attention, mean of all layers", values))
    try:
        values = np.nan_to_num(analyse("tam", trace).values[list(tokens)].sum(0))
        found.append(("What speaks for it", "Token Activation Map", values))
    except TokvizError:
        pass
    return [
        {"title": title, "note": note, "picture": picture_url(trace, values=values)}
        for title, note, values in found
    ]


def named(outcomes: Sequence[dict[str, Any]], truth: str = "") -> str:
    """Return a sentence: which of the tried mitigations change the answer, and which make it right.

    Args:
        outcomes: those of `mitigation_outcome`, with `right` where the right answer is known.
        truth: the right answer; "" = not known.
    """
    titles = [one["title"] for one in outcomes if one["changed"]]
    if not titles:
        return "None of them changes the answer."
    verb = "changes" if len(titles) == 1 else "change"
    said = f"{', '.join(titles)} {verb} the answer."
    if not truth:
        return f"{said} Whether it became right is yours to judge."
    right = [one["title"] for one in outcomes if one["changed"] and one["right"]]
    became = f"it became right with {', '.join(right)}" if right else "none of them made it right"
    return f"{said} The right answer is “{truth}”: {became}."


def judged(shown: dict[str, Any], truth: str) -> dict[str, Any]:
    """Return an outcome with `right`: whether its answer is the right one; None = not known."""
    return shown | {"right": same_answer(shown["text"], truth) if truth else None}


def picture_url(trace: Trace, side: int = PICTURE_SIDE, values: np.ndarray | None = None) -> str:
    """Return a run's picture as a JPEG data URL: a map [n], or without one the tokens' fates."""
    buffer = BytesIO()
    draw(trace, values, fates=values is None, side=side).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def flags(words: Sequence[dict[str, Any]]) -> str:
    """Return a sentence: how many words are flagged."""
    count = sum(word["flagged"] for word in words)
    if not count:
        return "No word is flagged. A sure answer can still be wrong."
    name = "word is" if count == 1 else "words are"
    return f"{count} {name} flagged: worth a second look, not proven wrong."
