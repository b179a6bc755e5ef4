"""Running lanes on a model, on ZeroGPU in a process of their own.

Everything that goes into these functions or comes out of them can be pickled (see `on_zero_gpu`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from tokviz.capture import Capture
from tokviz.plans import Plan

from ..runs.models import Models
from ..runs.pictures import given
from ..runs.stops import Stop
from .run_request import RunRequest
from .zero_gpu import on_zero_gpu

if TYPE_CHECKING:
    from tokviz.models.vlm import LaneView

SECONDS_TO_BEGIN = 10
SECONDS_PER_TOKEN = 0.06


def seconds_together(
    models: Models,
    request: RunRequest,
    image: Any,
    plans: Sequence[Plan],
    flag: Stop,
    prompts: Sequence[str] = (),
    names: Sequence[str] = (),
) -> int:
    """Return for how many seconds a GPU is needed: the prefill, then every token of every lane."""
    return SECONDS_TO_BEGIN + int(SECONDS_PER_TOKEN * request.limit * (1 + len(plans)))


@on_zero_gpu(seconds_together)
def stream(
    models: Models,
    request: RunRequest,
    image: Any,
    plans: Sequence[Plan],
    flag: Stop,
    prompts: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Generator[list[LaneView]]:
    """Run the full answer and all lanes together, one token of each at a time.

    Lanes with the same model and question share one run of the vision tower. `prompts` and `names`
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
                        given(image),
                        prompt,
                        [all_plans[i] for i in lanes],
                        request.limit,
                        capture=models.capture,
                        stop=flag,
                    )
                )
            )
            for (model, prompt), lanes in groups.items()
        ]
        for steps in zip_longest(*runs):
            for lanes, views in zip(groups.values(), steps, strict=True):
                found |= dict(zip(lanes, views or (), strict=False))
            yield [found[number] for number in range(len(asked))]


def seconds_in_turn(
    models: Models,
    request: RunRequest,
    image: Any,
    plans: Sequence[Plan | None],
    flag: Stop,
    capture: Capture | None = None,
) -> int:
    """Return for how many seconds a GPU is needed."""
    return SECONDS_TO_BEGIN + int(SECONDS_PER_TOKEN * request.limit * len(plans))


@on_zero_gpu(seconds_in_turn)
def stream_in_turn(
    models: Models,
    request: RunRequest,
    image: Any,
    plans: Sequence[Plan | None],
    flag: Stop,
    capture: Capture | None = None,
) -> Generator[list[LaneView]]:
    """Run lanes one after the other; None is the full answer."""
    vlm = models.get(request.model)
    lanes = vlm.in_turn(
        given(image), request.prompt, plans, request.limit, capture or models.capture, flag
    )
    with closing(lanes):
        yield from lanes
