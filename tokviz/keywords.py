"""The sentence about an argument that a public function does not have.

Python's own says neither which arguments there are nor, up to 3.12, which one is meant.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tokviz.errors import InputError
from tokviz.names import SHOWN, did_you_mean

P = ParamSpec("P")
R = TypeVar("R")
PLAN = "plan=tokviz.plan('fastv', keep=64)"
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "torch_dtype": ("dtype",),
    "precision": ("dtype",),
    "load_in_4bit": ("bits=4",),
    "load_in_8bit": ("bits=8",),
    "quantization": ("bits",),
    "quantization_config": ("bits",),
    "cuda": ("device",),
    "branch": ("revision",),
    "min_pixels": ("max_visual_tokens",),
    "max_pixels": ("max_visual_tokens",),
    "max_tokens": ("max_new_tokens",),
    "max_length": ("max_new_tokens",),
    "question": ("prompt", "prompts"),
    "query": ("prompt", "prompts"),
    "text": ("prompt", "prompts"),
    "instruction": ("prompt", "prompts"),
    "messages": ("prompt", "prompts"),
    "picture": ("image", "images"),
    "pictures": ("images", "image"),
    "pixel_values": ("images", "image"),
    "method": ("methods", PLAN),
    "methods": (PLAN,),
    "keep": ("budgets", PLAN),
    "ratio": ("keep", "budgets", PLAN),
    "budget": ("keep", "budgets", PLAN),
    "num_tokens": ("keep", "budgets", PLAN),
    "mitigation": ("mitigations", "plan=tokviz.plan(mitigation='pai')"),
    "output": ("out",),
    "output_dir": ("out",),
    "folder": ("out",),
    "verbose": ("progress",),
    "num_frames": ("frames",),
    "fps": ("rate",),
}
"""Names that other libraries or other functions here use -> what is meant, the first that exists;
the last one may be a call that does it."""


class UnknownArgument(InputError, TypeError):
    """A call with an argument that does not exist; the message says which one is meant."""


def meant(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'dtype'?" for an argument that does not exist, "" without a guess."""
    names = list(known)
    for other in OTHER_NAMES.get(name, ()):
        argument = other.partition("=")[0]
        if argument in names:
            return f" Did you mean {other if '=' in other else repr(other)}?"
    return did_you_mean(name, names)


def no_argument(owner: str, name: str, known: Iterable[str]) -> UnknownArgument:
    """Return the error about an argument that does not exist.

    Args:
        owner: whose argument it would be, such as "answer".
        name: the argument.
        known: those that exist, in their order.
    """
    names = list(known)
    guess = meant(name, names)
    return UnknownArgument(
        f"{owner} has no argument {name[:SHOWN]!r}.{guess} Its arguments: {', '.join(names)}."
    )


def tells_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function say which argument is meant if it is called with one that it does not have.

    Raises:
        UnknownArgument: on such a call, which is a TypeError too, as Python's own error is.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.name != "self"]

    @wraps(function)
    def call(*given: P.args, **named: P.kwargs) -> R:
        for name in named:
            if name not in known:
                raise no_argument(function.__name__, name, known)
        return function(*given, **named)

    return call


def tells_fields(kind: type[R]) -> type[R]:
    """Make a dataclass say which field is meant if it is made with one that it does not have."""
    made: Any = kind.__init__
    known = [name for name in inspect.signature(made).parameters if name != "self"]

    @wraps(made)
    def init(self: Any, *given: Any, **named: Any) -> None:
        for name in named:
            if name not in known:
                raise no_argument(kind.__name__, name, known)
        made(self, *given, **named)

    kind.__init__ = init  # type: ignore[method-assign]
    return kind
