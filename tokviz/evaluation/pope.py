"""POPE: does a model say "yes" to things that are not in the picture?

Protocol and file format: arXiv 2305.10355, repository RUCAIBox/POPE. A question file has one JSON
object per line with `question_id`, `image`, `text` and `label` ("yes" or "no"); an answer file one
with `question` and `answer`, matched to the questions by line and not by id.

An answer counts as yes or no by one of three rules:

* `official`: cut at the first full stop, drop commas, split at single spaces; "No", "not" or "no"
  as a word means no, **everything else yes**. So "NO", "No!", "no" before a line break, an empty
  answer and a refusal all count as yes. The published numbers of most papers use this.
* `vcd` (DAMO-NLP-SG/VCD): depends on the label. If the label is yes, an answer without the letters
  "yes" counts as no; if it is no, an answer without the letters "no" counts as yes. So an answer
  with neither is always wrong, and "I don't know" is right whenever the label is no.
* `first_word`: tokviz's own. The first word must be yes or no in any letter case; anything else
  counts as wrong and is reported in `unclear`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokviz.errors import InputError
from tokviz.evaluation.exact import checked_list, checked_text
from tokviz.evaluation.json_lines import read_lines, write_lines

RULES = ("official", "vcd", "first_word")


@dataclass(frozen=True)
class PopeQuestion:
    """One line of a POPE question file."""

    question_id: int | str
    image: str
    "Name of the image file."
    text: str
    label: str
    "yes or no"


Question = PopeQuestion
"""Former name of `PopeQuestion`, which other code may still import."""


@dataclass(frozen=True)
class PopeScores:
    """Counts of one split and the five numbers that POPE reports; "yes" is positive."""

    true_yes: int
    false_yes: int
    true_no: int
    false_no: int
    unclear: int = 0
    "Answers that were neither; counted as wrong, not as yes."

    @property
    def total(self) -> int:
        """Number of questions."""
        return self.true_yes + self.false_yes + self.true_no + self.false_no + self.unclear

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return _share(self.true_yes + self.true_no, self.total)

    @property
    def precision(self) -> float:
        """Share of the yes answers that are right; 0 without a yes answer."""
        return _share(self.true_yes, self.true_yes + self.false_yes)

    @property
    def recall(self) -> float:
        """Share of the questions with label yes that were answered yes; 0 without any."""
        return _share(self.true_yes, self.positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if both are 0."""
        return _share(2 * self.precision * self.recall, self.precision + self.recall)

    @property
    def yes_ratio(self) -> float:
        """Share of yes among all answers; far from the labels' share = the model is biased."""
        return _share(self.true_yes + self.false_yes, self.total)

    positives: int = 0
    "Questions whose label is yes."
    cut_off: int = 0
    "Answers that were cut off before their end, and so may have said something else."

    def as_dict(self) -> dict[str, float]:
        """Return counts and numbers, ready for JSON."""
        names = ("accuracy", "precision", "recall", "f1", "yes_ratio")
        return {**asdict(self), **{name: getattr(self, name) for name in names}}


def said_yes(answer: str, rule: str = "official", label: str | None = None) -> bool | None:
    """Return whether an answer counts as yes; None for neither (rule first_word only).

    Args:
        answer: the model's answer.
        rule: official, vcd or first_word; see the module's text.
        label: the right answer, which the rule vcd needs.

    Raises:
        InputError: an unknown rule, or vcd without a label.
    """
    answer = checked_text(answer)
    if rule == "official":
        words = answer.split(".")[0].replace(",", "").split(" ")
        return not {"No", "not", "no"} & set(words)
    if rule == "vcd":
        if label not in ("yes", "no"):
            raise InputError(f"the rule vcd needs the label, yes or no; got {label!r}.")
        text = answer.lower()
        return "yes" in text if label == "yes" else "no" not in text
    if rule == "first_word":
        first = (answer.split() or [""])[0].strip(".,;:!?\"'()").lower()
        return {"yes": True, "no": False}.get(first)
    raise InputError(f"rule must be one of {', '.join(RULES)}, got {str(rule)[:40]!r}.")


def agreement(
    labels: Sequence[str],
    answers: Sequence[str],
    rule: str = "official",
    finishes: Sequence[str] = (),
) -> PopeScores:
    """Count how answers agree with the labels of one split.

    Args:
        labels: "yes" or "no" per question.
        answers: what was said, in the same order.
        rule: how an answer becomes yes or no.
        finishes: why each answer ended, a key of `stages.FINISHES`; those that were cut off or
            stopped are counted in `cut_off`.

    Raises:
        InputError: unequal numbers, a label that is neither, or an unknown rule.
    """
    labels = checked_list(labels, "labels", "a list of yes and no")
    answers = checked_list(answers, "answers", "a list of texts")
    if len(labels) != len(answers):
        raise InputError(f"{len(labels)} questions, but {len(answers)} answers.")
    counts = {"true_yes": 0, "false_yes": 0, "true_no": 0, "false_no": 0, "unclear": 0}
    for number, (label, answer) in enumerate(zip(labels, answers, strict=True), 1):
        truth = _label(label, number)
        said = said_yes(answer, rule, truth)
        right = "true" if said == (truth == "yes") else "false"
        counts["unclear" if said is None else f"{right}_{'yes' if said else 'no'}"] += 1
    positives = sum(label.lower() == "yes" for label in labels)
    cut = sum(finish not in ("", "end") for finish in finishes)
    return PopeScores(**counts, positives=positives, cut_off=cut)


def score_splits(
    questions: Mapping[str, Sequence[PopeQuestion]],
    answers: Mapping[str, Sequence[str]],
    rule: str = "official",
    finishes: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, PopeScores]:
    """Return the scores of each split (random, popular, adversarial), in the questions' order.

    `finishes` says per split why each answer ended, as for `agreement`.

    Raises:
        InputError: a split without answers, or what `agreement` raises.
    """
    missing = [split for split in questions if split not in answers]
    if missing:
        raise InputError(f"there are no answers for the split {missing[0]!r}.")
    return {
        split: agreement(
            [q.label for q in asked], answers[split], rule, (finishes or {}).get(split, ())
        )
        for split, asked in questions.items()
    }


def read_questions(path: str | Path) -> list[PopeQuestion]:
    """Read an official question file (JSON lines)."""
    return [
        PopeQuestion(
            _field(row, "question_id", number),
            str(_field(row, "image", number)),
            str(_field(row, "text", number)),
            _label(_field(row, "label", number), number),
        )
        for number, row in enumerate(read_lines(path), 1)
    ]


def write_questions(path: str | Path, questions: Sequence[PopeQuestion]) -> None:
    """Write questions in the official format."""
    write_lines(path, [asdict(question) for question in questions])


def read_answers(path: str | Path) -> list[str]:
    """Read an answer file: official (`answer`) or VCD's (`text`), one per question in its order."""
    return [
        str(row["text"] if "answer" not in row and "text" in row else _field(row, "answer", number))
        for number, row in enumerate(read_lines(path), 1)
    ]


def write_answers(
    path: str | Path, questions: Sequence[PopeQuestion], answers: Sequence[str]
) -> None:
    """Write answers in the official format, which `read_answers` and POPE's own script read."""
    if len(questions) != len(answers):
        raise InputError(f"{len(questions)} questions, but {len(answers)} answers.")
    pairs = zip(questions, answers, strict=True)
    write_lines(path, [{"question": asked.text, "answer": said} for asked, said in pairs])


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _field(row: Mapping[str, Any], name: str, number: int) -> Any:
    if name not in row:
        raise InputError(f"entry {number} has no {name!r}; it has {', '.join(row) or 'nothing'}.")
    return row[name]


def _label(label: Any, number: int) -> str:
    text = str(label).strip().lower()
    if text not in ("yes", "no"):
        raise InputError(f"entry {number}: label must be yes or no, got {str(label)[:40]!r}.")
    return text
