"""Any analysis in one call; the model runs only for what the caller did not supply."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tokviz.analysis import ANALYSES, Analysis, Result, Size, analyse
from tokviz.analysis.declare import check_trace
from tokviz.analysis.supplied import Progress
from tokviz.capture import Capture
from tokviz.errors import InputError, MissingSignal
from tokviz.interruption import interrupted_by
from tokviz.models.loaded import Loaded
from tokviz.models.runs.extra_forwards import SUPPLIED, folder_features, further_runs
from tokviz.models.runs.preparing import prepare
from tokviz.models.runs.same_run import check_question
from tokviz.models.runs.sink_search import sink_dims
from tokviz.models.runs.streaming import answer
from tokviz.options import check_options
from tokviz.plans import Plan
from tokviz.trace import Trace

ARGUMENTS = ("images", "prompt", "trace", "plan", "max_new_tokens", "progress", "runs", "stop")
"""Arguments of `analyse_run` beside an analysis' own options."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def analyse_run(
    loaded: Loaded,
    name: str,
    images: Any = None,
    prompt: str | None = None,
    trace: Trace | None = None,
    plan: Plan | None = None,
    max_new_tokens: int = 64,
    progress: Progress | None = None,
    runs: dict[str, Any] | None = None,
    stop: threading.Event | None = None,
    **options: Any,
) -> Result:
    """Answer one question about one run; see `VLM.analyse`."""
    with interrupted_by(stop) if stop is not None else nullcontext():
        return _analysed(
            loaded, name, images, prompt, trace, plan, max_new_tokens, progress, runs, options
        )


def _analysed(
    loaded: Loaded,
    name: str,
    images: Any,
    prompt: str | None,
    trace: Trace | None,
    plan: Plan | None,
    max_new_tokens: int,
    progress: Progress | None,
    runs: dict[str, Any] | None,
    options: dict[str, Any],
) -> Result:
    entry, given = ANALYSES[name], dict(runs or {})
    check_trace(trace)
    options = check_options(entry.name, entry.options, options, ARGUMENTS)
    if set(entry.asks) == {"folder"} and "folder" not in given:
        given["folder"] = folder_features(loaded, pictures(images))
    if "folder" in given:
        return analyse(name, None, runs=given, **options)
    if "sink_phi" in entry.needs and not sink_dims(loaded) and "sink_phi" not in (trace or ()):
        raise MissingSignal(
            f"{entry.title} needs sink dimensions, and none was found in {loaded.name}: no state "
            "of its first token has unusually large values, so there are no sinks to show."
        )
    if trace is None:
        call = f"vlm.analyse({entry.name!r}, image, prompt)"
        question = _question(images, prompt, f"{entry.title} needs a run: {call} makes one")
        capture = Capture.holding(() if "control_prob" in entry.uses else _arrays(entry))
        trace = answer(loaded, *question, plan, max_new_tokens, capture)
    elif images is not None:
        with loaded.guarded():
            prepared = prepare(loaded, images, prompt or trace.prompt)
        check_question(loaded, prepared, trace)
    wanted = _still_wanted(entry, trace, given)
    if wanted & SUPPLIED:
        question = _question(images, prompt or trace.prompt, entry.why_not(trace, given))
        runs_again = further_runs(loaded, *question, trace, max_new_tokens)
        if progress is not None and "progress" not in entry.may_ask:
            runs_again.reading.on_read = adding_up(progress, forwards(entry, trace, **options))
        given = runs_again.supply(wanted) | given
    if "full" in wanted:
        question = _question(images, prompt or trace.prompt, entry.why_not(trace, given))
        given["full"] = answer(loaded, *question, None, max_new_tokens)
    if progress is not None and "progress" in entry.may_ask:
        given["progress"] = progress
    return analyse(name, trace, runs=given, **options)


def adding_up(progress: Progress, total: int) -> Callable[[int], None]:
    """Return a function that is told of further forwards and reports how many are done of all."""
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        progress(min(done, total), total)

    return add


def forwards(entry: Analysis, trace: Trace, **options: Any) -> int:
    """Return how many forward passes an analysis will take beyond those of its trace."""
    options = check_options(entry.name, entry.options, options)
    layers, words = int(trace.model["layers"]), len(trace.prompt.split())
    return entry.forwards(Size(trace.layout, layers, trace.t, words), **options)


def pictures(images: Any) -> list[Any]:
    """Return the images of a folder in the order of their names, or a list of images as it is.

    Raises:
        InputError: nothing is given, or the folder holds no picture.
    """
    if isinstance(images, (list, tuple)) and images:
        only = images[0] if len(images) == 1 else None
        if not isinstance(only, (str, Path)) or not Path(only).is_dir():
            return list(images)
        images = only
    if not isinstance(images, (str, Path)) or not Path(images).is_dir():
        raise InputError("give a folder of images, or a list of them.")
    found = sorted(p for p in Path(images).iterdir() if p.suffix.lower() in PICTURES)
    if not found:
        raise InputError(f"the folder holds no {', '.join(PICTURES)} file.")
    return list(found)


def _arrays(entry: Analysis) -> Sequence[str]:
    return (*entry.needs, *entry.uses)


def _still_wanted(entry: Analysis, trace: Trace, given: dict[str, Any]) -> set[str]:
    """Return the keys of ASKS that the analysis needs and the caller did not supply."""
    wanted = set(entry.asks)
    if "controls" in entry.may_ask and "control_prob" not in trace:
        wanted.add("controls")
    return wanted - set(given)


def _question(images: Any, prompt: str | None, why: str) -> tuple[Any, str]:
    """Return image and prompt; raise MissingSignal with the reason if one is missing."""
    if images is None or prompt is None:
        raise MissingSignal(f"{why.rstrip('.')}. Give the image and the prompt for that.")
    return images, prompt
