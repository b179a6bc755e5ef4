"""POPE-style scores of every mitigation on the embedded model, with all visual tokens and with few.

``python -m benchmarks.mitigations [--scenes N] [--write]`` asks about held-out scenes whether a
thing is there: one that is, and one that is not, chosen as POPE's three splits do. --write puts
the table into docs/mitigations.md. About eight minutes on one core.
"""

import argparse
from collections import defaultdict
from dataclasses import astuple
from pathlib import Path

import numpy as np

import tokviz
from benchmarks.table import machine
from embedded.evaluate import held_out
from embedded.things import NAMES
from tokviz.capture import Capture
from tokviz.catalog import POLICIES, marked
from tokviz.evaluation import SPLITS, PopeScores, Question, agreement, ask_about
from tokviz.mitigation import MITIGATIONS
from tokviz.plans import Plan, plan

PAGE = Path(__file__).parents[1] / "docs/mitigations.md"
TEMPLATE = "is there a {} in the image ?"
METHOD, KEEP = "fastervlm", 36
SCENES, RESAMPLES, LANES = 80, 1000, 8
MEASURED = ("accuracy", "f1", "yes_ratio")
EDITS = [name for name, entry in MITIGATIONS.items() if "diagnostic" not in entry.kinds]

Answers = dict[str, dict[tuple[str, str], str]]
"""Setting -> (image, question) -> first word; settings are "plain", "pai", "pai fastervlm" ..."""


def settings() -> dict[str, Plan | None]:
    """Return every way of answering that is compared."""
    found: dict[str, Plan | None] = {}
    for suffix, base in (("", Plan()), (f" {METHOD}", plan(METHOD, KEEP))):
        found["plain" + suffix] = base
        found |= {name + suffix: base.mitigated(name) for name in EDITS}
    return found


def asked(count: int) -> tuple[dict[str, list[Question]], dict[str, object]]:
    """Return the questions of each split about held-out scenes, and their pictures."""
    scenes = held_out(count)
    objects = {str(s.seed): {thing.name for thing in s.things} for s in scenes}
    questions = {
        split: ask_about(objects, split, per_image=1, template=TEMPLATE, names=NAMES)
        for split in SPLITS
    }
    return questions, {str(s.seed): s.image for s in scenes}


def answer_all(questions: dict[str, list[Question]], images: dict) -> tuple[Answers, dict]:
    """Ask every question once in every setting; the first token is yes or no.

    Returns:
        The answers, and by setting the sentence of a mitigation that cannot run here.
    """
    vlm = tokviz.load("embedded")
    answers: Answers = defaultdict(dict)
    refused: dict[str, str] = {}
    plans = settings()
    for image, text in sorted({(q.image, q.text) for one in questions.values() for q in one}):
        prepared = vlm.prepare(images[image], text)
        names = [name for name in plans if name not in refused]
        for some in (names[i : i + LANES] for i in range(0, len(names), LANES)):
            *_, lanes = vlm.stream_prepared(
                prepared, [plans[name] for name in some], 1, Capture.nothing()
            )
            for name, lane in zip(some, lanes, strict=True):
                if lane.error:
                    refused[name] = lane.error
                else:
                    answers[name][image, text] = lane.text
    return answers, refused


def scored(questions: list[Question], answers: dict[tuple[str, str], str]) -> PopeScores:
    """Score one setting on some questions."""
    return agreement([q.label for q in questions], [answers[q.image, q.text] for q in questions])


def by_scene(questions: list[Question]) -> list[list[Question]]:
    """Return the questions of each scene."""
    groups = defaultdict(list)
    for question in questions:
        groups[question.image].append(question)
    return list(groups.values())


def resampled(groups: list[list[Question]], answers: dict, picks: np.ndarray) -> list[PopeScores]:
    """Score one setting on resampled scenes, `picks` [resamples, scenes] of the groups."""
    each = np.array([astuple(scored(group, answers)) for group in groups])
    return [PopeScores(*each[pick].sum(0).tolist()) for pick in picks]


def interval(values: list[float]) -> str:
    """Return the middle 95 % of resampled values, in per cent."""
    low, high = np.quantile(values, [0.025, 0.975]) * 100
    return f"{low:.1f} to {high:.1f}"


def lines(questions: dict[str, list[Question]], answers: Answers, refused: dict) -> list[str]:
    """Return the table's lines: one per split and setting, resampled over whole scenes."""
    rng = np.random.default_rng(0)
    found = []
    for split, some in questions.items():
        groups = by_scene(some)
        picks = rng.integers(0, len(groups), (RESAMPLES, len(groups)))
        draws = {name: resampled(groups, said, picks) for name, said in answers.items()}
        for name in settings():
            if name in refused:
                continue
            base = f"plain {METHOD}" if name.endswith(METHOD) else "plain"
            whole, plain = scored(some, answers[name]), scored(some, answers[base])
            cells = [
                f"{100 * getattr(whole, m):.1f} ({interval([getattr(d, m) for d in draws[name]])})"
                for m in MEASURED
            ]
            gains = [a.accuracy - b.accuracy for a, b in zip(draws[name], draws[base], strict=True)]
            gain = f"{100 * (whole.accuracy - plain.accuracy):+.1f} ({interval(gains)})"
            who, _, method = name.partition(" ")
            policy = POLICIES[tokviz.METHODS[METHOD].positions]
            tokens = f"{KEEP}, FasterVLM, position ids {policy}" if method else "all 144"
            who = who if who == "plain" else marked(who)
            cells.append("" if who == "plain" else gain)
            found.append(f"| {split} | {tokens} | {who} | {' | '.join(cells)} |")
    return found


def page(questions: dict[str, list[Question]], answers: Answers, refused: dict) -> str:
    """Return docs/mitigations.md."""
    sentences = sorted({f"`{name.split()[0]}`: {why}" for name, why in refused.items()})
    each = len(next(iter(questions.values())))
    return "\n".join(
        [
            "# Mitigations, measured on the embedded model",
            "",
            f"`python -m benchmarks.mitigations --write` writes this page. {each} questions per",
            f"split about {each // 2} held-out scenes (half of the things asked for are there),",
            "POPE's official reading of the answer, options at their defaults, greedy decoding. In",
            "brackets the middle 95 % of 1,000 resamplings of whole scenes. The gain is over the",
            "plain answer with the same tokens, resampled in pairs; an interval around 0 means",
            "that nothing was shown. Splits share the questions about things that are there.",
            "",
            "| Split | Tokens | Mitigation | Accuracy, % | F1, % | Yes, % | Gain in accuracy |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *lines(questions, answers, refused),
            "",
            *(f"Left out, {sentence}\n" for sentence in sentences),
            "`opera` measures and changes nothing, so it has no line. `m3id` does nothing where",
            "the first word is surer than its alpha, which a yes or no mostly is.",
            "",
            f"Machine: {machine()}.",
            "",
        ]
    )


def main() -> None:
    """Print the page; with --write put it into docs/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mitigations", description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES, help=f"default: {SCENES}")
    parser.add_argument("--write", action="store_true", help="write docs/mitigations.md")
    arguments = parser.parse_args()
    questions, images = asked(arguments.scenes)
    text = page(questions, *answer_all(questions, images))
    print(text)
    if arguments.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
