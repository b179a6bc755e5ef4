"""Packs many questions about one picture into one training sequence, independent of each other.

The sequence is <s> user : and 144 visual tokens once, then the turns. Each turn attends only to the
prefix and to itself, and its positions start again after the picture, so that training on a packed
row equals training on each question alone.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from transformers import PreTrainedTokenizerFast

from embedded import easyvqa
from embedded.labels import COLOUR_NAMES, IGNORE, Example, own_cells
from embedded.model import TOKENS
from embedded.questions import Question, ask
from embedded.things import PLACES
from embedded.world import Scene

BEFORE = 3
"""Tokens in front of the picture: <s> user :"""
START = BEFORE + TOKENS
"""Position of the first token behind the picture."""
LENGTH = 224
"""Text tokens in a packed row."""
GUIDES = 32
"""Most guided positions in a row."""


@dataclass
class Turn:
    """One question with its answer and what the question points at."""

    question: str
    """As typed."""
    answer: str
    """As the model should say it."""
    kind: str
    """Question kind, or "easyvqa"."""
    guides: list[tuple[str, np.ndarray]] = field(default_factory=list)
    """Word of the question (last occurrence) and the patches it is about, [patches] bool."""
    clauses: list[np.ndarray] = field(default_factory=list)
    """Patches of the thing behind each "a" of a description, [patches] bool each."""


def named_patches(scene: Scene, example: Example, name: str) -> np.ndarray:
    """Mark the patches that things of one name cover."""
    ranks = [i for i, thing in enumerate(scene.things) if thing.name == name]
    return np.isin(example.cover, ranks)


def scene_turn(scene: Scene, example: Example, asked: Question) -> Turn:
    """Add to a question which patches its word, or each clause of its answer, is about."""
    turn = Turn(asked.text, asked.answer, asked.kind)
    if asked.kind == "description":
        turn.clauses = [example.cover == rank for rank in range(len(scene.things))]
    elif asked.kind == "what":
        place = asked.word.replace("middle", "center") if asked.word == "middle" else asked.word
        cell = own_cells(round(len(example.cover) ** 0.5)) == PLACES.index(place)
        covered = cell & (example.cover >= 0)
        turn.guides = [(asked.word.split()[-1], covered if covered.any() else cell)]
    else:
        patches = named_patches(scene, example, asked.word)
        spellings = [w for w in asked.text.split() if w not in COLOUR_NAMES]
        stem = asked.word[:3]
        word = next((w for w in reversed(spellings) if w.startswith(stem)), "")
        turn.guides = [(word, patches)] if word else []
    return turn


def scene_turns(
    scene: Scene, example: Example, weights: dict[str, float], rng: random.Random
) -> Iterable[Turn]:
    """Ask about a scene for ever: at most one description, the rest drawn by weight."""
    kinds, shares = list(weights), list(weights.values())
    if rng.random() < min(1.0, weights["description"]):
        yield scene_turn(scene, example, ask(scene, "description", rng))
    while True:
        kind = rng.choices(kinds, shares)[0]
        asked = None if kind == "description" else ask(scene, kind, rng)
        if asked:
            yield scene_turn(scene, example, asked)


def picture_turns(picture: easyvqa.Picture, example: Example, rng: random.Random) -> Iterable[Turn]:
    """Ask all that easy-VQA asks about a picture, in random order."""
    covered = example.cover >= 0
    for question, answer in rng.sample(picture.questions, len(picture.questions)):
        words = question.rstrip("?").split()
        denied = "not" in words or "no" in words
        there = answer not in ("yes", "no") or (answer == "yes") != denied
        named = [w for w in words if w in COLOUR_NAMES] or [
            w for w in words if w in (*easyvqa.SHAPES, "shape")
        ]
        patches = covered if there else np.zeros_like(covered)
        yield Turn(question, answer, "easyvqa", [(named[-1], patches)] if named else [])


def vary(question: str, rng: random.Random) -> str:
    """Drop the final mark now and then, as visitors do."""
    return question.rstrip(" ?.") if rng.random() < 0.15 else question


def pack(
    turns: Iterable[Turn], tokenizer: PreTrainedTokenizerFast, rng: random.Random
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Append turns to each other until the row is full.

    Returns:
        ``ids``, ``turn`` (0 is padding), ``positions``, ``targets`` [LENGTH] each, where a
        target is the next token if that belongs to an answer; ``guide_at`` [GUIDES] (-1 is
        unused) and ``guide_on`` [GUIDES, 1 + 144]: what that position should look at, <s>
        first. And the kinds of the packed turns.
    """
    row = {key: np.zeros(LENGTH, dtype=np.int64) for key in ("ids", "turn", "positions")}
    row["targets"] = np.full(LENGTH, IGNORE)
    row["guide_at"] = np.full(GUIDES, -1)
    row["guide_on"] = np.zeros((GUIDES, 1 + TOKENS), dtype=bool)
    kinds: list[str] = []
    at = guided = 0
    for turn in turns:
        asked = tokenizer.encode(
            f"{vary(turn.question, rng)} assistant :", add_special_tokens=False
        )
        said = tokenizer.encode(f"{turn.answer}</s>", add_special_tokens=False)
        ids = asked + said
        if at + len(ids) > LENGTH:
            break
        kinds.append(turn.kind)
        span = slice(at, at + len(ids))
        row["ids"][span] = ids
        row["turn"][span] = len(kinds)
        row["positions"][span] = START + np.arange(len(ids))
        row["targets"][at + len(asked) - 1 : at + len(ids) - 1] = said
        for spot, patches in guide_spots(turn, asked, said, tokenizer)[: GUIDES - guided]:
            row["guide_at"][guided] = at + spot
            row["guide_on"][guided] = np.concatenate([[not patches.any()], patches])
            guided += 1
        at += len(ids)
    return row, kinds


def guide_spots(
    turn: Turn, asked: Sequence[int], said: Sequence[int], tokenizer: PreTrainedTokenizerFast
) -> list[tuple[int, np.ndarray]]:
    """Find the tokens of a turn that should look somewhere, counted from its start."""
    spots = []
    for word, patches in turn.guides:
        token = tokenizer.convert_tokens_to_ids(word)
        if token in asked:
            spots.append((len(asked) - 1 - asked[::-1].index(token), patches))
    article = tokenizer.convert_tokens_to_ids("a")
    articles = [len(asked) + i for i, token in enumerate(said) if token == article]
    return spots + list(zip(articles, turn.clauses, strict=False))
