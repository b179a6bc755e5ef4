"""Running the model for one request: validate, stream, remember, and show what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from components.borrowed import borrowed
from components.journal import JOURNAL, Entry
from components.models import Models
from components.runs import FULL, RUNS, STOPS, Run, Stop
from components.showing import MOST_LANES, card, lanes_value, machine_line
from components.state import Settings
from tokviz.errors import InputError, TokvizError
from tokviz.images import open_image
from tokviz.matrix import Reduction
from tokviz.plans import Mitigated, Plan, Step, chosen
from tokviz.view.lanes import lane_card
from tokviz.view.overlay import pending_payload

if TYPE_CHECKING:
    from tokviz.models.vlm import LaneView

MAX_NEW_TOKENS = 64
PACE = 0.08
"""Seconds between two updates of the page while lanes stream."""
PATIENCE = 5.0
"""Seconds that a stopped run gets to hand over what it has."""
BY_HAND = "by hand"
"""Method name of a lane whose tokens the visitor chose, as in assets/js/lanes.js."""
BY_HAND_TITLE = "chosen by hand"
MOST_TOKENS = 100_000
MAX_FORCED = 64
NO_IMAGE = "Choose a picture first: upload one, paste one, take a photo, or click an example."


@dataclass
class Progress:
    """One update of the page."""

    text: str = ""
    kind: str = "busy"
    picture: dict[str, Any] | None = None
    "A new payload for the explorer while the answer is being written."
    lanes: dict[str, Any] | None = None
    run: Run | None = None
    "The finished run."


@dataclass
class Request:
    """What one visitor asked for, checked as far as possible without a model."""

    image: Any
    prompt: str
    model: str
    plans: list[Mapping[str, Any]] = field(default_factory=list)
    limit: int = MAX_NEW_TOKENS
    seconds: float = 300.0
    example: str = ""
    "Stored example whose picture and question these are, or nothing."


def ask_about(
    settings: Settings,
    image: Any,
    prompt: str | None,
    model: str,
    plans: Sequence[Mapping[str, Any]] = (),
    example: str = "",
) -> Request:
    """Return a visitor's request within the server's limits."""
    limit, seconds = settings.max_new_tokens, settings.max_seconds
    return Request(image, prompt or "", model, list(plans), limit, seconds, example)


def read_plans(sent: Any) -> list[dict[str, Any]]:
    """Return the lanes that a browser sent, with everything unexpected left out.

    Raises:
        InputError: not a list of lanes, or too many.
    """
    if not isinstance(sent, list) or not all(isinstance(lane, Mapping) for lane in sent):
        raise InputError("the lanes must be a list of {method, keep, positions, options}.")
    by_hand = sum(lane.get("method") == BY_HAND for lane in sent)
    if len(sent) - by_hand > MOST_LANES or by_hand > 1:
        raise InputError(
            f"at most {MOST_LANES} methods and one choice by hand can be compared, got {len(sent)}."
        )
    lanes = []
    for lane in sent:
        options = lane.get("options") or {}
        if not isinstance(options, Mapping) or not all(isinstance(k, str) for k in options):
            raise InputError("the options of a lane must be names and values.")
        named = {name: lane.get(name) for name in ("method", "keep", "positions")}
        named |= {name: lane[name] for name in ("mitigation", "forced") if lane.get(name)}
        if lane.get("prompt"):
            if not isinstance(lane["prompt"], str):
                raise InputError("the question of a lane must be a text.")
            named["prompt"] = lane["prompt"]
        if named["method"] == BY_HAND:
            named |= {"tokens": lane.get("tokens"), "n": lane.get("n")}
        lanes.append(named | {"options": options})
    return lanes


def make_plan(lane: Mapping[str, Any]) -> Plan:
    """Return the plan of one lane; raises InputError with a sentence."""
    method, keep = lane["method"], lane["keep"]
    if method == BY_HAND:
        return chosen(read_tokens(lane.get("tokens"), lane.get("n")), BY_HAND_TITLE)
    extra = Plan((), read_mitigation(lane.get("mitigation")), read_forced(lane.get("forced")))
    if method == "":
        return extra
    if not isinstance(method, str):
        raise InputError("choose a method for this lane.")
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise InputError(f"keep must be a whole number of tokens from 1 on, got {str(keep)[:40]}.")
    step = Step(method, keep, lane["options"], lane.get("positions") or None)
    return Plan((step,)).then(extra)


def read_mitigation(name: Any) -> Mitigated | None:
    """Return the mitigation that a browser names, with its published options, or None."""
    if not name:
        return None
    if not isinstance(name, str):
        raise InputError("a mitigation is given by its name.")
    return Mitigated(name)


def read_forced(ids: Any) -> tuple[int, ...]:
    """Return the token ids that an answer is to begin with."""
    if not ids:
        return ()
    if not isinstance(ids, list) or len(ids) > MAX_FORCED or not all(map(_whole, ids)):
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
    if not _whole(n) or not 1 <= n <= MOST_TOKENS:
        raise InputError("the number of visual tokens is missing from a choice by hand.")
    if not isinstance(tokens, list) or not tokens or not all(map(_whole, tokens)):
        raise InputError("choose at least one token by hand.")
    if len(set(tokens)) != len(tokens) or not 0 <= min(tokens) <= max(tokens) < n:
        raise InputError(f"tokens chosen by hand must be 0 to {n - 1}, each once.")
    return Reduction.select(tokens, n)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def choose(models: Models, request: Request, session: str) -> list[int]:
    """Return the tokens at whose places the first lane's method leaves something, ascending.

    Raises:
        TokvizError: there is no picture, or the method cannot be used on it.
    """
    if not request.image:
        raise InputError(NO_IMAGE)
    image, wanted = open_image(request.image), make_plan(request.plans[0])
    with (
        STOPS.run(session) as flag,
        closing(stream(models, request, image, [wanted], flag)) as steps,
    ):
        *_, views = steps
    lane = views[1]
    if lane.error or lane.trace is None:
        raise InputError(lane.error or "the method was stopped before it had chosen.")
    return sorted(set(lane.trace.reduction.position.tolist()))


def answer(models: Models, request: Request, session: str) -> Iterator[Progress]:
    """Run the full answer and the lanes together, yielding what the page should show.

    Raises:
        TokvizError: the whole request cannot be run; the message is for the visitor.
    """
    with held(request, session) as (flag, entry):
        for step in answering(models, request, flag):
            if step.run is not None:
                full = step.run.traces[FULL]
                entry.visual_tokens, entry.answer_tokens = full.n, len(full.answer_tokens)
                entry.outcome = "stopped" if flag.is_set() else "done"
            yield step


@contextmanager
def held(request: Request, session: str) -> Iterator[tuple[Stop, Entry]]:
    """Give a run its stop flag and its line in the journal."""
    entry = Entry(request.model, session, [str(lane.get("method")) for lane in request.plans])
    began, entry.outcome = time.monotonic(), "left"
    try:
        with STOPS.run(session) as flag:
            yield flag, entry
    except TokvizError:
        entry.outcome = "refused"
        raise
    except Exception:
        entry.outcome = "failed"
        raise
    finally:
        entry.seconds = time.monotonic() - began
        JOURNAL.write(entry)


def answering(models: Models, request: Request, flag: Stop) -> Iterator[Progress]:
    """Do the work of `answer`; a raised flag ends it after the token that is being written."""
    if not request.image:
        raise InputError(NO_IMAGE)
    image = open_image(request.image)
    if not models.is_loaded(request.model):
        yield Progress("Loading the model: only the first time.")
    vlm = models.get(request.model)
    run = Run(image, request.prompt, request.model, example=request.example)
    plans, refused = _plans(request.plans)
    yield Progress("Reading the picture …")
    numbers, last, views = [FULL, *plans], 0.0, []
    deadline = time.monotonic() + request.seconds
    prompts = [request.plans[number].get("prompt") or request.prompt for number in plans]
    with closing(stream(models, request, image, list(plans.values()), flag, prompts)) as stages:
        for views in stages:
            now = time.monotonic()
            if views[0].error:
                raise InputError(views[0].error)
            if now > deadline:
                flag.set()
            if now > deadline + PATIENCE:
                break
            if now - last < PACE:
                continue
            last = now
            picture = pending_payload(image, request.prompt, views[0].tokens)
            value = _lanes(run, request, numbers, views, refused, vlm.info, "running")
            yield Progress("Answering …", picture=picture, lanes=value)
    run.plans = dict(enumerate(request.plans))
    run.traces = {n: v.trace for n, v in zip(numbers, views, strict=True) if v.trace is not None}
    if FULL not in run.traces:
        raise InputError("the run was stopped before the model had begun to answer.")
    RUNS.put(run)
    value = _lanes(run, request, numbers, views, refused, vlm.info, "done")
    text, kind = closing_words(vlm, run, flag.is_set())
    yield Progress(text, kind, lanes=value, run=run)


def seconds_needed(
    models: Models,
    request: Request,
    image: Any,
    plans: Sequence[Plan],
    flag: Stop,
    prompts: Sequence[str] = (),
) -> int:
    """Return how long to borrow a GPU for: reading, then every token of every lane."""
    return 10 + int(0.06 * request.limit * (1 + len(plans)))


@borrowed(seconds_needed)
def stream(
    models: Models,
    request: Request,
    image: Any,
    plans: Sequence[Plan],
    flag: Stop,
    prompts: Sequence[str] = (),
) -> Iterator[list[LaneView]]:
    """Run all lanes. Everything that goes in or comes out can be pickled (see `borrowed`).

    Lanes with the same question share one reading of the picture; `prompts` has one for each plan,
    or is empty when all are asked the request's.
    """
    vlm, all_plans = models.get(request.model), [None, *plans]
    asked = [request.prompt, *(prompts or [request.prompt] * len(plans))]
    groups: dict[str, list[int]] = {}
    for number, prompt in enumerate(asked):
        groups.setdefault(prompt, []).append(number)
    found: dict[int, LaneView] = {}
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                closing(
                    vlm.stream(
                        [image], prompt, [all_plans[i] for i in lanes], request.limit, stop=flag
                    )
                )
            )
            for prompt, lanes in groups.items()
        ]
        for steps in zip_longest(*runs):
            for lanes, views in zip(groups.values(), steps, strict=True):
                found |= dict(zip(lanes, views or (), strict=False))
            yield [found[number] for number in range(len(asked))]


def closing_words(vlm: Any, run: Run, stopped: bool) -> tuple[str, str]:
    """Return what is said when a run is over."""
    unknown = vlm.unknown_words(run.prompt)[:8]
    said = ["Stopped: this is as far as the answers came."] if stopped else []
    if unknown:
        words = ", ".join(f"“{word[:40]}”" for word in unknown)
        said.append(f"This model does not know {words}; it reads such words as “unknown”.")
    return " ".join(said), "warn" if said else ""


def _plans(lanes: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Plan], dict[int, str]]:
    """Return the plans that can be run and, for the others, why not."""
    plans: dict[int, Plan] = {}
    refused: dict[int, str] = {}
    for number, lane in enumerate(lanes):
        try:
            plans[number] = make_plan(lane)
        except TokvizError as error:
            refused[number] = str(error)
    return plans, refused


def _lanes(
    run: Run,
    request: Request,
    numbers: Sequence[int],
    views: Sequence[LaneView],
    refused: Mapping[int, str],
    model: Mapping[str, Any],
    phase: str,
) -> dict[str, Any]:
    by_number = dict(zip(numbers, views, strict=True))
    full = by_number[FULL]
    cards: list[Any] = []
    for number in range(len(request.plans)):
        if number in refused:
            cards.append(refused_card(refused[number]))
        else:
            cards.append(_card(run, number, by_number[number], full, phase))
    first = _card(run, FULL, full, None, phase)
    foot = machine_line(full.trace) if full.trace else ""
    n = full.total_visual_tokens
    return lanes_value(n, model, request.plans or None, first, cards, phase=phase, foot=foot)


def refused_card(reason: str) -> dict[str, Any]:
    """Return the card of a lane that could not be run at all."""
    return {
        "text": "",
        "words": [],
        "verdict": "",
        "changed": False,
        "done": True,
        "error": reason,
        "metrics": [],
        "overlay": None,
    }


def _card(run: Run, number: int, view: LaneView, full: LaneView | None, phase: str) -> Any:
    if phase == "running":
        return lane_card(view, None) | {"overlay": None, "metrics": [], "words": []}
    return card(run, number, view, full)
