"""The function that draws a trace in a notebook; `tokviz/__init__.py` sets it.

Views import traces, and traces must not import views. Without the function a notebook shows the
trace's plain text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_draw: Callable[[Any], str] | None = None


def draw_with(draw: Callable[[Any], str]) -> None:
    """Set the function that returns the HTML of a trace."""
    global _draw
    _draw = draw


def html_of(trace: Any) -> str | None:
    """Return a trace's HTML; None = the notebook shows its text."""
    return _draw(trace) if _draw else None
