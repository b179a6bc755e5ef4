"""Options of methods and analyses: keyword-only parameters that become widgets and CLI flags."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from tokviz.errors import InputError


@dataclass(frozen=True)
class Range:
    """Allowed values of a numeric option, written as Annotated[float, Range(0, 1)]."""

    low: float
    high: float
    step: float | None = None


@dataclass(frozen=True)
class Option:
    """One keyword-only option; becomes a widget, a CLI flag and a row in the docs."""

    name: str
    type: type
    default: Any
    choices: tuple[Any, ...] = ()
    range: Range | None = None

    def check(self, value: Any) -> Any:
        """Return the value in the option's type, or raise InputError saying what is allowed."""
        if self.choices:
            if value not in self.choices:
                raise InputError(f"{self.name} must be one of {self.choices}, got {value!r}.")
            return value
        if value is None and self.default is None:
            return None
        try:
            value = value if self.type is bool and isinstance(value, bool) else self.type(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{self.name} must be a {self.type.__name__}, got {value!r}."
            ) from None
        if self.range and not self.range.low <= value <= self.range.high:
            low, high = self.range.low, self.range.high
            raise InputError(f"{self.name} must be {low} to {high}, got {value}.")
        return value

    def read(self, text: str) -> Any:
        """Return what a text from a command line stands for; its range is checked by `check`."""
        if self.default is None and text.lower() == "none":
            return None
        if self.choices:
            return next((c for c in self.choices if str(c) == text), text)
        if self.type is bool:
            if text.lower() not in ("true", "false"):
                raise InputError(f"{self.name} must be true or false, got {text[:40]!r}.")
            return text.lower() == "true"
        return text


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """Read the options off a function's keyword-only parameters."""
    found = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        hint, limits = parameter.annotation, None
        if hasattr(hint, "__metadata__"):
            hint, limits = hint.__origin__, hint.__metadata__[0]
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        kind = type(choices[0]) if choices else _plain(hint)
        found[parameter.name] = Option(parameter.name, kind, parameter.default, choices, limits)
    return found


def read_off(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what an entry takes from its function: summary, notes and options.

    The first line of the docstring is the summary, the rest the notes.
    """
    summary, _, notes = inspect.cleandoc(function.__doc__ or "").partition("\n")
    return {"summary": summary, "notes": notes.strip(), "options": options_of(function)}


def _plain(hint: Any) -> type:
    """The type of `int` or `int | None`."""
    return next((t for t in get_args(hint) if t is not type(None)), hint)


def check_options(
    owner: str, known: Mapping[str, Option], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return every option with its value.

    Args:
        owner: whose options they are, for the message.
        known: the options that exist.
        given: values by name; the others take their default.

    Raises:
        InputError: an option that does not exist, or a value that is not allowed.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        names = ", ".join(known) or "none"
        raise InputError(f"{owner} has no option {unknown[0]!r}. Its options: {names}.")
    return {name: option.check(given.get(name, option.default)) for name, option in known.items()}
