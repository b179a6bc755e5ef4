"""What every reduction method promises, tried on a model's own signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import tokviz
from tokviz.capture import Capture
from tokviz.errors import TokvizError
from tokviz.matrix import FATES, KEPT, PRUNED
from tokviz.models import VLM
from tokviz.reduction.method import Method
from tokviz.testing.pictures import PROMPT, kept, pictures
from tokviz.trace import Trace

SHARES = (0.75, 0.5, 0.25)
"""Budgets that are tried, as shares of the visual tokens."""


def promises(entry: Method, vlm: VLM) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what a method promises, and what tries it."""
    image = pictures(1)[0]
    full = vlm.answer(image, PROMPT, None, 2, Capture.nothing())

    def run(keep: int, **options: Any) -> Trace:
        plan = tokviz.plan(entry.name, keep, **options)
        return vlm.answer(image, PROMPT, plan, 2, Capture.nothing())

    yield "its card says what it does", partial(card, entry)
    for share in SHARES:
        keep = max(1, int(share * full.n))
        yield f"{keep} of {full.n} tokens are left", partial(budget, entry, run, keep)
    least = partial(runs_or_says_why, run, 1)
    yield "one token is left, or it is said why so few cannot be", least
    half = full.n // 2
    yield "every token was kept, merged or pruned", partial(fates, run, half)
    yield "the same picture gives the same decision", partial(repeats, run, half)
    yield "keeping all tokens changes nothing", partial(identity, entry, run, full)
    for option in entry.options.values():
        for value in extremes(option):
            yield (
                f"{option.name}={value} runs, or is refused in words",
                partial(runs_or_says_why, run, half, **{option.name: value}),
            )
    yield "the model is as it was before", partial(untouched, vlm, image, full)


def card(entry: Method) -> None:
    """Title and first sentence are there."""
    kept(entry.title, "it has no title")
    kept(entry.summary, "its docstring has no first line")
    kept(entry.summary.endswith("."), "the docstring's first line must end with a full stop")
    for option in entry.options.values():
        if option.default is not None:
            option.check(option.default)


def budget(entry: Method, run: Callable[..., Trace], keep: int) -> None:
    """Exactly `keep` tokens are left, at most so many where a method chooses by itself."""
    trace = run(keep)
    kept(trace.stages, "no stage was carried out")
    if entry.place == "cache":
        cache_budget(entry, trace, keep)
        return
    left = trace.reduction.m + int(trace.reduction.prefix_cls)
    text = f"{left} are left where {keep} were asked for"
    kept(left <= keep if entry.adaptive else left == keep, text)
    kept(left >= 1, "nothing is left")


def cache_budget(entry: Method, trace: Trace, keep: int) -> None:
    """The key heads of a layer keep equally many tokens; over the layers they keep the budget."""
    counts = [stage.reduction.heads.counts for stage in trace.stages if stage.reduction.heads]
    kept(all((own == own[0]).all() for own in counts), "heads of one layer keep different numbers")
    mean = float(np.mean([own[0] for own in counts]))
    close = entry.adaptive or abs(mean - keep) <= 1
    kept(close, f"{mean:.1f} are left per layer where {keep} were asked for")


def fates(run: Callable[..., Trace], keep: int) -> None:
    """The matrix is sound, and says one thing about each token."""
    done = run(keep).reduction
    kept(np.isfinite(done.weights).all(), "a weight is not finite")
    inside = (done.position >= 0) & (done.position < done.n)
    kept(inside.all(), "a token has its place outside the picture")
    kept(set(done.fate.tolist()) <= set(range(len(FATES))), "a token has no fate")
    gone = np.setdiff1d(np.arange(done.n), done.cols)
    kept((done.fate[gone] == PRUNED).all(), "a token without any weight is not called pruned")
    kept((done.fate[done.kept] == KEPT).all(), "a kept token is not called so")


def repeats(run: Callable[..., Trace], keep: int) -> None:
    """Two runs make the same matrix."""
    one, again = run(keep).reduction, run(keep).reduction
    same = one.m == again.m and np.array_equal(one.cols, again.cols)
    kept(same and np.array_equal(one.weights, again.weights), "two runs decided differently")


def identity(entry: Method, run: Callable[..., Trace], full: Trace) -> None:
    """With as many tokens as there are, the answer is the full one."""
    trace = run(full.n)
    if entry.adaptive:
        return
    kept(trace.reduction.m == full.n, f"{trace.reduction.m} of {full.n} are left")
    kept(trace.answer == full.answer, f"the answer became {trace.answer[:60]!r}")


def extremes(option: Any) -> tuple[Any, ...]:
    """Return the values at the ends of an option's range, or all its choices."""
    if option.choices:
        return tuple(option.choices)
    if option.type is bool:
        return True, False
    ends = (option.range.low, option.range.high) if option.range else ()
    return tuple(end for end in ends if end is not None)


def runs_or_says_why(run: Callable[..., Trace], keep: int, **options: Any) -> None:
    """A value at the end of a range works, or the message says why not here."""
    try:
        run(keep, **options)
    except TokvizError as error:
        kept(len(str(error)) > 20, f"refused without a reason: {str(error)!r}")


def untouched(vlm: VLM, image: Any, full: Trace) -> None:
    """After all that, the plain answer is what it was, to the bit."""
    again = vlm.answer(image, PROMPT, None, 2, Capture.nothing())
    kept(again.answer == full.answer, "the plain answer has changed")
    same = np.array_equal(again["answer_prob"], full["answer_prob"])
    kept(same, "probabilities of the plain answer have changed")
