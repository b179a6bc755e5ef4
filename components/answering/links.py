"""Reading a copied link: the example and the view that it asks for. Nothing in it is trusted."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from ..runs.lane_request import MAX_HEX_DIGITS, MAX_TOGETHER, LaneRequest, read_bits

MAPS = ("attention", "tam", "tower", "phi", "score")
NUMBERS = ("layer", "head", "keep", "opacity", "token", "stage")
SCALINGS = ("linear", "log", "rank")
SWITCHES = ("common", "sinks", "groups")
MAX_WORDS = 200
MAX_COMPARE = 60_000
"""Characters of all lanes."""
MAX_QUERY = 200_000


def read_view(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of a view that a link asks for; fields that cannot be read are left out.

    Returns:
        Some of map, layer, head, keep, opacity, token, stage (int >= 0), words and hand (lists of
        int), scaling, common, sinks, groups, fates (bool). The browser clips them to what the run
        has.
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
    view["words"] = [word for word in words if word is not None][:MAX_WORDS]
    if query.get("fates") == "0":
        view["fates"] = False
    if re.fullmatch(f"[0-9a-f]{{1,{MAX_HEX_DIGITS}}}", query.get("hand", "")):
        view["hand"] = read_bits(query["hand"])
    return view


def read_compare(query: Mapping[str, str]) -> list[LaneRequest]:
    """Return the lanes of "fastervlm:36,fastv:36;layer=3"; lanes that cannot be read are left out.

    `all` is a lane that removes nothing, `hand` one whose tokens were chosen by hand. Methods,
    budgets and options are checked again when the lanes are run.
    """
    parts = query.get("compare", "")[:MAX_COMPARE].split(",")[:MAX_TOGETHER]
    return [lane for lane in map(LaneRequest.from_link, parts) if lane is not None]


def read_start(query: Mapping[str, str]) -> str | None:
    """Return the run that a link's view needs: ask, compare, or None where it is stored."""
    return query["run"] if query.get("run") in ("ask", "compare") else None


def read_pictures(query: Mapping[str, str]) -> dict[str, str]:
    """Return what the pictures of the lanes show, if the link says so."""
    return {"pictures": "looked"} if query.get("pictures") == "looked" else {}


def read_query(text: Any) -> dict[str, str]:
    """Return the words of an address's query, "?a=1&b=2"; nothing for anything else."""
    if not isinstance(text, str) or len(text) > MAX_QUERY:
        return {}
    return dict(parse_qsl(text.lstrip("?"), max_num_fields=100))


def read_lane(query: Mapping[str, str]) -> int | None:
    """Return the lane that a link asks for, or None for the full answer."""
    return _number(query.get("lane", ""))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,7}", text) else None
