"""On ZeroGPU a function borrows a GPU for some seconds; anywhere else it is simply itself.

There the function runs in a forked process: arguments and results are pickled, and what it caches
inside is lost. So it gets models by name, returns traces (arrays on the CPU), and whoever calls it
remembers the result.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def borrowed(duration: Callable[..., int]) -> Callable[[Function], Function]:
    """Return a decorator for work on a GPU.

    Args:
        duration: gets the function's own arguments, returns seconds.
    """

    def decorate(function: Function) -> Function:
        if not os.environ.get("SPACES_ZERO_GPU"):
            return function
        import spaces  # noqa: PLC0415  only there on ZeroGPU

        return spaces.GPU(duration=duration)(function)

    return decorate
