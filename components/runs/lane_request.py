"""What a visitor asks of one lane of a comparison: one record, its readers and its writer.

`read_lanes` reads what a browser or a program sent as JSON, `LaneRequest.from_link` one lane of a
copied link, `LaneRequest.to_json` writes what the page's scripts read. The field names are those of
`planKey` and `plansText` in the page's scripts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any
from urllib.parse import unquote

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.plans import Mitigated, Plan, Step, chosen
from tokviz.text.whole import whole_text

BY_HAND = "by hand"
"""Method of a lane whose tokens the visitor chose; the page's scripts use the same name."""
BY_HAND_TITLE = "chosen by hand"
MAX_LANES = 3
"""Lanes with a method; the two baselines and one whose tokens were chosen by hand come on top."""
MAX_TOGETHER = MAX_LANES + 3
SMALLER = "downsample"
"""Method of the baseline of a smaller picture."""
BLIND = "blind"
"""Mitigation of the baseline without the picture."""
MAX_TOKENS = 100_000
MAX_WHOLE = 2**53 - 1
MAX_DEPTH = 8
MAX_FORCED = 64
MAX_FORCED_TEXT = 60
"""Characters shown of the words that an answer was made to begin with."""
MAX_HEX_DIGITS = 25_000
"""Hexadecimal digits of a choice by hand in a link, four tokens each."""
LINK_METHODS = {"all": "", "hand": BY_HAND}
LINK_FIELDS = {
    ".prompt": ("prompt", str),
    ".model": ("model", str),
    ".mitigation": ("mitigation", str),
    ".forcedText": ("forced_text", str),
    ".layer": ("layer", int),
    ".n": ("n", int),
}
"""Name in a link -> field and type."""
SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class LaneRequest:
    """What a visitor asks of one lane.

    Method, keep, positions, mitigation, model, forced, tokens and n are as they were sent: `plan`
    and `Models.check` refuse what cannot be used. So the error is shown in this lane and the others
    run.
    """

    method: Any
    'Name of a reduction method; "" = all tokens, BY_HAND = the tokens in `tokens`.'
    keep: Any = None
    "Visual tokens that are left."
    positions: Any = None
    "keep, repack or mean; None = as published."
    options: Mapping[str, Any] = field(default_factory=dict)
    "The method's options by name."
    mitigation: Any = ""
    mitigation_options: Mapping[str, Any] = field(default_factory=dict)
    forced: Any = ()
    "Token ids that the answer must begin with."
    forced_text: str = ""
    "The words that these ids are, for the lane's head."
    prompt: str = ""
    'A question of the lane\'s own; "" = the question of the whole run.'
    model: Any = ""
    'A model of the lane\'s own; "" = the model of the whole run.'
    layer: int | None = None
    "Layer that the lane's picture shows; the answer does not depend on it."
    tokens: Any = None
    "Numbers of the visual tokens chosen by hand, 0 to n - 1."
    n: Any = None
    "Visual tokens of the picture that they were chosen on."

    @classmethod
    def from_json(cls, sent: Mapping[str, Any]) -> LaneRequest:
        """Return the lane that a browser or a program sent; unknown fields are left out.

        Raises:
            InputError: options that are not names and values, or a question that is not a text.
        """
        sent = echoed(sent)
        options, extra = sent.get("options") or {}, sent.get("mitigation_options") or {}
        for given in (options, extra):
            if not isinstance(given, Mapping) or not all(isinstance(k, str) for k in given):
                raise InputError("the options of a lane must be names and values.")
        prompt, text, layer = sent.get("prompt") or "", sent.get("forcedText"), sent.get("layer")
        if not isinstance(prompt, str):
            raise InputError("the question of a lane must be a text.")
        by_hand = sent.get("method") == BY_HAND
        return cls(
            method=sent.get("method"),
            keep=sent.get("keep"),
            positions=sent.get("positions"),
            options=options,
            mitigation=sent.get("mitigation") or "",
            mitigation_options=dict(extra) if sent.get("mitigation") else {},
            forced=sent.get("forced") or (),
            forced_text=text[:MAX_FORCED_TEXT] if isinstance(text, str) else "",
            prompt=prompt,
            model=sent.get("model") or "",
            layer=layer if _is_whole(layer) else None,
            tokens=sent.get("tokens") if by_hand else None,
            n=sent.get("n") if by_hand else None,
        )

    @classmethod
    def from_link(cls, text: str) -> LaneRequest | None:
        """Return the lane that stands in a link as "fastv:36;layer=3"; None for anything else.

        The method's options stand under their names; fields of the lane begin with a dot, such as
        `.prompt`, `.mitigation.alpha`, `.forced`, `.layer`. Values are JSON, percent-encoded.
        """
        head, *pairs = text.split(";")
        found = re.fullmatch(r"([a-z0-9_]{1,40}):([0-9]{1,7})", head)
        if not found:
            return None
        lane = cls(LINK_METHODS.get(found[1], found[1]), int(found[2]))
        for pair in pairs:
            name, _, value = pair.partition("=")
            lane = lane._with_link_field(name, _link_value(unquote(value)))
        by_hand = lane.method == BY_HAND
        return None if by_hand and None in (lane.tokens, lane.n) else lane

    def _with_link_field(self, name: str, value: Any) -> LaneRequest:
        """Return the lane with one field of a link; an unknown field is ignored."""
        option = re.fullmatch(r"(\.mitigation\.)?([a-z0-9_]{1,40})", name)
        if name == "positions":
            return replace(self, positions=value)
        if option and isinstance(value, SCALARS):
            if option[1]:
                extra = {**self.mitigation_options, option[2]: value}
                return replace(self, mitigation_options=extra)
            return replace(self, options={**self.options, option[2]: value})
        if name == ".tokens" and re.fullmatch(f"[0-9a-f]{{1,{MAX_HEX_DIGITS}}}", str(value)):
            return replace(self, tokens=read_bits(str(value)))
        if name == ".forced" and isinstance(value, list) and all(type(i) is int for i in value):
            return replace(self, forced=value)
        known, kind = LINK_FIELDS.get(name, ("", None))
        named: dict[str, Any] = {known: value}
        return replace(self, **named) if kind is type(value) else self

    def to_json(self) -> dict[str, Any]:
        """Return the lane as the page's scripts read it; empty fields are left out."""
        fields = {
            "positions": self.positions,
            "mitigation": self.mitigation,
            "mitigation_options": dict(self.mitigation_options),
            "forced": list(self.forced) if isinstance(self.forced, tuple) else self.forced,
            "forcedText": self.forced_text,
            "prompt": self.prompt,
            "model": self.model,
            "tokens": self.tokens,
        }
        found = {"method": self.method, "keep": self.keep, "options": dict(self.options)}
        found |= {name: value for name, value in fields.items() if value}
        numbers = {"layer": self.layer, "n": self.n}
        return found | {name: value for name, value in numbers.items() if value is not None}

    @property
    def key(self) -> str:
        """A text that is equal for lanes with the same answer; fields for display are not in it."""
        names = ("method", "keep", "mitigation", "forced", "prompt", "model", "positions", "tokens")
        options = (sorted(found.items()) for found in (self.options, self.mitigation_options))
        return repr((*(getattr(self, name) or None for name in names), *options))

    @property
    def by_hand(self) -> bool:
        """Whether the visitor chose the tokens."""
        return bool(self.method == BY_HAND)

    @property
    def baseline(self) -> str:
        """Which baseline the lane is, SMALLER or BLIND; "" for any other lane."""
        if self.method == SMALLER and not self.mitigation:
            return SMALLER
        return BLIND if self.method == "" and self.mitigation == BLIND else ""

    def plan(self) -> Plan:
        """Return the plan that answers the lane; raises InputError with a sentence."""
        mitigation = _mitigated(self.mitigation, self.mitigation_options)
        extra = Plan((), mitigation, read_forced(self.forced))
        if self.by_hand:
            return chosen(read_tokens(self.tokens, self.n), BY_HAND_TITLE).then(extra)
        if self.method == "":
            return extra
        if not isinstance(self.method, str):
            raise InputError("choose a method for this lane.")
        if not _is_whole(self.keep) or self.keep < 1:
            got = str(self.keep)[:40]
            raise InputError(f"keep must be a whole number of tokens from 1 on, got {got}.")
        step = Step(self.method, self.keep, self.options, self.positions or None)
        return Plan((step,)).then(extra)


def read_lanes(sent: Any) -> list[LaneRequest]:
    """Return the lanes that a browser sent, with everything unexpected left out.

    Raises:
        InputError: not a list of lanes, or too many.
    """
    if not isinstance(sent, list) or not all(isinstance(lane, Mapping) for lane in sent):
        raise InputError("the lanes must be a list of {method, keep, positions, options}.")
    if len(sent) > MAX_TOGETHER:
        raise too_many(len(sent))
    lanes = [LaneRequest.from_json(lane) for lane in sent]
    if not fit_together(lanes):
        raise too_many(len(sent))
    return lanes


def fit_together(lanes: Sequence[LaneRequest]) -> bool:
    """Return whether lanes may stand side by side: methods, each baseline once, one by hand."""
    on_top = {lane.baseline or BY_HAND for lane in lanes if lane.baseline or lane.by_hand}
    by_hand = sum(lane.by_hand for lane in lanes)
    return len(lanes) - len(on_top) <= MAX_LANES and by_hand <= 1


def too_many(count: int) -> InputError:
    """Return the error about more lanes than can be compared."""
    return InputError(
        f"at most {MAX_LANES} methods, the two baselines and one choice by hand can be compared, "
        f"got {count} lanes."
    )


def lanes_json(lanes: Sequence[LaneRequest] | None) -> list[dict[str, Any]] | None:
    """Return lanes as the page's scripts read them; None stays None."""
    return None if lanes is None else [lane.to_json() for lane in lanes]


def read_bits(digits: str) -> list[int]:
    """Return the tokens of a choice by hand: bit 8 of the first digit is token 0, bit 4 token 1."""
    bits = "".join(f"{int(digit, 16):04b}" for digit in digits)
    return [token for token, bit in enumerate(bits) if bit == "1"]


def echoed(value: Any, deep: int = 0) -> Any:
    """Return what a browser sent as it can be sent back: a page shows its lanes' settings again.

    JSON of 64-bit integers and UTF-8 has no longer number and no half of a letter; a number is cut
    to what every browser counts exactly, and what is nested deeper than MAX_DEPTH is left out.
    """
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, -MAX_WHOLE), MAX_WHOLE)
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, Mapping):
        pairs = value.items() if deep < MAX_DEPTH else ()
        return {echoed(key): echoed(one, deep + 1) for key, one in pairs}
    if isinstance(value, list):
        return [echoed(one, deep + 1) for one in value] if deep < MAX_DEPTH else []
    return value


def _link_value(text: str) -> Any:
    try:
        return echoed(json.loads(text))
    except (ValueError, RecursionError):
        return whole_text(text)


def _mitigated(name: Any, options: Mapping[str, Any]) -> Mitigated | None:
    """Return the mitigation that a browser names, or None; options not given are as published."""
    if not name:
        return None
    if not isinstance(name, str):
        raise InputError("a mitigation is given by its name.")
    return Mitigated(name, options)


def read_forced(ids: Any) -> tuple[int, ...]:
    """Return the token ids that an answer is to begin with."""
    if not ids:
        return ()
    listed = isinstance(ids, list | tuple) and len(ids) <= MAX_FORCED
    if not listed or not all(map(_is_whole, ids)):
        raise InputError(f"forced words must be at most {MAX_FORCED} token ids.")
    return tuple(ids)


def read_tokens(tokens: Any, n: Any) -> Reduction:
    """Return the reduction that keeps exactly the tokens that a browser names.

    Args:
        tokens: list of token numbers, 0 to n - 1, each once.
        n: number of visual tokens of the picture they were chosen on.

    Raises:
        InputError: anything else.
    """
    if not _is_whole(n) or not 1 <= n <= MAX_TOKENS:
        raise InputError("the number of visual tokens is missing from a choice by hand.")
    if not isinstance(tokens, list) or not tokens or not all(map(_is_whole, tokens)):
        raise InputError("choose at least one token by hand.")
    if len(set(tokens)) != len(tokens) or not 0 <= min(tokens) <= max(tokens) < n:
        raise InputError(f"tokens chosen by hand must be 0 to {n - 1}, each once.")
    return Reduction.select(tokens, n)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
