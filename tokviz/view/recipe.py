"""Python source that reproduces a view: paste it into a notebook to get the same numbers.

Every text is written into the code by `repr`, also names of options (`**{...}`), so that no text of
a user can become code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tokviz.errors import InputError
from tokviz.reduction import METHODS
from tokviz.trace import Trace
from tokviz.view.words import text_tokens


def recipe(
    trace: Trace,
    view: Mapping[str, Any] | None = None,
    *,
    picture: str | Sequence[str] = "picture.png",
    lane: Mapping[str, Any] | None = None,
    frames: Mapping[str, Any] | None = None,
) -> str:
    """Return Python source that answers the question again and computes `trace` and `values`.

    Args:
        trace: the run.
        view: {map, layer, head, words, scaling, fates} as in a link; missing keys have the values
            of a new page.
        picture: path of the file, or of several in their order.
        lane: {method, keep, options, tokens} with which the run was made, or None.
        frames: how a film's frames were chosen (`Film.chosen`); None = by their times in `trace`.

    Raises:
        InputError: no code can make the run again; the message says why.
    """
    if why := why_not(trace, lane):
        raise InputError(f"There is no Python that makes this run again: {why}.")
    view = view or {}
    lines = ["import numpy as np", "import tokviz", "from tokviz.view.still import draw", ""]
    lines += [f"vlm = tokviz.load({str(trace.model.get('name', 'embedded'))!r})"]
    lines += _shown(trace, picture, frames)
    lines += [*_plan(trace, lane), f"trace = vlm.answer(shown, {trace.prompt!r}, plan)"]
    lines += ["print(trace.answer)", "", *values_code(trace, view), ""]
    lines += ["for token in np.argsort(-values)[:5]:", *_REPORT, ""]
    fates = ", fates=True" if trace.stages and view.get("fates", True) else ""
    scaling = f", scaling={str(view.get('scaling', 'linear'))!r}"
    lines += [f'draw(trace, values{scaling}{fates}).save("view.png")']
    return "\n".join(lines) + "\n"


def why_not(trace: Trace, lane: Mapping[str, Any] | None = None) -> str:
    """Return why no code can make a run again, as a clause; "" where some can."""
    if trace.model.get("imported"):
        return f"the decisions of {trace.model['imported']} were imported, and no model was run"
    if trace.model.get("reason") == "as given" or not trace.model.get("name"):
        return "its model was given as an object, under no name that tokviz.load knows"
    if not trace.answer_tokens:
        return "it holds no answer"
    if lane and (lane.get("tokens") or lane.get("method")):
        return ""
    foreign = [stage.method for stage in trace.stages if stage.method not in METHODS]
    return f"there is no method {foreign[0]!r} here" if foreign else ""


_REPORT = ["    print(token, values[token], trace.layout.box[token])"]


def _shown(
    trace: Trace, picture: str | Sequence[str], frames: Mapping[str, Any] | None
) -> list[str]:
    """Return the lines that name the pictures, or take the frames out of the film."""
    names = [picture] if isinstance(picture, str) else list(picture)
    if not trace.layout.is_film:
        return [f"shown = {(names[0] if len(names) == 1 else names)!r}"]
    if not frames:
        seconds = {second for tile in trace.layout.tiles for second in tile.time or ()}
        frames = {"times": sorted(seconds)}
    ((how, value),) = frames.items()
    given = list(map(float, value)) if how == "times" else plain(value)
    return [f"shown = tokviz.open_film({names[0]!r}, {how}={given!r})"]


def _plan(trace: Trace, lane: Mapping[str, Any] | None) -> list[str]:
    first, extra = _reducing(trace, lane), []
    if trace.mitigation is not None:
        options = _keywords(trace.mitigation.options)
        extra.append(f"plan = plan.mitigated({trace.mitigation.name!r}{options})")
    if lane and lane.get("forced"):
        extra.append(f"plan = plan.then(Plan(forced={tuple(map(int, lane['forced']))}))")
    if not extra:
        return first
    start = first if trace.stages else ["plan = Plan()  # all visual tokens"]
    return ["from tokviz.plans import Plan", *start, *extra]


def _reducing(trace: Trace, lane: Mapping[str, Any] | None) -> list[str]:
    if lane and lane.get("tokens"):
        tokens = sorted(map(int, lane["tokens"]))
        return [
            "from tokviz.plans import chosen",
            f"plan = chosen(tokviz.Reduction.select({tokens}, {trace.n}))",
        ]
    if not trace.stages:
        return ["plan = None  # all visual tokens"]
    steps = {stage.method: stage.reduction.m for stage in trace.stages}
    if len(steps) > 1 and not (lane and lane.get("method")):
        plans = [f"tokviz.plan({name!r}, keep={left})" for name, left in steps.items()]
        return [f"plan = {plans[0]}" + "".join(f".then({later})" for later in plans[1:])]
    lane = lane or {"method": trace.stages[0].method, "keep": trace.reduction.m}
    positions = {"positions": lane["positions"]} if lane.get("positions") else {}
    options = _keywords({**positions, **(lane.get("options") or {})})
    return [f"plan = tokviz.plan({str(lane['method'])!r}, keep={int(lane['keep'])}{options})"]


def _keywords(named: Mapping[str, Any]) -> str:
    """Return options as further arguments of a call; "" without options."""
    known = {str(name): plain(value) for name, value in named.items()}
    return f", **{known!r}" if known else ""


def plain(value: Any) -> Any:
    """Return a number, a text, True, False or None unchanged, and anything else as text.

    Only for these `repr` is Python code of the same value: NaN and infinity have no literal in
    Python, and the `repr` of any other class can be arbitrary text.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or type(value) in (bool, int, float, str) else str(value)


def values_code(trace: Trace, view: Mapping[str, Any]) -> list[str]:
    """Return the lines that compute `values`, one number per visual token."""
    layer, head = int(view.get("layer") or 0), view.get("head")
    kind = view.get("map", "attention")
    words, fold = _words(trace, view.get("words") or ())
    if kind == "score":
        return ["values = trace.stages[0].reduction.score"]
    if kind == "phi":
        return [f'values = trace["sink_phi"][{layer}, trace["token_position"]].astype(np.float32)']
    if kind == "tower":
        # a layer is a row of the array, also where only some layers were recorded
        name = "cls_attention" if "cls_attention" in trace else "received_attention"
        heads = f"{name}_heads"
        single = head is not None and heads in trace
        where = f'"{heads}"][{layer}, {int(head or 0)}]' if single else f'"{name}"][{layer}]'
        return [f"values = trace[{where}.astype(np.float32)"]
    if kind == "tam":
        return [
            f"words = {words}  # which answer tokens",
            f'values = tokviz.analyse("tam", trace).values[words].{fold}(0)',
        ]
    single = head is not None and "attention_heads" in trace
    where = f"words, {layer}" + (f", {int(head or 0)}" if single else "")
    name = "attention_heads" if single else "attention"
    return [
        f"words = {words}  # which answer tokens",
        f'values = trace["{name}"][{where}].astype(np.float32).{fold}(0)',
    ]


def _words(trace: Trace, chosen: Sequence[int]) -> tuple[list[int], str]:
    """Return the answer tokens that a view sums (chosen tokens) or averages (all text tokens)."""
    existing = [int(word) for word in chosen if 0 <= int(word) < trace.t]
    if existing:
        return existing, "sum"
    return text_tokens(trace), "mean"
