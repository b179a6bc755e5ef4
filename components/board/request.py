"""What a visitor asks of a board, read from what a browser sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokviz import METHODS
from tokviz.budget import check_budget, tokens_of
from tokviz.errors import InputError

from ..runs.lane_request import MAX_TOKENS, SMALLER, LaneRequest

MAX_METHODS = 80
MAX_BUDGETS = 10
MAX_CELLS = 240
"""Most cells of one board; a run's time limit ends it earlier on a slow machine."""


@dataclass(frozen=True)
class BoardRequest:
    """Methods and budgets."""

    methods: tuple[str, ...]
    budgets: tuple[int, ...]
    "Tokens, most first."
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    "Options by method; a method that is not in it runs as published."
    smaller: bool = True
    "With a row of the smaller picture."
    blind: bool = True
    "With the answer without the picture."

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the methods in the order of the rows: the baseline first."""
        rest = tuple(name for name in self.methods if name != SMALLER)
        baseline = (SMALLER,) if self.smaller or SMALLER in self.methods else ()
        return baseline + rest

    def lanes(self) -> list[LaneRequest]:
        """Return one lane per cell, row by row."""
        return [
            LaneRequest(name, keep, options=self.options.get(name, {}))
            for name in self.rows
            for keep in self.budgets
        ]


def read_board(sent: Mapping[str, Any], n: int) -> BoardRequest:
    """Return the request that a browser sent for a picture of n tokens.

    Raises:
        InputError: unknown methods, budgets that cannot be read, or too many cells.
    """
    methods = tuple(dict.fromkeys(_texts(sent.get("methods"), "methods")))
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise InputError(f"there is no method {unknown[0][:40]!r}.")
    budgets = read_budgets(sent.get("budgets"), n)
    options = sent.get("options") or {}
    if not isinstance(options, Mapping):
        raise InputError("the options of a board must be by method.")
    asked = BoardRequest(
        methods,
        budgets,
        {str(name): own for name, own in options.items() if isinstance(own, Mapping)},
        sent.get("smaller") is not False,
        sent.get("blind") is not False,
    )
    cells = len(asked.rows) * len(budgets)
    if not asked.rows:
        raise InputError("choose at least one method.")
    if len(methods) > MAX_METHODS or cells > MAX_CELLS:
        raise InputError(f"a board may have {MAX_CELLS} cells, and this one would have {cells}.")
    return asked


def read_budgets(sent: Any, n: int) -> tuple[int, ...]:
    """Return budgets such as ["50%", "25%", 16] as tokens, most first, each once.

    Raises:
        InputError: none, too many, or one that cannot be read.
    """
    texts = sent if isinstance(sent, list) else []
    if not 1 <= len(texts) <= MAX_BUDGETS:
        raise InputError(
            f"give 1 to {MAX_BUDGETS} budgets, such as 50%, 25%, 16; got {len(texts)}."
        )
    found = {max(tokens_of(check_budget(_budget(one), "keep"), n), 1) for one in texts}
    if max(found) > MAX_TOKENS:
        raise InputError(f"a budget is at most {MAX_TOKENS:,} tokens.")
    return tuple(sorted(found, reverse=True))


def _budget(one: Any) -> Any:
    if isinstance(one, (int, str)) and not isinstance(one, bool):
        return one
    raise InputError(f"a budget is a number of tokens or a share such as 25%, got {one!r:.40}.")


def _texts(sent: Any, what: str) -> Sequence[str]:
    if not isinstance(sent, list) or not all(isinstance(one, str) for one in sent):
        raise InputError(f"the {what} must be a list of names.")
    return sent
