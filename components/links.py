"""Reading a copied link: which example, and how is it looked at? Nothing in it is trusted."""

import re
from collections.abc import Mapping
from typing import Any

MAPS = ("attention", "tam", "tower", "phi", "score")
NUMBERS = ("layer", "head", "keep", "opacity", "token")
MOST_WORDS = 200


def read_view(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of a view that a link asks for; what makes no sense is left out.

    Returns:
        Some of map, layer, head, keep, opacity, token (int >= 0), words (list of int), fates
        (bool). The browser clips them to what the run has.
    """
    view: dict[str, Any] = {}
    if query.get("map") in MAPS:
        view["map"] = query["map"]
    for name in NUMBERS:
        number = _number(query.get(name, ""))
        if number is not None:
            view[name] = number
    words = [_number(part) for part in query.get("words", "")[:1000].split(",")]
    view["words"] = [word for word in words if word is not None][:MOST_WORDS]
    if query.get("fates") == "0":
        view["fates"] = False
    return view


def read_lane(query: Mapping[str, str]) -> int | None:
    """Return the lane that a link asks for, or None for the full answer."""
    return _number(query.get("lane", ""))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,7}", text) else None
