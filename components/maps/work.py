"""Making an analysis of a run: the model runs again only for what the run did not record."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import tokviz
from tokviz.analysis import ANALYSES, Result
from tokviz.errors import InputError
from tokviz.options import check_options
from tokviz.plans import Plan
from tokviz.trace import Trace

from ..answering.in_thread import Finished, reported
from ..answering.run_request import RunRequest
from ..answering.zero_gpu import on_zero_gpu
from ..runs.models import Models
from ..runs.pictures import given
from ..runs.stops import Stop
from .menu import passes


@dataclass(frozen=True)
class Wanted:
    """An analysis of one run, with its options."""

    name: str
    options: Mapping[str, Any]
    trace: Trace
    plan: Plan | None
    "What the run did with its tokens; for a run that must be made again."

    @property
    def needs_model(self) -> bool:
        """Whether the model must run."""
        entry = ANALYSES[self.name]
        return bool(entry.asks or entry.missing(self.trace) or set(entry.may_ask) & {"controls"})


def wanted(name: Any, options: Any, trace: Trace, plan: Plan | None) -> Wanted:
    """Return what a browser asked for; raises InputError for anything unknown."""
    if not isinstance(name, str) or name not in ANALYSES:
        raise InputError("choose an analysis of the list.")
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise InputError("the options of an analysis must be names and values.")
    entry = ANALYSES[name]
    return Wanted(name, check_options(name, entry.options, dict(options)), trace, plan)


def analysis_seconds(models: Models, request: RunRequest, asked: Wanted, flag: Stop) -> int:
    """Return for how many seconds a GPU is needed."""
    forward, backward = passes(ANALYSES[asked.name], asked.trace, asked.options)
    return 20 + int(0.4 * (forward + 3 * backward))


@on_zero_gpu(analysis_seconds)
def analysed(
    models: Models, request: RunRequest, asked: Wanted, flag: Stop
) -> Generator[tuple[int, int] | Finished]:
    """Make an analysis; yield (passes done, passes in all), then a `Finished` with its Result.

    Raises:
        TokvizError: it cannot be made of this run, or it was stopped.
    """
    vlm = models.get(request.model)
    made, here = asked.trace.model.get("name"), vlm.info["name"]
    if made != here:
        raise InputError(f"this run was made by {made}, and {here} is chosen: ask again first.")
    again = bool(ANALYSES[asked.name].missing(asked.trace))

    def work(report: Any) -> Result:
        return vlm.analyse(
            asked.name, given(request.image), request.prompt,
            trace=None if again else asked.trace, plan=asked.plan if again else None,
            max_new_tokens=request.limit, progress=report, stop=flag, **asked.options,
        )  # fmt: skip

    yield from reported(work, flag, "tokviz-analysis")


def from_run_alone(asked: Wanted) -> Result:
    """Make an analysis that needs no model."""
    return tokviz.analyse(asked.name, asked.trace, **asked.options)
