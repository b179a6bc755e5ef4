"""How runs and results show themselves in a notebook, as tables and as plots: set from above.

Views know traces, not the reverse. `tokviz/__init__.py` says once who draws what; without it a
trace shows its plain text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_makers: dict[str, Callable[..., Any]] = {}
"""HTML of a trace, a result or a reduction; a table; a plot."""


def make_with(**makers: Callable[..., Any]) -> None:
    """Let these functions make what is shown, by kind: trace, result, reduction, table, plot."""
    _makers.update(makers)


def made(kind: str, *given: Any, **options: Any) -> Any:
    """Return what shows a thing; None = there is nobody to make it."""
    maker = _makers.get(kind)
    return maker(*given, **options) if maker else None
