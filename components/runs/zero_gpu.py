"""On ZeroGPU a function borrows a GPU for some seconds; anywhere else it is simply itself.

There the function runs in a forked process: arguments and results are pickled, and what it caches
inside is lost. So it gets models by name, returns traces (arrays on the CPU), and whoever calls it
remembers the result. Of an error only the class would arrive, so sentences for the visitor travel
as results; what the GPU's service says (a quota, a time-out) becomes such a sentence, too.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import gradio as gr

from tokviz.errors import ModelError, TokvizError

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Said:
    """A sentence for the visitor on its way out of the forked process."""

    error: TokvizError


def borrowed(duration: Callable[..., int]) -> Callable[[Function], Function]:
    """Return a decorator for work on a GPU.

    Args:
        duration: gets the function's own arguments, returns seconds.
    """

    def decorate(function: Function) -> Function:
        if not os.environ.get("SPACES_ZERO_GPU"):
            return function
        import spaces  # noqa: PLC0415  only there on ZeroGPU

        return arriving(function, spaces.GPU(duration=duration)(leaving(function)))

    return decorate


def leaving(function: Callable[..., Any]) -> Callable[..., Generator[Any]]:
    """Return what runs in the forked process: the function's results, then perhaps a sentence."""

    @wraps(function)
    def steps(*args: Any) -> Generator[Any]:
        try:
            if inspect.isgeneratorfunction(function):
                yield from function(*args)
            else:
                yield function(*args)
        except TokvizError as error:
            yield Said(error)

    return steps


def arriving(function: Function, far: Callable[..., Generator[Any]]) -> Any:
    """Return what the page calls: like the function itself, but its work is done far away."""

    @wraps(function)
    def steps(*args: Any) -> Generator[Any]:
        try:
            with closing(far(*args)) as found:
                for step in found:
                    if isinstance(step, Said):
                        raise step.error
                    yield step
        except gr.Error as error:
            raise ModelError(f"no GPU for this: {str(error.message)[:300]}") from error

    @wraps(function)
    def result(*args: Any) -> Any:
        (found,) = steps(*args)
        return found

    return steps if inspect.isgeneratorfunction(function) else result
