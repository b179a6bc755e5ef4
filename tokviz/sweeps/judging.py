"""Is an answer right? Applies the evaluators of `tokviz.evaluation` to one answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokviz.errors import InputError
from tokviz.evaluation import ObjectList, accepted_score, chair, said_yes, same_option
from tokviz.evaluation.choice import LETTERS
from tokviz.sweeps.question import Question
from tokviz.sweeps.rows import Row


def judge(question: Question, answer: str, objects: ObjectList | None) -> Row:
    """Return the columns with the score of an answer; none if no right answer is known.

    Args:
        question: the question.
        answer: the answer.
        objects: for `chair`, the words that count as objects.
    """
    if not question.judged:
        return {}
    truth = str(question.truth)
    if question.kind == "yes_no":
        return {"score": float(said_yes(answer) == (truth.strip().lower() == "yes"))}
    if question.kind == "choice":
        right = letter_of(truth, question.choices)
        return {"score": float(same_option(answer, question.choices, right))}
    if question.kind == "chair" and objects is not None:
        found = chair([answer], [names_in(truth)], objects)
        counts = {name: getattr(found, name) for name in CHAIR_COUNTS}
        return {"score": 1 - found.chair_i, **counts}
    return {"score": accepted_score(answer, question.accepted or [truth])}


CHAIR_COUNTS = ("mentions", "hallucinated", "there", "found")
"""Columns of a `chair` row from which CHAIR_i, CHAIR_s and recall are computed."""


def check_truth(question: Question, objects: ObjectList | None) -> None:
    """Raise InputError for a right answer that cannot be used, before any model runs."""
    try:
        if question.kind == "yes_no" and str(question.truth).strip().lower() not in ("yes", "no"):
            raise InputError(f"the right answer must be yes or no, got {question.truth!r:.40}.")
        judge(question, "", objects)
    except InputError as error:
        raise InputError(f"{question.name or repr(question.prompt[:60])}: {error}") from error


def letter_of(truth: str, choices: Sequence[str]) -> str:
    """Return the letter of the right choice, given as its letter or as its text."""
    texts = [choice.strip().lower() for choice in choices]
    if truth.strip().lower() in texts:
        return LETTERS[texts.index(truth.strip().lower())]
    return truth


def names_in(truth: str) -> list[str]:
    """Return the objects of a truth such as "dog, red circle"."""
    return [name.strip() for name in truth.split(",") if name.strip()]


def object_lines(questions: Iterable[Question]) -> tuple[str, ...]:
    """Return every object that a `chair` question names, one per line, as ObjectList reads them."""
    chairs = (q for q in questions if q.kind == "chair" and q.truth)
    return tuple(sorted({name.lower() for q in chairs for name in names_in(str(q.truth))}))
