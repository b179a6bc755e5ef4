"""How good are answers? POPE, CHAIR, exact match, multiple choice, and "is it the same answer?".

Pure Python, no model and no numpy: an evaluator compares answers with right answers.
"""

from tokviz.evaluation.chair import ChairScores, ObjectList, chair
from tokviz.evaluation.choice import chosen_option, same_option
from tokviz.evaluation.exact import accepted_score, exact_match, normalise
from tokviz.evaluation.json_lines import read_lines, write_lines
from tokviz.evaluation.pope import (
    PopeQuestion,
    PopeScores,
    agreement,
    read_answers,
    read_questions,
    said_yes,
    score_splits,
    write_answers,
    write_questions,
)
from tokviz.evaluation.pope_questions import SPLITS, ask_about
from tokviz.evaluation.same_answer import same_answer

Question = PopeQuestion
"""The name that it had first."""

__all__ = [
    "SPLITS",
    "ChairScores",
    "ObjectList",
    "PopeScores",
    "PopeQuestion",
    "Question",
    "accepted_score",
    "agreement",
    "ask_about",
    "chair",
    "chosen_option",
    "exact_match",
    "normalise",
    "read_answers",
    "read_lines",
    "read_questions",
    "said_yes",
    "same_answer",
    "same_option",
    "score_splits",
    "write_answers",
    "write_lines",
    "write_questions",
]
