"""python -m benchmarks.diagnosis [--write]: how often is the flag of `tokviz.diagnose` right?

Every question about a held-out scene gets a full report, and questions about a missing partner are
among them. The rule is chosen on the first scenes and measured on the others, beside every single
signal at the threshold that was best on the first scenes. A finished scene is written at once
(docs/diagnosis.jsonl), and a second call goes on where the first one stopped. Intervals are
Wilson's, at 95 %. --write puts counts beside the model's weights, where reports read them, and the
page into docs/. About three seconds per question on one core.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import tokviz
from benchmarks.measured_model import Facts, add_model, as_typed, facts, scenes
from benchmarks.rows import wilson
from embedded.held_out import FIRST, ask_all
from embedded.questions import Question, ask_existence, missing_partners
from embedded.world import Scene
from tokviz.errors import MissingSignal
from tokviz.examine.diagnosis import FIGURES, RULE, Report, Rule, claims, reason_of
from tokviz.text.lines import lines_of

DOCS = Path(__file__).parents[1] / "docs/diagnosis.md"
ROWS = DOCS.with_suffix(".jsonl")
CHOOSING = range(FIRST, FIRST + 60)
"""Scenes on which the rule is chosen."""
HELD_OUT = 80
UNSURE = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SURE = (0.9, 0.95, 0.99, 1.01)
CARRIED = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""The values of a rule's three thresholds that are tried."""


class Seen(NamedTuple):
    """A word of an answer that claims something."""

    text: str
    probability: float
    entropy: float
    gain: dict[str, float]
    "Control -> bits."
    area: float
    "Share of the visual tokens that hold 85 % of its Token Activation Map."


@dataclass(frozen=True)
class Marked:
    """One answer with the evidence on its words."""

    scene: int
    kind: str
    question: str
    truth: str
    answer: str
    words: tuple[Seen, ...]

    @property
    def right(self) -> bool:
        """Whether the answer is exactly the right one."""
        return self.answer.strip() == self.truth

    def flagged(self, rule: Rule) -> bool:
        """Return whether a rule flags one of its words."""
        return any(reason_of(w.text, w.probability, w.gain, rule)[0] for w in self.words)


SIGNALS: dict[str, Callable[[Seen], float]] = {
    "probability": lambda word: -word.probability,
    "entropy": lambda word: word.entropy,
    "image dependence, over no picture": lambda word: -word.gain["removed"],
    "image dependence, over the best control": lambda word: -min(word.gain.values()),
    "image dependence, over every control": lambda word: -max(word.gain.values()),
    "spread of the Token Activation Map": lambda word: word.area,
}
"""Name of a single signal -> how suspicious it finds a word."""


def asked_of(view: Scene) -> list[tuple[str, Question]]:
    """Ask a scene one question of each kind, and for a missing partner; gives kinds as well."""
    asked = [(one.kind, one) for one in ask_all([view])[1]]
    if missing := missing_partners(view):
        rng = random.Random(view.seed)
        asked.append(("missing partner", ask_existence(view, rng, rng.choice(missing))))
    return [(kind, as_typed(one)) for kind, one in asked]


def look(vlm: Any, number: int) -> list[Marked]:
    """Return full reports on the questions about a scene, as far as there is an answer."""
    (view,) = scenes(vlm, 1, number)
    found = []
    for kind, question in asked_of(view):
        try:
            report = tokviz.diagnose(vlm, view.image, question.text)
        except MissingSignal:
            continue
        words = seen(report)
        found.append(Marked(number, kind, question.text, question.answer, report.answer, words))
    return found


def seen(report: Report) -> tuple[Seen, ...]:
    """Return the words of a report that claim something."""
    return tuple(
        Seen(
            word.text,
            round(word.probability, 4),
            round(word.entropy, 4),
            word.dependence,
            round(word.area, 4),
        )
        for word in report.words
        if claims(word.text)
    )


def read(path: Path = ROWS) -> tuple[Facts | None, list[Marked]]:
    """Return the model of a file of rows, and its rows; None and no rows without the file."""
    if not path.is_file():
        return None, []
    first, *lines = (json.loads(line) for line in lines_of(path.read_text(encoding="utf-8")))
    rows = [Marked(**line | {"words": tuple(Seen(*w) for w in line["words"])}) for line in lines]
    return Facts(**first["model"]), rows


def collect(vlm: Any, numbers: Sequence[int], path: Path = ROWS) -> list[Marked]:
    """Report on every scene that is not in the file yet, and return all rows.

    Raises:
        SystemExit: the file holds rows of another model.
    """
    model = facts(vlm)
    there, rows = read(path)
    if there is None:
        path.write_text(json.dumps({"model": asdict(model)}) + "\n", encoding="utf-8")
    elif there != model:
        raise SystemExit(f"{path.name} holds rows of {there}, now it is {model}: move it away.")
    done = {row.scene for row in rows}
    for number in numbers:
        if number not in done:
            found = look(vlm, number)
            lines = [
                json.dumps(asdict(row) | {"words": [tuple(w) for w in row.words]}) for row in found
            ]
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
    return read(path)[1]


def counts(rows: Sequence[Marked], flags: Sequence[bool]) -> dict[str, int]:
    """Return what was flagged: caught (wrong) and alarms (right)."""
    caught = sum(flag and not row.right for row, flag in zip(rows, flags, strict=True))
    return {"caught": caught, "alarms": sum(flags) - caught}


def f1(found: dict[str, int], wrong: int) -> float:
    """Return the harmonic mean of precision and recall, 0 where nothing wrong was caught."""
    return 2 * found["caught"] / (found["caught"] + found["alarms"] + wrong)


def quality(rows: Sequence[Marked], flags: Sequence[bool]) -> tuple[float, float]:
    """Return what a choice goes by: the smaller of precision and recall, then F1."""
    found, wrong = counts(rows, flags), sum(not row.right for row in rows)
    most = max(found["caught"] + found["alarms"], wrong, 1)
    return found["caught"] / most, f1(found, wrong)


def suspicion(row: Marked, signal: Callable[[Seen], float]) -> float:
    """Return how suspicious a signal finds the most suspicious word of an answer."""
    return max(map(signal, row.words), default=-float("inf"))


def best_threshold(rows: Sequence[Marked], signal: Callable[[Seen], float]) -> float:
    """Return the suspicion from which on a flag is best; of equal ones the highest."""
    values = [suspicion(row, signal) for row in rows]
    return max(
        sorted(set(values), reverse=True),
        key=lambda least: quality(rows, [value >= least for value in values]),
    )


def best_rule(rows: Sequence[Marked]) -> Rule:
    """Return the best rule of all that are tried; of equal ones the first."""
    tried = [Rule(*values) for values in product(UNSURE, SURE, CARRIED)]
    return max(tried, key=lambda rule: quality(rows, [row.flagged(rule) for row in rows]))


def figures(rows: Sequence[Marked], thresholds: dict[str, float]) -> dict[str, Any]:
    """Return everything that is counted on some scenes, ready for JSON."""
    flags = [row.flagged(RULE) for row in rows]
    kinds = {}
    for kind in dict.fromkeys(row.kind for row in rows):
        some = [(row, flag) for row, flag in zip(rows, flags, strict=True) if row.kind == kind]
        kinds[kind] = {
            "answers": len(some),
            "wrong": sum(not row.right for row, _ in some),
            **counts(*zip(*some, strict=True)),
        }
    return {
        "scenes": [rows[0].scene, rows[-1].scene],
        "answers": len(rows),
        "wrong": sum(not row.right for row in rows),
        **counts(rows, flags),
        "signals": {
            name: counts(rows, [suspicion(row, SIGNALS[name]) >= least for row in rows])
            for name, least in thresholds.items()
        },
        "kinds": kinds,
    }


def measured(model: Facts, rows: Sequence[Marked]) -> dict[str, Any]:
    """Return the counts of both sets of scenes."""
    choosing = [row for row in rows if row.scene in CHOOSING]
    held = [row for row in rows if row.scene > CHOOSING[-1]]
    thresholds = {name: best_threshold(choosing, signal) for name, signal in SIGNALS.items()}
    return {
        "model": str(model),
        "rule": RULE._asdict(),
        "choosing": figures(choosing, thresholds),
        "held_out": figures(held, thresholds),
    }


def share(hits: int, count: int) -> str:
    """Return a share with its interval."""
    if not count:
        return "none"
    low, high = wilson(hits, count)
    return f"{hits} of {count}: {hits / count:.0%} ({low:.0%} to {high:.0%})"


def signal_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield one row for the flag and one for each single signal."""
    wrong = found["wrong"]
    for name, one in {"**the flag**": found, **found["signals"]}.items():
        caught, alarms = one["caught"], one["alarms"]
        yield (
            f"| {name} | {share(caught, caught + alarms)} | {share(caught, wrong)} "
            f"| {share(alarms, found['answers'] - wrong)} | {f1(one, wrong):.2f} |"
        )


def kind_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield one row for each kind of question."""
    for kind, one in found["kinds"].items():
        yield f"| {kind} | {one['answers']} | {one['wrong']} | {one['caught']} | {one['alarms']} |"


def section(title: str, found: dict[str, Any]) -> list[str]:
    """Return one part of the page."""
    first, last = found["scenes"]
    return [
        f"## {title}",
        "",
        f"Scenes {first} to {last}: {found['answers']} answers, {found['wrong']} of them wrong",
        f"({found['wrong'] / found['answers']:.1%}).",
        "",
        "| What flags | Precision: flagged answers that are wrong "
        "| Recall: wrong answers flagged | Right answers flagged | F1 |",
        "| --- | ---: | ---: | ---: | ---: |",
        *signal_lines(found),
        "",
        "| Question | Answers | Wrong | Wrong and flagged | Right and flagged |",
        "| --- | ---: | ---: | ---: | ---: |",
        *kind_lines(found),
        "",
    ]


def page(found: dict[str, Any]) -> str:
    """Return docs/diagnosis.md from the counts."""
    rule = Rule(**found["rule"])
    return "\n".join(
        [
            "# How often is the flag of `tokviz.diagnose` right?",
            "",
            "`python -m benchmarks.diagnosis --write` writes this page from the rows in",
            "`docs/diagnosis.jsonl`, and the counts that every report and the hallucination desk",
            f"quote. Measured on {found['model']};",
            "on another model it has to be measured again. An answer counts as flagged when one of",
            "its words is. Brackets are 95 % intervals.",
            "",
            "The rule: a word that claims something (no article, no full stop) is flagged when its",
            f"probability is under {rule.unsure}, or when it is under {rule.sure} and the picture",
            f"makes the word less than {rule.carried} bits more probable than no picture does.",
            "Of all that were tried, these three thresholds make the smaller of precision and",
            "recall the largest on the choosing scenes; the held-out scenes had no part in the",
            "choice. The threshold of every single signal is chosen in the same way.",
            "",
            *section("Held-out scenes", found["held_out"]),
            *section("The scenes on which the rule was chosen", found["choosing"]),
        ]
    )


def main() -> None:
    """Print the page; with --write put counts and page into the repository."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description=__doc__)
    add_model(parser)
    parser.add_argument(
        "--scenes", type=int, default=HELD_OUT, help=f"held-out scenes (default: {HELD_OUT})"
    )
    parser.add_argument("--write", action="store_true", help="write the page and the counts")
    arguments = parser.parse_args()
    vlm = tokviz.load(arguments.model)
    rows = collect(vlm, range(CHOOSING[0], CHOOSING[-1] + 1 + arguments.scenes))
    found = measured(facts(vlm), rows)
    print(page(found))
    best = best_rule([row for row in rows if row.scene in CHOOSING])
    if best != RULE:
        raise SystemExit(f"The rule is {RULE}, on the choosing scenes the best one is {best}.")
    if arguments.write:
        FIGURES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        DOCS.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
