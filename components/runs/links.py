"""Reading a copied link: which example, and how is it looked at? Nothing in it is trusted."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from components.runs.asking import BY_HAND

MAPS = ("attention", "tam", "tower", "phi", "score")
NUMBERS = ("layer", "head", "keep", "opacity", "token", "stage")
SCALINGS = ("linear", "log", "rank")
SWITCHES = ("common", "sinks")
MOST_WORDS = 200
MOST_DIGITS = 25_000
"""Hexadecimal digits of a choice by hand, four tokens each."""
MOST_PLANS = 8
MOST_COMPARE = 60_000
"""Characters of all lanes."""
MOST_QUERY = 200_000
KINDS = dict.fromkeys((".prompt", ".model", ".mitigation", ".forcedText"), str) | {
    ".layer": int,
    ".n": int,
}
SCALARS = (str, int, float, bool, type(None))


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

    The method's options stand under their names; fields of the lane begin with a dot, such as
    `.prompt`, `.model`, `.mitigation`, `.mitigation.alpha`, `.forced`, `.layer`. Values are JSON,
    percent-encoded. `all` is a lane that removes nothing, `hand` one whose tokens were chosen by
    hand. Methods, budgets and options are checked again when the lanes are run.
    """
    parts = query.get("compare", "")[:MOST_COMPARE].split(",")[:MOST_PLANS]
    lanes = [_lane(part) for part in parts]
    return [lane for lane in lanes if lane is not None]


def _lane(part: str) -> dict[str, Any] | None:
    head, *pairs = part.split(";")
    found = re.fullmatch(r"([a-z0-9_]{1,40}):([0-9]{1,7})", head)
    if not found:
        return None
    method = {"all": "", "hand": BY_HAND}.get(found[1], found[1])
    lane: dict[str, Any] = {"method": method, "keep": int(found[2]), "options": {}}
    for pair in pairs:
        name, _, text = pair.partition("=")
        _put(lane, name, _value(unquote(text)))
    return lane if method != BY_HAND or {"tokens", "n"} <= set(lane) else None


def _put(lane: dict[str, Any], name: str, value: Any) -> None:
    """Put one named value where it belongs in a lane, if it can belong anywhere."""
    option = re.fullmatch(r"(\.mitigation\.)?([a-z0-9_]{1,40})", name)
    if name == "positions":
        lane["positions"] = value
    elif option and isinstance(value, SCALARS):
        place = "mitigation_options" if option[1] else "options"
        lane.setdefault(place, {})[option[2]] = value
    elif name == ".tokens" and re.fullmatch(f"[0-9a-f]{{1,{MOST_DIGITS}}}", str(value)):
        lane["tokens"] = read_bits(str(value))
    elif name == ".forced" and isinstance(value, list) and all(type(i) is int for i in value):
        lane["forced"] = value
    elif KINDS.get(name) is type(value):
        lane[name[1:]] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_start(query: Mapping[str, str]) -> str | None:
    """Return what the model must be asked before a link's view is there: ask, compare or None."""
    return query["run"] if query.get("run") in ("ask", "compare") else None


def read_pictures(query: Mapping[str, str]) -> dict[str, str]:
    """Return what the pictures of the lanes show, if the link says so."""
    return {"pictures": "looked"} if query.get("pictures") == "looked" else {}


def read_query(text: Any) -> dict[str, str]:
    """Return the words of an address's query, "?a=1&b=2"; nothing for anything else."""
    if not isinstance(text, str) or len(text) > MOST_QUERY:
        return {}
    return dict(parse_qsl(text.lstrip("?"), max_num_fields=100))


def read_lane(query: Mapping[str, str]) -> int | None:
    """Return the lane that a link asks for, or None for the full answer."""
    return _number(query.get("lane", ""))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,7}", text) else None
