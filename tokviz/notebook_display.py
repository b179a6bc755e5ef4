"""How a trace shows itself in a notebook: what draws it is set from above.

Views know traces, not the reverse. `tokviz/__init__.py` sets it once; without it a trace shows its
plain text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_draw: Callable[[Any], str] | None = None


def draw_with(draw: Callable[[Any], str]) -> None:
    """Let this function make the HTML of every trace."""
    global _draw
    _draw = draw


def html_of(trace: Any) -> str | None:
    """Return a trace's HTML; None = there is none, so that a notebook shows its text."""
    return _draw(trace) if _draw else None
