r"""Texts that can be written as UTF-8: half a character, a lone surrogate, is spelled \udcff.

Python makes such texts of file names that are no UTF-8 and of JSON with half of an emoji. They
cannot be encoded, so that a file, a terminal or an answer of the server would fail on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def whole_text(text: str) -> str:
    r"""Return a text with every lone surrogate spelled, "\udcff"; others are returned as given."""
    return text if is_whole(text) else text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_whole(text: str) -> bool:
    """Return whether a text has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def whole_texts(value: Any) -> Any:
    """Return a value in whose lists and mappings every text is whole."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, Mapping):
        return {whole_texts(key): whole_texts(one) for key, one in value.items()}
    if type(value) in (list, tuple):
        if all(type(one) is str for one in value) and is_whole("".join(value)):
            return value
        return type(value)(whole_texts(one) for one in value)
    return value


def json_text(value: Any, ascii_only: bool = False, indent: int | None = None) -> str:
    """Return a value as JSON; a lone surrogate is written as JSON's own escape, and read back.

    Args:
        value: JSON-ready.
        ascii_only: True = every letter beyond ASCII is escaped.
        indent: of a text in several lines.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, default=_plain)
    return whole_text(text)


def _plain(value: Any) -> Any:
    """Return a number or an array of numpy or torch as Python's; raise TypeError for others."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} has no form in JSON")
