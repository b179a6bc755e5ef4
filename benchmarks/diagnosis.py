"""python -m benchmarks.diagnosis [--write]: how often is the flag of `tokviz.diagnose` right?

Held-out scenes, one question of each kind. All questions are answered at once first; then every
question that was answered wrongly is diagnosed, and as many drawn from the right ones as asked for.
An answer counts as flagged when one of its words is. Precision follows from both rates and from how
many answers are wrong. Intervals are Wilson's, at 95 %.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import tokviz
from embedded.answering import Answerer
from embedded.evaluate import FIRST, ask_all, held_out
from tokviz.diagnosis import CARRIED, UNSURE, Report, Word

DOCS = Path(__file__).parents[1] / "docs/diagnosis.md"
RULES: dict[str, Callable[[Word], bool]] = {
    f"the flag: unsure (probability under {UNSURE})": lambda word: word.flagged,
    f"no control matters by {CARRIED} bits": lambda word: carried(word),
    "either": lambda word: word.flagged or carried(word),
}


def carried(word: Word) -> bool:
    """Return True for a word with a claim that every control makes as probable as the image."""
    return word.reason != "claims nothing" and max(word.dependence.values()) < CARRIED


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share; 0 to 1 without any trial."""
    if not count:
        return 0.0, 1.0
    share, extra = hits / count, z * z / count
    middle = (share + extra / 2) / (1 + extra)
    half = z * np.sqrt(share * (1 - share) / count + extra / 4 / count) / (1 + extra)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def precision(wrong: np.ndarray, right: np.ndarray, base: float) -> float:
    """Return the chance that a flagged answer is wrong.

    Args:
        wrong: bool, which of the wrong answers were flagged.
        right: bool, which of the sampled right answers were flagged.
        base: share of all answers that are wrong.
    """
    hits, alarms = base * wrong.mean(), (1 - base) * right.mean()
    return float(hits / (hits + alarms)) if hits + alarms > 0 else float("nan")


def interval(wrong: np.ndarray, right: np.ndarray, base: float) -> tuple[float, float]:
    """Return a cautious interval of the precision, from the ends of both rates' intervals."""
    caught, alarms = (wilson(int(group.sum()), len(group)) for group in (wrong, right))
    ends = zip(caught, reversed(alarms), strict=True)
    low, high = (base * c / max(base * c + (1 - base) * a, 1e-12) for c, a in ends)
    return float(low), float(high)


def reports(scenes: int, sample: int) -> tuple[list[Report], list[Report], int]:
    """Return the reports on wrong answers, those on a sample of right ones, and all answers."""
    views = held_out(scenes)
    rows, asked = ask_all(views)
    model = Answerer.load()
    features = model.look([view.image for view in views]).features
    said = model.answer(features[rows], [question.text for question in asked])
    marks = [answer == q.answer for answer, q in zip(said, asked, strict=True)]
    wrong = [i for i, mark in enumerate(marks) if not mark]
    right = random.Random(0).sample([i for i, mark in enumerate(marks) if mark], sample)
    vlm = tokviz.load("embedded")
    found = [
        [tokviz.diagnose(vlm, views[rows[i]].image, asked[i].text) for i in group]
        for group in (wrong, sorted(right))
    ]
    return found[0], found[1], len(asked)


def table(wrong: Sequence[Report], right: Sequence[Report], total: int, scenes: int) -> str:
    """Return the Markdown text."""
    base = len(wrong) / total
    lines = [
        f"{total} questions about {scenes} held-out scenes (from {FIRST}); {len(wrong)} answers "
        f"are wrong ({base:.1%}). All of those and {len(right)} of the right ones were diagnosed.",
        "",
        "| Rule | Recall: wrong answers flagged | Right answers flagged | Precision |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, rule in RULES.items():
        bad, good = (
            np.array([any(map(rule, report.words)) for report in group]) for group in (wrong, right)
        )
        lines.append(line(name, bad, good, base))
    return "\n".join(lines)


def line(name: str, bad: np.ndarray, good: np.ndarray, base: float) -> str:
    """Return one row: which wrong (bool) and which right answers a rule flagged."""
    cells = [
        f"{group.mean():.0%} ({low:.0%} to {high:.0%})"
        for group in (bad, good)
        for low, high in [wilson(int(group.sum()), len(group))]
    ]
    low, high = interval(bad, good, base)
    cells.append(f"{precision(bad, good, base):.0%} ({low:.0%} to {high:.0%})")
    return f"| {name} | {' | '.join(cells)} |"


INTRO = """# How often is the flag of `tokviz.diagnose` right?

Written by `python -m benchmarks.diagnosis --write`. Intervals are 95 %; those of the precision
put the worst ends of both rates together. Embedded model only. The flag was chosen among these
rules on these very scenes, so its own row flatters it. A word that no control changes is not
flagged: the model often says right words (an article, the second half of a place) that it would
have said anyway.

"""


def main() -> None:
    """Print the table; with --write also put it into docs/diagnosis.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description=__doc__)
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--sample", type=int, default=60, help="right answers to diagnose")
    parser.add_argument("--write", action="store_true", help="write docs/diagnosis.md")
    arguments = parser.parse_args()
    wrong, right, total = reports(arguments.scenes, arguments.sample)
    text = table(wrong, right, total, arguments.scenes)
    print(text)
    if arguments.write:
        DOCS.write_text(INTRO + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
