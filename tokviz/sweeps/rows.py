"""The columns of a sweep's result: one row per question, model and setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokviz.errors import FaultyPlugin, ModelError, TokvizError
from tokviz.film.choice import choice_words, read_choice
from tokviz.sweeps.question import Question, digest
from tokviz.sweeps.setting import Setting

VERSION = 3
"""Goes into every key: rows of another version are measured anew."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column; every one but text may be empty (None)."""

    kind: str
    "text, integer, real or yes_no."
    meaning: str


COLUMNS: dict[str, Column] = {
    "key": Column("text", "content hash of everything that determines the row."),
    "question": Column("text", "content hash of pictures, prompt and right answer."),
    "name": Column("text", "name of the question in the data set."),
    "image": Column("text", "path of the first picture, or of the film."),
    "more_images": Column("text", "further pictures, a JSON list of paths; empty = none."),
    "frames": Column(
        "text", "which frames of a film: frames=N, rate=R or times=S,S; empty = 8, or no film."
    ),
    "prompt": Column("text", "the question."),
    "truth": Column("text", "the right answer, several with bars between; empty = none is known."),
    "kind": Column("text", "how the answer is judged: exact, yes_no, choice, chair or open."),
    "model": Column("text", "the model's name."),
    "device": Column("text", "device and number type of the model."),
    "method": Column("text", "the method; empty = all tokens."),
    "options": Column("text", "the method's options that differ from their defaults, name=value."),
    "mitigation": Column("text", "the edit of attention or logits; empty = none."),
    "mitigation_options": Column("text", "its options that differ from their defaults."),
    "budget": Column("text", "the budget as asked: a count or a share."),
    "keep": Column("integer", "the budget as a count."),
    "visual_tokens": Column("integer", "visual tokens before any reduction."),
    "tokens_left": Column("integer", "visual tokens left after the prefill."),
    "answer": Column("text", "the model's answer."),
    "finish": Column(
        "text", "why it ended: end, length (cut off by the limit of tokens), stopped or time."
    ),
    "score": Column(
        "real",
        "1 = right, 0 = wrong (chair: share of the mentions that are true; ten accepted answers: "
        "VQA's score).",
    ),
    "mentions": Column("integer", "chair: objects mentioned."),
    "hallucinated": Column("integer", "chair: of these, how many are not in the picture."),
    "there": Column("integer", "chair: objects in the picture."),
    "found": Column("integer", "chair: of these, how many were mentioned."),
    "same": Column(
        "yes_no", "whether it is the full model's answer, by the rule of `same_answer`."
    ),
    "kl": Column(
        "real",
        "Kullback-Leibler divergence in nats of the next-token distribution from the full model's, "
        "mean over the answer up to and including the first token that differs. Tokens that a "
        "mitigation excludes count with a log-probability of -1000.",
    ),
    "total_variation": Column("real", "the same with half the L1 distance, 0 to 1."),
    "gap": Column("real", "faithfulness of the method's score: area between LeRF and MoRF curve."),
    "comprehensiveness": Column("real", "faithfulness: mean loss without the highest scores."),
    "sufficiency": Column("real", "faithfulness: mean loss with the highest scores alone."),
    "seconds_encode": Column("real", "vision tower, run once per image and counted in each row."),
    "seconds_decide": Column("real", "the method's decisions."),
    "seconds_prefill": Column("real", "prefill, including decisions inside the language model."),
    "seconds_decode": Column("real", "decode steps."),
    "seconds_first_token": Column("real", "encode + decide + prefill."),
    "seconds_contrast": Column("real", "a mitigation's contrast branch; empty = none."),
    "seconds_total": Column("real", "all of these."),
    "prefill_share": Column(
        "real", "the prefill's arithmetic relative to keeping every token, by formula, 0 to 1."
    ),
    "kv_bytes": Column("integer", "bytes of keys and values in the cache at the end."),
    "status": Column(
        "text",
        "how close each method, and the mitigation, came to its publication in this run, one "
        "sentence per line: run as published, decision as published, run differs (and how), or "
        "stand-in (and of what).",
    ),
    "notes": Column("text", "sentences for the reader, one per line."),
    "error": Column("text", "why there is no answer; empty = there is one."),
    "again": Column(
        "yes_no", "true = a resumed sweep tries the row again (out of memory, or a faulty method)."
    ),
}

MEASURED = ("device", *(name for name in COLUMNS if name.startswith("seconds_")))
"""Columns that depend on the machine and the moment."""


def row_key(question: str, model: str, setting: Setting, asked: Mapping[str, Any]) -> str:
    """Return the content key of a row.

    Args:
        question: the question's digest.
        model: the model's identity.
        setting: what is done to the tokens.
        asked: everything else that determines the row, such as max_new_tokens.
    """
    return digest([VERSION, question, model, setting.identity(), dict(asked)])


def empty_row(key: str, asked: str, question: Question, model: str, setting: Setting) -> Row:
    """Return a row with the question and the setting, without measurements."""
    row: Row = {name: "" if c.kind == "text" else None for name, c in COLUMNS.items()}
    return row | {
        "key": key,
        "question": asked,
        "name": question.name,
        "image": question.images[0],
        "more_images": json.dumps(question.images[1:]) if len(question.images) > 1 else "",
        "frames": " ".join(f"{how}={text}" for how, text in choice_words(question.choice).items()),
        "prompt": question.prompt,
        "truth": question.truth or "",
        "kind": question.kind,
        "model": model,
        "method": setting.method,
        "options": option_text(setting.unusual),
        "mitigation": setting.mitigation,
        "mitigation_options": option_text(setting.unusual_mitigation),
        "budget": setting.budget,
    }


def images_of(row: Row) -> list[str]:
    """Return the paths of all pictures of a row's question."""
    return [row["image"], *(json.loads(row["more_images"]) if row["more_images"] else [])]


def choice_of(row: Row) -> dict[str, Any]:
    """Return which frames of a film a row is about, as arguments of `open_film`."""
    how, _, text = row["frames"].partition("=")
    return read_choice({how: text})


def option_text(options: Mapping[str, Any]) -> str:
    """Return options on one line: alpha=0.5 layer=2."""
    return " ".join(f"{name}={value}" for name, value in sorted(options.items()))


def failed(row: Row, error: TokvizError) -> Row:
    """Return the row with the reason why there is no answer."""
    return row | {"error": str(error), "again": isinstance(error, (ModelError, FaultyPlugin))}


def sort_key(row: Row) -> tuple[Any, ...]:
    """Return a sort key, with which every engine gives the same table of a sweep."""
    share = row["budget"].endswith("%")
    size = float(row["budget"].rstrip("%") or 0)
    names = ("model", "image", "prompt", "question", "method", "options", "mitigation",
             "mitigation_options")  # fmt: skip
    return (*(row[name] for name in names), share, size, row["key"])
