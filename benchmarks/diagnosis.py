"""python -m benchmarks.diagnosis [--write]: how often is the flag of `tokviz.diagnose` right?

The rule is chosen on one hundred held-out scenes and measured on others, which had no part in the
choice. All questions are answered in batches, with the probability of every word, so that the flag
is known for every answer. What control images would add is looked at in full reports on the wrong
answers and on a sample of right ones, whose flags are also held against those of the batches.
Intervals are Wilson's, at 95 %. --write puts counts beside the model's weights, where reports read
them, and the page into docs/. About six minutes on one core.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tokviz
from benchmarks.batched import Spoken, answers
from benchmarks.measured_model import add_model, as_typed, facts, scenes
from benchmarks.rows import wilson
from embedded.held_out import FIRST, ask_all
from embedded.questions import Question
from tokviz.capture import Capture
from tokviz.examine.diagnosis import CARRIED, FIGURES, UNSURE, Report, claims
from tokviz.models.before.prefill_input import make_prefill_input
from tokviz.plans import Plan
from tokviz.text.words import word_spans

DOCS = Path(__file__).parents[1] / "docs/diagnosis.md"
CHOOSING = range(FIRST, FIRST + 100)
"""Scenes on which the rule was chosen."""
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
CHUNK, NEW_TOKENS = 25, 96
ROUNDING = 1e-4
"""Probabilities from a batch and from a single run may differ by this."""


@dataclass(frozen=True)
class Marked:
    """One answer in a batch."""

    scene: int
    question: Question
    right: bool
    least: float
    "Probability of the least probable word that claims something; 1 without such a word."


def least_sure(said: Spoken) -> float:
    """Return the smallest probability of a word that claims something."""
    spans = word_spans(said.pieces)
    words = ["".join(said.pieces[a:b]).strip() for a, b in spans]
    chances = [float(np.prod(said.probabilities[a:b], dtype=np.float64)) for a, b in spans]
    return min((p for p, word in zip(chances, words, strict=True) if claims(word)), default=1.0)


def mark(vlm: Any, numbers: Sequence[int]) -> Iterator[Marked]:
    """Ask every scene one question of each kind."""
    for start in range(0, len(numbers), CHUNK):
        part = numbers[start : start + CHUNK]
        views = scenes(vlm, len(part), part[0])
        rows, asked = ask_all(views)
        asked = [as_typed(one) for one in asked]
        with vlm.guarded():
            prefill_inputs = []
            for row, question in zip(rows, asked, strict=True):
                prepared = vlm.prepare(views[row].image, question.text)
                vision = vlm.encode(prepared, [None], Capture.nothing())
                prefill_inputs.append(
                    make_prefill_input(vlm.family, vlm.model, prepared, vision, Plan(()))
                )
            said = answers(vlm, prefill_inputs, NEW_TOKENS)
        for row, question, one in zip(rows, asked, said, strict=True):
            right = one.text.strip() == question.answer
            yield Marked(views[row].seed, question, right, least_sure(one))


def counts(marked: Sequence[Marked], threshold: float) -> dict[str, int]:
    """Return what a threshold flags: caught (wrong) and alarms (right)."""
    flagged = [one for one in marked if one.least < threshold]
    caught = sum(not one.right for one in flagged)
    return {"caught": caught, "alarms": len(flagged) - caught}


def unseen(report: Report) -> bool:
    """Return whether a word with a claim is as probable with every control as with the image."""
    return any(
        claims(word.text) and max(word.dependence.values()) < CARRIED for word in report.words
    )


def controls(vlm: Any, marked: Sequence[Marked], sample: int) -> dict[str, dict[str, int]]:
    """Return what full reports say of the wrong answers and of a sample of right ones.

    Raises:
        RuntimeError: a report's flag is not the one that the batch gave.
    """
    right = [one for one in marked if one.right]
    groups = {
        "wrong": [one for one in marked if not one.right],
        "right": random.Random(0).sample(right, min(sample, len(right))),
    }
    found = {}
    for name, group in groups.items():
        flags = []
        for one in group:
            (view,) = scenes(vlm, 1, one.scene)
            report = tokviz.diagnose(vlm, view.image, one.question.text)
            differ = bool(report.flagged) != (one.least < UNSURE)
            if differ and abs(one.least - UNSURE) > ROUNDING:
                raise RuntimeError(f"scene {one.scene}, {one.question.text!r}: flags differ.")
            flags.append(unseen(report))
        found[name] = {"reports": len(flags), "unseen": sum(flags)}
    return found


def figures(vlm: Any, numbers: Sequence[int], sample: int) -> dict[str, Any]:
    """Return everything that was counted on some scenes, ready for JSON."""
    marked = list(mark(vlm, numbers))
    return {
        "scenes": [numbers[0], numbers[-1]],
        "answers": len(marked),
        "wrong": sum(not one.right for one in marked),
        **counts(marked, UNSURE),
        "thresholds": {str(t): counts(marked, t) for t in THRESHOLDS},
        "controls": controls(vlm, marked, sample),
    }


def f1(found: dict[str, int], wrong: int) -> float:
    """Return the harmonic mean of precision and recall, 0 where nothing wrong was caught."""
    return 2 * found["caught"] / (found["caught"] + found["alarms"] + wrong)


def best_threshold(choosing: dict[str, Any]) -> float:
    """Return the threshold with the best F1 on the choosing scenes; of equal ones the lowest."""
    scores = {float(t): f1(c, choosing["wrong"]) for t, c in choosing["thresholds"].items()}
    return max(sorted(scores), key=lambda t: scores[t])


def share(hits: int, count: int) -> str:
    """Return a share with its interval."""
    if not count:
        return "none"
    low, high = wilson(hits, count)
    return f"{hits} of {count}: {hits / count:.0%} ({low:.0%} to {high:.0%})"


def threshold_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield one row for each threshold."""
    right = found["answers"] - found["wrong"]
    for threshold, one in found["thresholds"].items():
        name = f"**{threshold}, the flag**" if float(threshold) == UNSURE else threshold
        caught, alarms = one["caught"], one["alarms"]
        yield (
            f"| {name} | {share(caught, caught + alarms)} | {share(caught, found['wrong'])} "
            f"| {share(alarms, right)} | {f1(one, found['wrong']):.2f} |"
        )


def section(title: str, found: dict[str, Any]) -> list[str]:
    """Return one part of the page."""
    first, last = found["scenes"]
    wrong, right = found["controls"]["wrong"], found["controls"]["right"]
    return [
        f"## {title}",
        "",
        f"Scenes {first} to {last}: {found['answers']} answers, {found['wrong']} of them wrong",
        f"({found['wrong'] / found['answers']:.1%}).",
        "",
        "| Flagged when a word's probability is under | Precision: flagged answers that are wrong "
        "| Recall: wrong answers flagged | Right answers flagged | F1 |",
        "| --- | ---: | ---: | ---: | ---: |",
        *threshold_lines(found),
        "",
        f"A word that claims something and is made less than {CARRIED} bits more probable by the",
        f"image than by every control stands in {share(wrong['unseen'], wrong['reports'])} of the",
        f"wrong answers and in {share(right['unseen'], right['reports'])} of a sample of right",
        "ones.",
        "",
    ]


def page(measured: dict[str, Any]) -> str:
    """Return docs/diagnosis.md from the committed counts."""
    choosing, held = measured["choosing"], measured["held_out"]
    return "\n".join(
        [
            "# How often is the flag of `tokviz.diagnose` right?",
            "",
            "`python -m benchmarks.diagnosis --write` writes this page, and the counts that every",
            f"report and the hallucination desk quote. Measured on {measured['model']};",
            "on another model it has to be measured again. An answer counts as flagged when one of",
            "its words is. Brackets are 95 % intervals.",
            "",
            "The rule: a word that claims something (no article, no full stop) is flagged when its",
            f"probability is under {UNSURE}. That threshold has the best F1 on the choosing scenes",
            "(of equal ones the lowest was taken); the held-out scenes had no part in the choice.",
            "What control images say is shown and does not flag: right answers hold words too",
            "(the second half of a place) that the model would have said anyway.",
            "",
            *section("Held-out scenes", held),
            *section("The scenes on which the rule was chosen", choosing),
        ]
    )


def main() -> None:
    """Print the page; with --write put counts and page into the repository."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description=__doc__)
    add_model(parser)
    parser.add_argument("--scenes", type=int, default=500, help="held-out scenes (default: 500)")
    parser.add_argument("--sample", type=int, default=60, help="right answers to report on")
    parser.add_argument("--write", action="store_true", help="write the page and the counts")
    arguments = parser.parse_args()
    vlm = tokviz.load(arguments.model)
    first = CHOOSING[-1] + 1
    measured = {
        "model": str(facts(vlm)),
        "unsure": UNSURE,
        "choosing": figures(vlm, CHOOSING, arguments.sample),
        "held_out": figures(vlm, range(first, first + arguments.scenes), arguments.sample),
    }
    print(page(measured))
    if best_threshold(measured["choosing"]) != UNSURE:
        raise SystemExit(f"UNSURE is {UNSURE}, the choosing scenes say otherwise: see the F1.")
    if arguments.write:
        FIGURES.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        DOCS.write_text(page(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
