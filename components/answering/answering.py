"""Running the model for one request: write the answers, keep the run, report progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from tokviz import METHODS
from tokviz.errors import InputError, TokvizError
from tokviz.images import PREVIEW_SIDE, preview_jpeg
from tokviz.plans import Plan
from tokviz.trace.unlike_pictures import says_unlike
from tokviz.view.encode import data_url
from tokviz.view.lanes import lane_card
from tokviz.view.overlay import pending_payload, side_among

from ..runs.journal import Entry
from ..runs.lane_request import BY_HAND, LaneRequest
from ..runs.models import MAX_LOADED, Models, photograph_hint
from ..runs.pictures import Sent, Shown, as_list
from ..runs.runs import FULL, KeptRun
from ..runs.stops import Stop
from ..site import Site
from .run_request import RunRequest
from .streaming import stream
from .widget_values import card, lanes_value, machine_line

if TYPE_CHECKING:
    from tokviz.models.vlm import LaneView

UPDATE_INTERVAL_S = 0.08
"""Seconds between two updates of the page while lanes stream."""
UNKNOWN = "unknown"
"""What the journal says for a model or method that there is not."""
STOP_GRACE_S = 5.0
"""Seconds that a run has to end after it was told to stop; then it is cut off."""
NO_IMAGE = "Choose a picture first: upload one, paste one, take a photo, or click an example."
NO_FILE = (
    "this picture is no longer kept: uploads are deleted after an hour, or when the server needs "
    "the room. Choose it again."
)


@dataclass
class PageUpdate:
    """One update of the page while a request is answered."""

    text: str = ""
    kind: str = "busy"
    picture: dict[str, Any] | None = None
    "A new payload for the explorer while the answer is being written."
    lanes: dict[str, Any] | None = None
    run: KeptRun | None = None
    "The finished run."


def choose(site: Site, request: RunRequest, session: str) -> list[int]:
    """Return the tokens that the first lane's method keeps or merges into, ascending.

    Raises:
        TokvizError: there is no picture, or the method cannot be used on it.
    """
    image, wanted = picture_of(site, request), request.lanes[0].plan()
    with (
        site.stops.run(session) as flag,
        closing(stream(site.models, request, image, [wanted], flag)) as steps,
    ):
        *_, views = steps
    lane = views[1]
    if lane.error or lane.trace is None:
        raise InputError(lane.error or "the method was stopped before it had chosen.")
    return sorted(set(lane.trace.reduction.position.tolist()))


def picture_of(site: Site, request: RunRequest) -> Shown:
    """Return the picture of a request, several, or a film; raise InputError for none."""
    if not request.image:
        raise InputError(NO_IMAGE)
    paths = request.image.paths if isinstance(request.image, Sent) else [request.image]
    if any(isinstance(path, str) and not Path(path).exists() for path in paths):
        raise InputError(NO_FILE)
    return site.pictures.open(request.image)


def answer(site: Site, request: RunRequest, session: str) -> Iterator[PageUpdate]:
    """Run the full answer and the lanes together, yielding what the page shows.

    After `Stops.leave` the run ends without a further update.

    Raises:
        TokvizError: the whole request cannot be run; the message is for the visitor.
    """
    with journaled(site, request, session) as (flag, entry):
        try:
            for update in answering(site, request, flag):
                if flag.left:
                    return
                if update.run is not None:
                    full = update.run.traces[FULL]
                    entry.visual_tokens, entry.answer_tokens = full.n, len(full.answer_tokens)
                    entry.outcome = "stopped" if flag.is_set() else "done"
                yield update
        except InputError:
            if not flag.left:
                raise


def listed(method: Any) -> str:
    """Return a method's name for the journal, which repeats no text of a visitor."""
    known = isinstance(method, str) and (method in METHODS or method in ("", BY_HAND))
    return method if known else UNKNOWN


@contextmanager
def journaled(site: Site, request: RunRequest, session: str) -> Iterator[tuple[Stop, Entry]]:
    """Give a run its stop flag and its line in the journal."""
    model = request.model if request.model in site.models.names else UNKNOWN
    entry = Entry(model, session, [listed(lane.method) for lane in request.lanes])
    began, entry.outcome = time.monotonic(), "left"
    try:
        with site.stops.run(session) as flag:
            yield flag, entry
    except TokvizError:
        entry.outcome = "refused"
        raise
    except Exception:
        entry.outcome = "failed"
        raise
    finally:
        entry.seconds = time.monotonic() - began
        site.journal.write(entry)


def answering(site: Site, request: RunRequest, flag: Stop) -> Iterator[PageUpdate]:
    """Yield the updates of `answer`; a set flag ends it after the token that is being written."""
    models, image = site.models, picture_of(site, request)
    plans, refused = _plans(request.lanes, models)
    asked = [request.lanes[number] for number in plans]
    prompts = [lane.prompt or request.prompt for lane in asked]
    names = [lane.model or request.model for lane in asked]
    yield from _loading(models, [request.model, *names], flag)
    vlm = models.get(request.model)
    run = KeptRun(image, request.prompt, request.model)
    run.example, run.source = request.example, request.source
    yield PageUpdate("Reading the picture …")
    numbers, last, views = [FULL, *plans], 0.0, []
    drawn = as_list(image)
    sources: list[str] = []
    deadline = time.monotonic() + request.seconds
    lanes = list(plans.values())
    with (
        stopped_after(request.seconds, flag),
        closing(stream(models, request, image, lanes, flag, prompts, names)) as stages,
    ):
        for views in stages:
            now = time.monotonic()
            if views[0].error:
                raise InputError(views[0].error)
            if now > deadline + STOP_GRACE_S:
                break
            if now - last < UPDATE_INTERVAL_S:
                continue
            last = now
            sources = [""] * len(drawn) if sources else previews_of(drawn, views[0])  # sent once
            picture = pending_payload(drawn, request.prompt, views[0].tokens, sources)
            value = _lanes(run, request, numbers, views, refused, vlm.info, "running")
            text = f"Answering, with {views[0].total_visual_tokens:,} visual tokens …"
            yield PageUpdate(text, picture=picture, lanes=value)
    run.lanes = dict(enumerate(request.lanes))
    run.traces = {n: v.trace for n, v in zip(numbers, views, strict=True) if v.trace is not None}
    if FULL not in run.traces:
        raise InputError("the run was stopped before the model had begun to answer.")
    site.runs.put(run)
    value = _lanes(run, request, numbers, views, refused, vlm.info, "done")
    if models.personal:  # a model may have been written into the list since the page was built
        value["models"] = list(models.names)
    text, kind = end_message(models, vlm, run, flag.is_set())
    yield PageUpdate(text, kind, lanes=value, run=run)


def previews_of(drawn: Sequence[Image.Image], view: LaneView) -> list[str]:
    """Return the pictures as data URLs: those of the run, which are in its trace later.

    A film's run has fewer, one for each group of frames; then they are made here.
    """
    if len(view.previews) == len(drawn):
        return [data_url(one) for one in view.previews]
    return [data_url(preview_jpeg(one, side_among(len(drawn), PREVIEW_SIDE))) for one in drawn]


@contextmanager
def stopped_after(seconds: float, flag: Stop) -> Iterator[None]:
    """Set a run's flag when its time is over, also while it waits for a long pass of the model."""
    timer = threading.Timer(seconds, flag.set, ("time",))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _loading(models: Models, names: Sequence[str], flag: Stop) -> Iterator[PageUpdate]:
    """Load the models of a request that are not in memory; yield how far loading is."""
    if len(set(names)) > MAX_LOADED:
        raise InputError(f"at most {MAX_LOADED} models can be compared at once.")
    for name in dict.fromkeys(names):
        if not models.is_loaded(name):
            yield PageUpdate("Loading the model: only the first time.")
            for line in models.load_with_progress(name, flag):
                yield PageUpdate(f"Loading the model, only the first time: {line}.")


def end_message(models: Models, vlm: Any, run: KeptRun, stopped: bool) -> tuple[str, str]:
    """Return the text and kind of the notice when a run is over."""
    unknown = vlm.unknown_words(run.prompt)[:8]
    messages = ["Stopped: this is as far as the answers came."] if stopped else []
    if run.model == "embedded" and any(says_unlike(one.notes) for one in run.traces.values()):
        messages.append(photograph_hint(models))
    if unknown:
        words = ", ".join(f"“{word[:40]}”" for word in unknown)
        messages.append(f"This model does not know {words}; it reads such words as “unknown”.")
    return " ".join(messages), "warn" if messages else ""


def _plans(lanes: Sequence[LaneRequest], models: Models) -> tuple[dict[int, Plan], dict[int, str]]:
    """Return the plans that can be run and, for the others, why not."""
    plans: dict[int, Plan] = {}
    refused: dict[int, str] = {}
    for number, lane in enumerate(lanes):
        try:
            models.check(lane.model or models.names[0])
            plans[number] = lane.plan()
        except TokvizError as error:
            refused[number] = str(error)
    return plans, refused


def _lanes(
    run: KeptRun,
    request: RunRequest,
    numbers: Sequence[int],
    views: Sequence[LaneView],
    refused: Mapping[int, str],
    model: Mapping[str, Any],
    phase: str,
) -> dict[str, Any]:
    by_number = dict(zip(numbers, views, strict=True))
    full = by_number[FULL]
    cards: list[Any] = []
    for number in range(len(request.lanes)):
        if number in refused:
            cards.append(refused_card(refused[number]))
        else:
            cards.append(_card(run, number, by_number[number], full, phase))
    first = _card(run, FULL, full, None, phase)
    others = [view.trace for view in views if view.trace]
    foot = machine_line([full.trace, *others]) if full.trace else ""
    n = full.total_visual_tokens
    return lanes_value(n, model, request.lanes or None, first, cards, phase=phase, foot=foot)


def refused_card(reason: str) -> dict[str, Any]:
    """Return the card of a lane that could not be run at all."""
    return {
        "text": "",
        "words": [],
        "verdict": "",
        "changed": False,
        "finish": "",
        "status": [],
        "done": True,
        "error": reason,
        "metrics": [],
        "overlay": None,
    }


def _card(run: KeptRun, number: int, view: LaneView, full: LaneView | None, phase: str) -> Any:
    if phase == "running":
        return lane_card(view, None) | {
            "overlay": None, "metrics": [], "words": [], "prompt": run.prompt
        }  # fmt: skip
    return card(run, number, view, full)
