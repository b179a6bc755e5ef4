"""Drafts of an answer: words that another lane has written already, to be read all at once.

Lanes answer one question, so they often write the same words. A lane that is handed the next words
of another lane reads them in one forward, as if they were part of its prompt, and keeps those that
it would have written itself, each judged by the lane's own logits; at the first other word the rest
is dropped. The answer is the lane's own, word for word. This is speculative decoding (Leviathan et
al., arXiv 2211.17192) with a draft that costs nothing; after a difference, the place at which to go
on is found as in prompt lookup decoding (Saxena 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tokviz.models.decoder.next_token import NextToken

MATCHED = 2
"""Number of tokens that must be equal before two different answers are taken to go on alike."""
GUESSED = 4
"""Number of tokens of a draft after such a place."""


@dataclass(frozen=True)
class Draft:
    """The tokens that a lane may write next."""

    tokens: tuple[int, ...] = ()
    forced: int = 0
    "How many of the first are written whatever the model would choose."

    def cut(self, most: int) -> Draft:
        """Return at most the first tokens."""
        return Draft(self.tokens[:most], min(self.forced, most))


def follows(ids: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether an answer is the beginning of another one, or equals it."""
    return len(ids) <= len(other) and list(other[: len(ids)]) == list(ids)


def same_so_far(ids: Sequence[int], others: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return what the longest answer that begins with `ids` says after them; maybe nothing."""
    return max((other[len(ids) :] for other in others if follows(ids, other)), key=len, default=())


def same_again(ids: Sequence[int], others: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return what follows in another answer, where it says the last tokens of `ids`."""
    end = list(ids[-MATCHED:])
    for other in others if len(end) == MATCHED else ():
        # the last place first: an answer that repeats itself goes on behind the latest repetition
        for at in range(len(other) - MATCHED - 1, -1, -1):
            if list(other[at : at + MATCHED]) == end:
                return other[at + MATCHED : at + MATCHED + GUESSED]
    return ()


def right_tokens(
    draft: Draft, best: Sequence[int], logits: torch.Tensor, next_token: NextToken, ids: list[int]
) -> int:
    """Return how many tokens of a draft the lane writes itself.

    Args:
        draft: as the forward read it, behind the last written token.
        best: [1 + draft], the most probable token after each token read.
        logits: float32 [1 + draft, v], the same.
        next_token: knows the rules by which the lane chooses.
        ids: the answer before the draft.
    """
    for i, token in enumerate(draft.tokens):
        if i < draft.forced:
            continue
        chosen = best[i]
        if next_token.rules is not None:
            chosen = next_token.by_rules(logits[i], [*ids, *draft.tokens[:i]])
        if chosen != token:
            return i
    return len(draft.tokens)
