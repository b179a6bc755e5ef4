"""The values that the widgets show of a run: the viewer's payload, lane cards, charts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np
import plotly.graph_objects as go

import tokviz
from tokviz.evaluation.same_answer import same_answer
from tokviz.film import Film
from tokviz.film.choice import choice_words
from tokviz.time_ratio import repeats_of
from tokviz.trace import Trace
from tokviz.view.charts import layer_chart, probability_chart, time_chart
from tokviz.view.explorer import explorer_payload, find_sinks
from tokviz.view.lanes import lane_card
from tokviz.view.method_cards import method_card, mitigation_card
from tokviz.view.overlay import overlay_payload
from tokviz.view.run_facts import unseen_share
from tokviz.view.run_names import run_name

from ..runs.lane_request import BY_HAND, MAX_LANES, MAX_TOGETHER, LaneRequest, lanes_json
from ..runs.runs import FULL, KeptRun
from ..widgets.payload_cache import CachedPayload

DEFAULT_METHODS = ("fastervlm", "divprune", "fastv")
START_HINT = "Each lane really removes tokens and answers again."


@dataclass
class StoredLaneView:
    """A stored lane with the fields of a lane that has just been run."""

    trace: Trace
    error: str | None = None
    done: bool = True

    @property
    def text(self) -> str:
        return self.trace.answer

    @property
    def finish(self) -> str:
        return self.trace.finish

    @property
    def timings(self) -> Mapping[str, float]:
        return self.trace.timings

    @property
    def visual_tokens(self) -> int:
        return self.trace.reduction.m

    @property
    def kv_bytes(self) -> int:
        return self.trace.kv_bytes


def explorer(
    run: KeptRun, lane: int = FULL, view: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the viewer's payload for one lane of a run."""
    if run.stored:
        return stored_explorer(run, lane).with_own(view=dict(view or {}))
    return _explorer(run, lane) | {"view": dict(view or {})}


def _explorer(run: KeptRun, lane: int) -> dict[str, Any]:
    payload = explorer_payload(run.traces[lane], f"{run.name}:{lane}", title=run.example)
    return payload | {
        "savable": True,
        "truth": missed_truth(run, lane),
        "origin": "file" if run.file_note else "stored" if run.stored else "here",
        "letterbox": run.image is not None and unseen_share(run.traces[lane]) > 0,
        "example": run.example,
        "lane": lane if lane >= 0 else None,
        "link": link_words(run, lane),
    }


def missed_truth(run: KeptRun, lane: int) -> str:
    """Return the right answer where it is known and the lane's answer is another one."""
    missed = run.truth and not same_answer(run.traces[lane].answer, run.truth)
    return run.truth if missed else ""


def link_words(run: KeptRun, lane: int) -> dict[str, Any]:
    """Return what a link needs to show this run again: nothing without a stored picture.

    `run` says that the model must answer first; the page makes it `compare` for lanes.
    """
    if not run.source:
        return {}
    return {
        "example": run.source,
        "prompt": None if run.example else run.prompt,
        "lane": lane if lane >= 0 else None,
        "model": run.model,
        "run": None if run.stored else "ask",
        **({} if run.stored or not isinstance(run.image, Film) else choice_words(run.image.chosen)),
    }


def catalogue(has_cls: bool) -> list[dict[str, Any]]:
    """Return the method menu, with a reason where this model cannot run a method."""
    cards = []
    for method in tokviz.METHODS.values():
        available = {*method.needs, *method.fallbacks.values()}
        if not has_cls:
            available -= {"cls_attn", "cls_logits", "cls_pre"}
        lacking = method.missing(available)
        reason = f"needs {lacking[0]}, which this model does not have" if lacking else ""
        cards.append(method_card(method, reason))
    order = {"before the language model": 0, "inside the language model": 1}
    return sorted(cards, key=lambda card: (order.get(card["where"], 2), card["title"].lower()))


def mitigation_menu() -> list[dict[str, Any]]:
    """Return the mitigations that a lane can have; those that only measure are left out."""
    return [mitigation_card(m) for m in tokviz.MITIGATIONS.values() if m.kinds != ("diagnostic",)]


def default_lanes(n: int) -> list[LaneRequest]:
    """Return the lanes that a first visitor sees: a quarter of the tokens, by three methods."""
    known = [name for name in DEFAULT_METHODS if name in tokviz.METHODS]
    return [LaneRequest(name, max(1, n // 4)) for name in known]


def lanes_value(
    n: int,
    model: Mapping[str, Any],
    lanes: Sequence[LaneRequest] | None,
    full: Mapping[str, Any] | None,
    cards: Sequence[Mapping[str, Any] | None],
    *,
    phase: str = "done",
    foot: str = "",
) -> dict[str, Any]:
    """Return the comparison's value.

    Args:
        n: visual tokens of the picture.
        model: what is known about the model, as in `VLM.info`.
        lanes: what is asked of each lane; None leaves the visitor's settings as they are.
        full: card of the answer with all tokens.
        cards: one for each lane; None = not run yet.
        phase: running or done.
        foot: a line below the lanes.
    """
    return menus(model, phase) | {
        "model": str(model.get("name", "")),
        "n": n,
        "most": MAX_LANES,
        "ready": True,
        "phase": phase,
        "plans": lanes_json(lanes),
        "full": full,
        "lanes": [without_pictures(card, full) for card in cards],
        "hint": START_HINT,
        "foot": foot,
    }


def menus(model: Mapping[str, Any], phase: str) -> dict[str, Any]:
    """Return the menus of methods and mitigations; None each while a run writes.

    They have 180 KB, a run has some tens of updates, and the page keeps the menus that it has.
    """
    if phase == "running":
        return {"catalogue": None, "mitigations": None}
    has_cls = bool(model.get("has_cls", True))
    return {"catalogue": catalogue(has_cls), "mitigations": mitigation_menu()}


def without_pictures(
    shown: Mapping[str, Any] | None, full: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return a lane's card without the pictures that the full answer's card has: sent once a run.

    Their `src` is empty then, and the page takes them from the full answer.
    """
    own, others = (one["overlay"] if one else None for one in (shown, full))
    if shown is None or not own or not others or own["images"] != others["images"]:
        return shown
    bare = [image | {"src": ""} for image in own["images"]]
    return {**shown, "overlay": own | {"images": bare}}


def card(run: KeptRun, number: int, lane: Any, full: Any | None) -> dict[str, Any]:
    """Return a lane's card; its picture is there once the lane has a trace."""
    asked = run.lanes.get(number) or LaneRequest("")
    own_question = bool(asked.prompt) and asked.prompt != run.prompt
    own_model = bool(asked.model) and asked.model != run.model
    shown = lane_card(lane, None if own_question else full)
    trace = getattr(lane, "trace", None)
    shown |= {"overlay": None, "by": asked.model if own_model else "", "n": trace.n if trace else 0}
    shown["prompt"] = run.prompt
    shown["seconds"] = trace.timings.get("total") if trace else None
    if own_question and not lane.error:
        shown["verdict"] = "An answer to its own question, so it is not compared word by word."
    if own_model:
        shown["distances"] = []
    if run.file_note:
        shown["verdict"] = run.file_note
    if lane.done and not lane.error and trace is not None:
        sinks, _ = find_sinks(trace)
        shown["overlay"] = overlay_payload(trace, f"{run.name}:{number}", sinks=sinks, slim=True)
    return shown


def computed_once(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what a function returns for a stored run, which never changes."""

    @wraps(draw)
    def remembered(run: KeptRun, *args: Any) -> Any:
        key = (draw.__name__, args)
        if not run.stored:
            return draw(run, *args)
        if key not in run.drawn:
            run.drawn[key] = draw(run, *args)
        return run.drawn[key]

    return remembered


@computed_once
def stored_explorer(run: KeptRun, lane: int) -> CachedPayload:
    """Return the viewer's payload for one lane of a stored run."""
    if run.cache is None:
        raise ValueError(f"{run.name} is not a stored example")
    return run.cache.put(_explorer(run, lane))


@computed_once
def stored_lanes(run: KeptRun) -> dict[str, Any]:
    """Return the comparison's value for a run whose lanes are all kept."""
    finished = {number: StoredLaneView(trace) for number, trace in run.traces.items()}
    full = finished.get(FULL)
    numbers = sorted(number for number in finished if number != FULL)
    lanes = [run.lanes.get(number) or lane_of(run.traces[number]) for number in numbers]
    cards = [card(run, number, finished[number], full) for number in numbers]
    main = run.traces[FULL] if FULL in run.traces else next(iter(run.traces.values()))
    if not lanes:
        lanes, cards = default_lanes(main.n), []
    first = card(run, FULL, full, None) if full else None
    foot = machine_line([main, *run.traces.values()])
    value = lanes_value(main.n, main.model, lanes, first, cards, foot=foot)
    return value if run.cache is None else run.cache.put(value)


def with_lanes(run: KeptRun, lanes: Sequence[LaneRequest] | None) -> dict[str, Any]:
    """Return the comparison's value for a run, with these lanes instead of its own.

    A lane that the run has keeps its card, another one has none: it has not been asked yet.
    """
    value = stored_lanes(run)
    if not lanes:
        return value
    numbers = sorted(number for number in run.traces if number != FULL)
    there = {
        (run.lanes.get(number) or lane_of(run.traces[number])).key: card
        for number, card in zip(numbers, value["lanes"], strict=False)
    }
    wanted = list(lanes)[:MAX_TOGETHER]
    return value | {"plans": lanes_json(wanted), "lanes": [there.get(lane.key) for lane in wanted]}


def lane_of(trace: Trace) -> LaneRequest:
    """Return what a stored trace was made with, as far as it says."""
    methods = [stage.method for stage in trace.stages if stage.method in tokviz.METHODS]
    lane = LaneRequest(methods[0] if methods else "", trace.reduction.m)
    if trace.stages and not methods:  # tokens chosen by hand, or a method that is not installed
        kept = np.flatnonzero(trace.reduction.group >= 0).tolist()
        lane = replace(lane, method=BY_HAND, tokens=kept, n=trace.n)
    if trace.mitigation is not None and trace.mitigation.name in tokviz.MITIGATIONS:
        told = dict(trace.mitigation.options)
        lane = replace(lane, mitigation=trace.mitigation.name, mitigation_options=told)
    return lane


def machine_line(traces: Sequence[Trace]) -> str:
    """Say on what the times were measured, of a run's lanes; the first is the full answer."""
    trace = traces[0]
    device, dtype = trace.model.get("device", ""), trace.model.get("dtype", "")
    if not device:
        return ""
    how = "lanes taking turns one token at a time"
    if any(lane.timings.get("shared") for lane in traces):
        how += " at first, then several tokens in one batch (a total counts each of these as the "
        how += "median of the steps that the lane took alone)"
    repeats = len(repeats_of(trace.model, "total"))
    again = f" Ratios are of {repeats} further rounds in turn." if repeats else ""
    return (
        f"Times were measured in this run on {device} ({dtype}), {how}; the picture is encoded "
        f"once and counted in every lane.{again}"
    )


@computed_once
def charts(run: KeptRun, lane: int = FULL) -> tuple[go.Figure, go.Figure, go.Figure]:
    """Return the three charts of one lane: layers, words, times of all lanes."""
    trace = run.traces[lane]
    sinks, _ = find_sinks(trace)
    numbers = sorted(run.traces)
    names = [run_name(run.traces[number]) for number in numbers]
    times = [dict(run.traces[number].timings) for number in numbers]
    return layer_chart(trace, sinks), probability_chart(trace), time_chart(names, times)
