"""Running the model for one request: stream, remember, and show what came of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from components.runs.asking import Request, make_plan
from components.runs.journal import JOURNAL, Entry
from components.runs.models import MOST_LOADED, Models
from components.runs.runs import FULL, RUNS, STOPS, Run, Stop
from components.runs.showing import card, lanes_value, machine_line
from components.runs.zero_gpu import borrowed
from tokviz.errors import InputError, TokvizError
from tokviz.images import open_image
from tokviz.plans import Plan
from tokviz.view.lanes import lane_card
from tokviz.view.overlay import pending_payload

if TYPE_CHECKING:
    from tokviz.models.vlm import LaneView

PACE = 0.08
"""Seconds between two updates of the page while lanes stream."""
PATIENCE = 5.0
"""Seconds that a stopped run gets to hand over what it has."""
NO_IMAGE = "Choose a picture first: upload one, paste one, take a photo, or click an example."


NO_FILE = (
    "this picture is no longer kept: uploads are deleted after an hour, or when the server needs "
    "the room. Choose it again."
)


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


def choose(models: Models, request: Request, session: str) -> list[int]:
    """Return the tokens at whose places the first lane's method leaves something, ascending.

    Raises:
        TokvizError: there is no picture, or the method cannot be used on it.
    """
    image, wanted = opened(request), make_plan(request.plans[0])
    with (
        STOPS.run(session) as flag,
        closing(stream(models, request, image, [wanted], flag)) as steps,
    ):
        *_, views = steps
    lane = views[1]
    if lane.error or lane.trace is None:
        raise InputError(lane.error or "the method was stopped before it had chosen.")
    return sorted(set(lane.trace.reduction.position.tolist()))


def opened(request: Request) -> Image.Image:
    """Return the picture of a request; raises InputError where there is none (any more)."""
    if not request.image:
        raise InputError(NO_IMAGE)
    if isinstance(request.image, str) and not Path(request.image).exists():
        raise InputError(NO_FILE)
    return open_image(request.image)


def answer(models: Models, request: Request, session: str) -> Iterator[Progress]:
    """Run the full answer and the lanes together, yielding what the page should show.

    A run that was left (`Stops.leave`) ends without a further word.

    Raises:
        TokvizError: the whole request cannot be run; the message is for the visitor.
    """
    with held(request, session) as (flag, entry):
        try:
            for step in answering(models, request, flag):
                if flag.left:
                    return
                if step.run is not None:
                    full = step.run.traces[FULL]
                    entry.visual_tokens, entry.answer_tokens = full.n, len(full.answer_tokens)
                    entry.outcome = "stopped" if flag.is_set() else "done"
                yield step
        except InputError:
            if not flag.left:
                raise


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
    image = opened(request)
    plans, refused = _plans(request.plans, models)
    prompts = [request.plans[number].get("prompt") or request.prompt for number in plans]
    names = [request.plans[number].get("model") or request.model for number in plans]
    if len({request.model, *names}) > MOST_LOADED:
        raise InputError(f"at most {MOST_LOADED} models can be compared at once.")
    for name in dict.fromkeys([request.model, *names]):
        if not models.is_loaded(name):
            yield Progress("Loading the model: only the first time.")
            for line in models.coming(name):
                yield Progress(f"Loading the model, only the first time: {line}.")
    vlm = models.get(request.model)
    run = Run(image, request.prompt, request.model)
    run.example, run.source = request.example, request.source
    yield Progress("Reading the picture …")
    numbers, last, views = [FULL, *plans], 0.0, []
    deadline = time.monotonic() + request.seconds
    lanes = list(plans.values())
    with closing(stream(models, request, image, lanes, flag, prompts, names)) as stages:
        for views in stages:
            now = time.monotonic()
            if views[0].error:
                raise InputError(views[0].error)
            if now > deadline:
                flag.set("time")
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
    names: Sequence[str] = (),
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
    names: Sequence[str] = (),
) -> Generator[list[LaneView]]:
    """Run all lanes. Everything that goes in or comes out can be pickled (see `borrowed`).

    Lanes with the same model and question share one reading of the picture. `prompts` and `names`
    (of models) have one for each plan, or are empty when all are as the request's.
    """
    all_plans = [None, *plans]
    asked = [request.prompt, *(prompts or [request.prompt] * len(plans))]
    with_models = [request.model, *(names or [request.model] * len(plans))]
    groups: dict[tuple[str, str], list[int]] = {}
    for number, key in enumerate(zip(with_models, asked, strict=True)):
        groups.setdefault(key, []).append(number)
    found: dict[int, LaneView] = {}
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                closing(
                    models.get(model).stream(
                        [image], prompt, [all_plans[i] for i in lanes], request.limit, stop=flag
                    )
                )
            )
            for (model, prompt), lanes in groups.items()
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


def _plans(
    lanes: Sequence[Mapping[str, Any]], models: Models
) -> tuple[dict[int, Plan], dict[int, str]]:
    """Return the plans that can be run and, for the others, why not."""
    plans: dict[int, Plan] = {}
    refused: dict[int, str] = {}
    for number, lane in enumerate(lanes):
        try:
            models.check(lane.get("model") or models.names[0])
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
        "finish": "",
        "done": True,
        "error": reason,
        "metrics": [],
        "overlay": None,
    }


def _card(run: Run, number: int, view: LaneView, full: LaneView | None, phase: str) -> Any:
    if phase == "running":
        return lane_card(view, None) | {
            "overlay": None, "metrics": [], "words": [], "prompt": run.prompt
        }  # fmt: skip
    return card(run, number, view, full)
