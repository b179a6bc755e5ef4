"""Reading a copied link: which example, and how is it looked at? Nothing in it is trusted."""

import json
import re
from collections.abc import Mapping
from typing import Any

MAPS = ("attention", "tam", "tower", "phi", "score")
NUMBERS = ("layer", "head", "keep", "opacity", "token", "stage")
SCALINGS = ("linear", "log", "rank")
SWITCHES = ("common", "sinks")
MOST_WORDS = 200
MOST_DIGITS = 25_000
"""Hexadecimal digits of a choice by hand, four tokens each."""
MOST_PLANS = 8


def read_view(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of a view that a link asks for; what makes no sense is left out.

    Returns:
        Some of map, layer, head, keep, opacity, token, stage (int >= 0), words and hand (lists of
        int), scaling, common, sinks, fates (bool). The browser clips them to what the run has.
    """
    view: dict[str, Any] = {}
    if query.get("map") in MAPS:
        view["map"] = query["map"]
    if query.get("scaling") in SCALINGS:
        view["scaling"] = query["scaling"]
    for name in NUMBERS:
        number = _number(query.get(name, ""))
        if number is not None:
            view[name] = number
    for name in SWITCHES:
        if query.get(name) in ("0", "1"):
            view[name] = query[name] == "1"
    words = [_number(part) for part in query.get("words", "")[:1000].split(",")]
    view["words"] = [word for word in words if word is not None][:MOST_WORDS]
    if query.get("fates") == "0":
        view["fates"] = False
    if re.fullmatch(f"[0-9a-f]{{1,{MOST_DIGITS}}}", query.get("hand", "")):
        view["hand"] = read_bits(query["hand"])
    return view


def read_bits(digits: str) -> list[int]:
    """Return the tokens of a choice by hand: bit 8 of the first digit is token 0, bit 4 token 1."""
    bits = "".join(f"{int(digit, 16):04b}" for digit in digits)
    return [token for token, bit in enumerate(bits) if bit == "1"]


def read_compare(query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the lanes of "fastervlm:36,fastv:36;layer=3"; what makes no sense is left out.

    Methods, budgets and options are checked again when the lanes are run.
    """
    lanes = [_lane(part) for part in query.get("compare", "")[:2000].split(",")[:MOST_PLANS]]
    return [lane for lane in lanes if lane is not None]


def _lane(part: str) -> dict[str, Any] | None:
    head, *pairs = part.split(";")
    found = re.fullmatch(r"([a-z0-9_]{1,40}):([0-9]{1,7})", head)
    if not found:
        return None
    options: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if re.fullmatch(r"[a-z0-9_]{1,40}", name):
            options[name] = _value(value)
    positions = options.pop("positions", None)
    lane = {"method": found[1], "keep": int(found[2]), "options": options}
    return lane if positions is None else lane | {"positions": positions}


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, (str, int, float, bool, type(None))) else text


def read_lane(query: Mapping[str, str]) -> int | None:
    """Return the lane that a link asks for, or None for the full answer."""
    return _number(query.get("lane", ""))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,7}", text) else None
