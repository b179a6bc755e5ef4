"""Measures the questions about one picture with every setting; all engines use this code.

The tower runs once per picture and each question is prepared once for all settings. The full model
answers first, because all other answers are compared with its answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from tokviz.capture import Capture
from tokviz.errors import ModelError, TokvizError
from tokviz.evaluation import ObjectList, same_answer
from tokviz.examine.faithfulness import Memo, Score, order_of, removal_curves
from tokviz.load_options import CHANGING_ANSWERS
from tokviz.models import VLM, load
from tokviz.models.prepared import Prepared
from tokviz.models.runs.extra_forwards import ExtraForwards
from tokviz.models.runs.measured import Measured, measure
from tokviz.models.tower.vision import Vision
from tokviz.plans import Plan
from tokviz.sweeps.films import shown
from tokviz.sweeps.judging import judge
from tokviz.sweeps.question import Question
from tokviz.sweeps.rows import Row, empty_row, failed
from tokviz.sweeps.setting import Setting
from tokviz.trace import Trace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ask:
    """One question with the settings that are not measured yet."""

    question: Question
    digest: str
    pending: tuple[tuple[str, Setting], ...]
    "(row key, setting)"

    def rows(self, model: str) -> dict[str, Row]:
        """Return key -> the row before it is measured."""
        return {k: empty_row(k, self.digest, self.question, model, s) for k, s in self.pending}


@dataclass(frozen=True)
class Unit:
    """A bounded piece of work for one worker: questions about the same pictures."""

    asks: tuple[Ask, ...]

    @property
    def settings(self) -> list[Setting]:
        """Return every setting of the unit once."""
        found: list[Setting] = []
        for ask in self.asks:
            found += [s for _, s in ask.pending if s not in found]
        return found


@dataclass(frozen=True)
class Terms:
    """The arguments that all rows of a sweep have in common."""

    max_new_tokens: int = 64
    loading: Mapping[str, Any] = field(default_factory=dict)
    "How the models are loaded: arguments of `tokviz.load`."
    faithfulness: bool = False
    "True = also test each method's score by removal; dozens of forwards per question."
    objects: tuple[str, ...] = ()
    "For CHAIR: one object per line, its synonyms after commas."

    def identity(self, kind: str) -> dict[str, Any]:
        """Return the arguments that determine the rows of a kind of question."""
        listed = {"objects": list(self.objects)} if kind == "chair" else {}
        more = {"faithfulness": True} if self.faithfulness else {}
        how = {name: self.loading[name] for name in CHANGING_ANSWERS if name in self.loading}
        return {"max_new_tokens": self.max_new_tokens, **listed, **more, **how}

    @property
    def object_list(self) -> ObjectList | None:
        """The words that count as objects."""
        return ObjectList.from_lines(self.objects) if self.objects else None


class Worker:
    """A loaded model that measures units."""

    def __init__(self, model: str, terms: Terms) -> None:
        """Load the model; raise ModelError if that fails."""
        self.name, self.terms = model, terms
        self.vlm: VLM = load(model, **terms.loading)
        info = self.vlm.info
        self.device = f"{info['device']} {info['dtype']}"
        self.objects = terms.object_list
        self.warm = False

    def measure(self, unit: Unit) -> Iterator[list[Row]]:
        """Yield the rows of each question of a unit; errors become rows, too."""
        vision: Vision | None = None
        for ask in unit.asks:
            rows = {key: row | {"device": self.device} for key, row in ask.rows(self.name).items()}
            try:
                prepared = self.prepare(ask.question)
                if vision is None:
                    vision = self.encode(prepared, unit.settings)
                yield list(self.answer(ask, prepared, vision, rows))
            except TokvizError as error:
                yield [failed(row, error) for row in rows.values()]
            except Exception as error:
                log.exception("%r failed", ask.question.name)
                yield [failed(row, mistake(error)) for row in rows.values()]

    def prepare(self, question: Question) -> Prepared:
        """Read the pictures and the prompt."""
        with self.vlm.guarded():
            return self.vlm.prepare(shown(question.images, question.choice), question.prompt)

    def encode(self, prepared: Prepared, settings: Sequence[Setting]) -> Vision:
        """Run the tower with the signals of every setting that this question allows."""
        plans: list[Plan | None] = []
        for setting in settings:
            try:
                plans.append(setting.plan(prepared.asked.layout.n))
            except TokvizError:
                continue  # the row of that setting will have the error
        with self.vlm.guarded():
            vision = self.vlm.encode(prepared, plans, Capture.nothing())
        if not self.warm:  # the first run of a process is slow and must not be in a row
            self.warm = True
            measure(self.vlm, prepared, vision, None, 2)
            return self.encode(prepared, settings)
        return vision

    def likelihood(self, prepared: Prepared) -> Score:
        """Return the log-probability of the full model's answer for sets of kept tokens."""
        limit, nothing = self.terms.max_new_tokens, Capture.nothing()
        *_, lanes = self.vlm.stream_prepared(prepared, (None,), limit, nothing, strict=True)
        trace = lanes[0].trace
        runs = ExtraForwards(self.vlm, prepared, cast(Trace, trace))
        return Memo(runs.score, prepared.asked.layout.n)

    def answer(
        self, ask: Ask, prepared: Prepared, vision: Vision, rows: dict[str, Row]
    ) -> Iterator[Row]:
        """Yield the row of every pending setting of one question."""
        n, limit = prepared.asked.layout.n, self.terms.max_new_tokens
        full = measure(self.vlm, prepared, vision, None, limit)
        likely = self.likelihood(prepared) if self.terms.faithfulness and full.ids else None
        for key, setting in ask.pending:
            row = rows[key] | {"visual_tokens": n}
            try:
                row["keep"] = setting.keep(n)
                plan = setting.plan(n)
                found = measure(self.vlm, prepared, vision, plan, limit) if plan else full
                judged = judge(ask.question, found.answer, self.objects)
                yield row | judged | outcome(found, full) | faithful(found.score, n, likely)
            except TokvizError as error:
                yield failed(row, error)
            except Exception as error:  # a plugin's mistake must not end a long sweep
                log.exception("%r failed on %r", setting, row["name"])
                yield failed(row, mistake(error))


def mistake(error: Exception) -> ModelError:
    """Return an unexpected error as a sentence; a resumed sweep tries its row again."""
    first = (str(error).strip().splitlines() or ["no message"])[0][:200].rstrip(".")
    return ModelError(
        f"{type(error).__name__}: {first}. This is a mistake in the method or in tokviz; the log "
        "has the details."
    )


def faithful(importance: np.ndarray | None, n: int, likely: Score | None) -> Row:
    """Return the faithfulness columns: removal curves in the order of a method's score.

    Normalised: 1 = all tokens, 0 = none. No columns if the method scores only some tokens.
    """
    if likely is None or importance is None or importance.shape != (n,):
        return {}
    if not np.isfinite(importance).all():
        return {}
    none, full = likely([np.zeros(0, np.int64), np.arange(n)])
    width = full - none if abs(full - none) > 1e-9 else 1.0
    curves = removal_curves(lambda kept: (likely(kept) - none) / width, order_of(importance))
    return {
        "gap": curves.gap,
        "comprehensiveness": curves.comprehensiveness,
        "sufficiency": curves.sufficiency,
    }


def outcome(found: Measured, full: Measured) -> Row:
    """Return the columns of the answer and its cost."""
    kl, variation = distance(found, full)
    seconds = {f"seconds_{name}": float(value) for name, value in found.seconds.items()}
    return {
        "tokens_left": found.visual_tokens,
        "answer": found.answer,
        "finish": found.finish,
        "same": same_answer(found.answer, full.answer),
        "kl": kl,
        "total_variation": variation,
        "prefill_share": found.prefill_share,
        "kv_bytes": found.kv_bytes,
        "status": "\n".join(found.status),
        "notes": "\n".join(found.notes),
        **seconds,
    }


def distance(found: Measured, full: Measured) -> tuple[float, float]:
    """Return mean KL (full from found, nats) and total variation of the next-token distributions.

    Two distributions can be compared if the text before them is the same: up to and including the
    first token that differs.
    """
    both = min(len(found.log_probabilities), len(full.log_probabilities))
    written = zip(found.ids, full.ids, strict=False)
    agree = next((i for i, (a, b) in enumerate(written) if a != b), both)
    ours = found.log_probabilities[: min(agree + 1, both)].astype(np.float64)
    theirs = full.log_probabilities[: len(ours)].astype(np.float64)
    p = np.exp(theirs)
    logs = np.clip(theirs, -1e3, None) - np.clip(ours, -1e3, None)
    kl = (p * logs).sum(1).mean()
    return max(float(kl), 0.0), float(np.abs(p - np.exp(ours)).sum(1).mean() / 2)
