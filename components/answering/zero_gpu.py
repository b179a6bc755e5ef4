"""Run a function with a GPU for some seconds on ZeroGPU; anywhere else call it unchanged.

On ZeroGPU the function runs in a forked process: arguments and results are pickled, and what it
caches inside is lost. So it gets models by name, returns traces (arrays on the CPU), and its caller
keeps the result. Only the class of an error reaches the caller, so an error with a sentence for the
visitor is sent as a result; what ZeroGPU reports (a quota, a time-out) becomes a sentence too.
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
class ErrorResult:
    """An error with a sentence for the visitor, sent out of the forked process as a result."""

    error: TokvizError


def on_zero_gpu(duration: Callable[..., int]) -> Callable[[Function], Function]:
    """Return a decorator for work on a GPU.

    Args:
        duration: gets the function's own arguments, returns seconds.
    """

    def decorate(function: Function) -> Function:
        if not os.environ.get("SPACES_ZERO_GPU"):
            return function
        import spaces  # noqa: PLC0415  only there on ZeroGPU

        return called_here(function, spaces.GPU(duration=duration)(run_there(function)))

    return decorate


def run_there(function: Callable[..., Any]) -> Callable[..., Generator[Any]]:
    """Return what runs in the forked process: the function's results, then its error if any."""

    @wraps(function)
    def steps(*args: Any) -> Generator[Any]:
        try:
            if inspect.isgeneratorfunction(function):
                yield from function(*args)
            else:
                yield function(*args)
        except TokvizError as error:
            yield ErrorResult(error)

    return steps


def called_here(function: Function, there: Callable[..., Generator[Any]]) -> Any:
    """Return what the page calls: the same results, from the function in the other process."""

    @wraps(function)
    def steps(*args: Any) -> Generator[Any]:
        try:
            with closing(there(*args)) as found:
                for step in found:
                    if isinstance(step, ErrorResult):
                        raise step.error
                    yield step
        except gr.Error as error:
            raise ModelError(f"no GPU for this: {str(error.message)[:300]}") from error

    @wraps(function)
    def result(*args: Any) -> Any:
        (found,) = steps(*args)
        return found

    return steps if inspect.isgeneratorfunction(function) else result
