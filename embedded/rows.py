"""How do many questions share one training sequence, whatever stands in front of them?

In front: "<s>USER: " and one or two pictures, each with a line break behind it, or no picture at
all. Then turns; each sees the front and itself only. Where the front ends depends on how many
visual tokens are left, so a row counts positions from there.
"""

import random
from collections.abc import Iterable, Iterator

import numpy as np
from transformers import PreTrainedTokenizerFast

from embedded.captions import (
    ABSENT_PARTNER,
    ask_blindly,
    ask_company,
    ask_description_as_told,
    ask_existence_as_told,
    ask_pair,
    clauses_as_told,
)
from embedded.claims import scenery
from embedded.labels import IGNORE, Example
from embedded.packing import Turn, named_patches, scene_turn
from embedded.questions import ask, missing_partners
from embedded.things import PARTNER
from embedded.wording import reword
from embedded.world import Scene

LENGTH = 224
"""Text tokens in a row."""
GUIDES = 24
"""Most guided positions in a row."""
SHARES = {"existence": 3.0, "what": 1.0, "place": 1.5, "colour": 0.5, "count": 1.5}
"""How often each kind is asked beside the one description."""


def turns_of_scene(
    view: Scene, example: Example, rng: random.Random, partners: float = ABSENT_PARTNER
) -> Iterator[Turn]:
    """Ask about one scene for ever, answered as captions would; ``partners`` as in captions."""
    if rng.random() < 0.7:
        asked = ask_description_as_told(view, rng)
        turn = Turn(asked.text, asked.answer, asked.kind)
        turn.clauses = [example.cover == rank if rank >= 0 else np.zeros_like(example.cover, bool)
                        for _, _, rank in clauses_as_told(view)]  # fmt: skip
        yield turn
    kinds, shares = list(SHARES), list(SHARES.values())
    while True:
        kind = rng.choices(kinds, shares)[0]
        if kind == "existence":
            asked = ask_existence_as_told(view, rng, partners)
        else:
            asked = ask(view, kind, rng)
        if asked:
            turn = scene_turn(view, example, asked)
            if kind == "existence" and asked.word in missing_partners(view):
                turn.kind = "partner"
                turn.guides = [(w, beside(view, example, asked.word)) for w, _ in turn.guides]
            elif kind == "existence" and asked.word in scenery(view):
                turn.kind = "scenery"
            yield turn


def beside(view: Scene, example: Example, partner: str) -> np.ndarray:
    """Mark the patches of the things that bring a missing partner to mind."""
    owners = {thing.name for thing in view.things if PARTNER.get(thing.name) == partner}
    return np.logical_or.reduce([named_patches(view, example, name) for name in owners])


def turns_of_pair(
    views: tuple[Scene, Scene], examples: tuple[Example, Example], rng: random.Random
) -> Iterator[Turn]:
    """Ask about two pictures for ever."""
    while True:
        asked = ask_pair(views, rng)
        turn = Turn(asked.text, asked.answer, asked.kind)
        if asked.word:
            both = zip(views, examples, strict=True)
            patches = [named_patches(view, example, asked.word) for view, example in both]
            turn.guides = [(asked.word, np.concatenate(patches))]
        yield turn


def turns_of_language(rng: random.Random, blind: bool) -> Iterator[Turn]:
    """Ask where there is nothing to be seen: no picture, or only noise."""
    while True:
        asked = ask_blindly(rng) if blind or rng.random() < 0.6 else ask_company(rng)
        yield Turn(asked.text, asked.answer, asked.kind)


def pack_row(
    turns: Iterable[Turn],
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random | None,
    patches: int,
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Put turns behind each other until the row is full.

    Args:
        turns: what is asked.
        tokenizer: byte-level pieces.
        rng: draws capitals and marks; None leaves questions as they are.
        patches: of all pictures in front together, 0 for none.

    Returns:
        ``ids``, ``turn`` (0 is padding), ``offsets`` (position behind the front) and ``targets``
        [LENGTH] each; ``guide_at`` [GUIDES] and ``guide_on`` [GUIDES, 1 + patches] as in
        ``packing.pack``. And the kinds of the packed turns.
    """
    row = {key: np.zeros(LENGTH, dtype=np.int64) for key in ("ids", "turn", "offsets")}
    row["targets"] = np.full(LENGTH, IGNORE)
    row["guide_at"] = np.full(GUIDES, -1)
    row["guide_on"] = np.zeros((GUIDES, 1 + patches), dtype=bool)
    kinds: list[str] = []
    at = guided = 0
    for turn in turns:
        question = reword(turn.question, rng) if rng else turn.question
        asked, said = encode(question, turn.answer, tokenizer, pictures=patches > 0)
        if at + len(asked) + len(said) > LENGTH:
            break
        kinds.append(turn.kind)
        span = slice(at, at + len(asked) + len(said))
        row["ids"][span] = asked + said
        row["turn"][span] = len(kinds)
        row["offsets"][span] = np.arange(len(asked) + len(said))
        row["targets"][at + len(asked) - 1 : span.stop - 1] = said
        spots = guide_spots(turn, question, asked, said, tokenizer) if patches else []
        for spot, seen in spots[: GUIDES - guided]:
            row["guide_at"][guided] = at + spot
            row["guide_on"][guided] = np.concatenate([[not seen.any()], seen])
            guided += 1
        at = span.stop
    return row, kinds


def encode(
    question: str, answer: str, tokenizer: PreTrainedTokenizerFast, pictures: bool
) -> tuple[list[int], list[int]]:
    """Write a turn as tokens, question and answer.

    Behind a picture a line break ends the front; without one the space of "USER: " belongs to
    the first word of the question.
    """
    lead = "" if pictures else " "
    asked = tokenizer.encode(f"{lead}{question} ASSISTANT:", add_special_tokens=False)
    return asked, tokenizer.encode(f" {answer}</s>", add_special_tokens=False)


def guide_spots(
    turn: Turn, question: str, asked: list[int], said: list[int], tokenizer: PreTrainedTokenizerFast
) -> list[tuple[int, np.ndarray]]:
    """Find the tokens of a turn that should look somewhere, counted from its start."""
    spots = []
    for word, patches in turn.guides:
        at = question.lower().rfind(word)
        if at >= 0:
            head = tokenizer.encode(question[: at + len(word)], add_special_tokens=False)
            if asked[: len(head)] == head:
                spots.append((len(head) - 1, patches))
    article = tokenizer.encode(" a", add_special_tokens=False)[0]
    articles = [len(asked) + i for i, token in enumerate(said) if token == article]
    return spots + list(zip(articles, turn.clauses, strict=False))
