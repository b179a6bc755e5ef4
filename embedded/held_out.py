"""What is asked of held-out scenes: one question of each kind."""

import random

from embedded.questions import Question, questions
from embedded.world import Scene

FIRST = 1000
"""First test scene of the measurements under ``benchmarks``."""


def ask_all(scenes: list[Scene]) -> tuple[list[int], list[Question]]:
    """Ask every scene one question of each kind; gives scene numbers and questions."""
    pairs = [(i, q) for i, s in enumerate(scenes) for q in questions(s, random.Random(s.seed))]
    return [i for i, _ in pairs], [q for _, q in pairs]
