"""POPE-style scores of every mitigation, with all visual tokens, or with a quarter of them too.

``python -m benchmarks.mitigations [--scenes N] [--write]`` asks about held-out scenes whether a
thing is there: one that is, and one that is not, chosen as POPE's splits do or as the missing
partner of a thing that is there, to which a model says yes out of habit. --write puts the table
into docs/mitigations.md, and which mitigations gain. About twenty minutes on one core.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tokviz
from benchmarks.measured_model import add_model, facts, scenes
from benchmarks.table import machine
from embedded.questions import missing_partners
from embedded.things import NAMES
from embedded.things import PARTNER as COMPANION
from embedded.world import Scene
from tokviz.capture import Capture
from tokviz.catalog import POLICIES, marked
from tokviz.evaluation import SPLITS, PopeScores, Question, agreement, ask_about
from tokviz.mitigation import MITIGATIONS
from tokviz.plans import Plan, plan

PAGE = Path(__file__).parents[1] / "docs/mitigations.md"
TEMPLATE = "Is there a {} in the image?"
METHOD = "fastervlm"
PARTNER = "missing partner"
"""The split that asks for the usual companion of a thing, where it is absent."""
ASKED = (PARTNER,)
"""Splits that are asked by default: every question costs a dozen prefills."""
SCENES, RESAMPLES, LANES = 75, 1000, 8
FARTHEST = 20
"""Scenes that are looked at for each one in which a partner is missing, at most."""
GAIN = 0.02
"""The least gain in accuracy that is called one."""
MEASURED = ("accuracy", "f1", "yes_ratio")
EDITS = [name for name, entry in MITIGATIONS.items() if "diagnostic" not in entry.kinds]

Answers = dict[str, dict[tuple[str, str], str]]
"""Setting -> (image, question) -> first word; settings are "plain", "pai", "pai fastervlm" ..."""


class Line(NamedTuple):
    """One setting on one split."""

    split: str
    setting: str
    cells: list[str]
    gain: float
    "Accuracy over that of the plain answer with the same tokens."
    low: float
    high: float
    "Its middle 95 %."


def settings(keep: int | None) -> dict[str, Plan]:
    """Return every way of answering that is compared; `keep` None = with all tokens only."""
    found: dict[str, Plan] = {}
    bases = {"": Plan()} | ({f" {METHOD}": plan(METHOD, keep)} if keep else {})
    for suffix, base in bases.items():
        found["plain" + suffix] = base
        found |= {name + suffix: base.mitigated(name) for name in EDITS}
    return found


def asked(
    vlm: Any, count: int, splits: Sequence[str] = SPLITS
) -> tuple[dict[str, list[Question]], dict[str, object]]:
    """Return the questions of each split about held-out scenes, and their pictures."""
    views, alone = scenes(vlm, count), []
    objects = {str(s.seed): {thing.name for thing in s.things} for s in views}
    if PARTNER in splits:
        alone = [v for v in scenes(vlm, FARTHEST * count) if missing_partners(v)][:count]
    questions = {
        split: about_partners(alone)
        if split == PARTNER
        else ask_about(objects, split, per_image=1, template=TEMPLATE, names=NAMES)
        for split in splits
    }
    return questions, {str(s.seed): s.image for s in (*views, *alone)}


def about_partners(views: Sequence[Scene]) -> list[Question]:
    """Ask for a missing partner, and for the thing that it would come with, which is there."""
    found: list[Question] = []
    for view in views:
        absent = random.Random(view.seed).choice(missing_partners(view))
        there = next(t.name for t in view.things if COMPANION.get(t.name) == absent)
        for name, label in ((there, "yes"), (absent, "no")):
            number = len(found) + 1
            found.append(Question(number, str(view.seed), TEMPLATE.format(name), label))
    return found


def answer_all(
    vlm: Any, questions: dict[str, list[Question]], images: dict, plans: dict[str, Plan]
) -> tuple[Answers, dict[str, str]]:
    """Ask every question once in every setting; the first token is yes or no.

    Returns:
        The answers, and by setting the sentence of a mitigation that cannot run here.
    """
    answers: Answers = defaultdict(dict)
    refused: dict[str, str] = {}
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


def lines(questions: dict[str, list[Question]], answers: Answers) -> list[Line]:
    """Return one line per split and setting that ran, resampled over whole scenes in pairs."""
    rng = np.random.default_rng(0)
    found = []
    for split, some in questions.items():
        groups = by_scene(some)
        picks = rng.integers(0, len(groups), (RESAMPLES, len(groups)))
        draws = {name: resampled(groups, said, picks) for name, said in answers.items()}
        for name in answers:
            base = f"plain {METHOD}" if name.endswith(METHOD) else "plain"
            whole, plain = scored(some, answers[name]), scored(some, answers[base])
            cells = [
                f"{100 * getattr(whole, m):.1f} ({interval([getattr(d, m) for d in draws[name]])})"
                for m in MEASURED
            ]
            gains = [a.accuracy - b.accuracy for a, b in zip(draws[name], draws[base], strict=True)]
            low, high = np.quantile(gains, [0.025, 0.975])
            found.append(
                Line(split, name, cells, whole.accuracy - plain.accuracy, float(low), float(high))
            )
    return found


def row(line: Line, n: int, keep: int) -> str:
    """Return a line of the table."""
    who, _, method = line.setting.partition(" ")
    policy = POLICIES[tokviz.METHODS[METHOD].positions]
    tokens = f"{keep}, FasterVLM, position ids {policy}" if method else f"all {n}"
    who = who if who == "plain" else marked(who)
    gain = "" if who == "plain" else points(line)
    return f"| {line.split} | {tokens} | {who} | {' | '.join([*line.cells, gain])} |"


def points(line: Line) -> str:
    """Return a gain with its interval, in points."""
    return f"{100 * line.gain:+.1f} ({100 * line.low:.1f} to {100 * line.high:.1f})"


def verdict(found: Sequence[Line], split: str) -> str:
    """Say which mitigations gain on a split with all tokens: enough, and not by chance."""
    edits = [one for one in found if one.split == split and one.setting in EDITS]
    gaining = [one for one in edits if one.gain >= GAIN and one.low > 0]
    least = f"at least {100 * GAIN:.0f} points with an interval above 0"
    if not gaining:
        return f"{split}: none of {len(edits)} mitigations gains {least}."
    gaining.sort(key=lambda one: -one.gain)
    told = ", ".join(f"{marked(one.setting)} {points(one)}" for one in gaining)
    return f"{split}: {len(gaining)} of {len(edits)} mitigations gain {least}: {told}."


def page(vlm: Any, count: int, splits: Sequence[str] = ASKED, few: bool = False) -> str:
    """Measure; return docs/mitigations.md."""
    model = facts(vlm)
    keep = max(model.tokens // 4, 1)
    questions, images = asked(vlm, count, splits)
    answers, refused = answer_all(vlm, questions, images, settings(keep if few else None))
    found = lines(questions, answers)
    sentences = sorted({f"{marked(name.split()[0])}: {why}" for name, why in refused.items()})
    sizes = ", ".join(f"{split} {len(some)}" for split, some in questions.items())
    return "\n".join(
        [
            "# Mitigations, measured on the embedded model",
            "",
            f"`python -m benchmarks.mitigations --write` writes this page. Measured on {model}:",
            f"questions about {count} held-out scenes a split ({sizes}); half of the things are",
            "there. *Missing partner* asks for the usual companion of a thing that is there alone,",
            "and for that thing.",
            "POPE's official reading of the answer, options at their defaults, greedy decoding. In",
            f"brackets the middle 95 % of {RESAMPLES:,} resamplings of whole scenes. The gain is",
            "over the plain answer with the same tokens, resampled in pairs; an interval around 0",
            "means that nothing was shown.",
            "",
            "With all tokens:",
            "",
            *(f"- {verdict(found, split)}" for split in questions),
            "",
            "| Split | Tokens | Mitigation | Accuracy, % | F1, % | Yes, % | Gain in accuracy |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(row(line, model.tokens, keep) for line in found),
            "",
            *(f"Left out, {sentence}\n" for sentence in sentences),
            "`opera` measures and changes nothing, so it has no line. `m3id` (stand-in) does",
            "nothing where the first word is surer than its alpha, which a yes or no mostly is.",
            "",
            f"Machine: {machine()}.",
            "",
        ]
    )


def main() -> None:
    """Print the page; with --write put it into docs/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mitigations", description=__doc__)
    add_model(parser)
    parser.add_argument("--scenes", type=int, default=SCENES, help=f"default: {SCENES}")
    parser.add_argument(
        "--splits",
        nargs="*",
        choices=[*SPLITS, PARTNER],
        default=ASKED,
        help="default: %(default)s",
    )
    parser.add_argument("--few", action="store_true", help="with a quarter of the tokens as well")
    parser.add_argument("--write", action="store_true", help="write docs/mitigations.md")
    arguments = parser.parse_args()
    text = page(tokviz.load(arguments.model), arguments.scenes, arguments.splits, arguments.few)
    print(text)
    if arguments.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
