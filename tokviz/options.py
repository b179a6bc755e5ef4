"""Options of methods and analyses: keyword-only parameters that become widgets and CLI flags."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from tokviz.budget import real_number, whole_number
from tokviz.errors import InputError
from tokviz.keywords import meant
from tokviz.names import did_you_mean

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
"""Types of options in words."""


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
        """Return the value in the option's type, or raise InputError saying what is allowed.

        Nothing is rounded or moved into the range: the value itself is returned.
        """
        if value is None and self.default is None:
            return None
        found = self._converted(value)
        if found is None or (self.range and not self.range.low <= found <= self.range.high):
            guess = did_you_mean(value, map(str, self.choices)) if self.choices else ""
            raise InputError(f"{self.name} must be {self.allowed}, got {_shown(value)}.{guess}")
        return found

    @property
    def allowed(self) -> str:
        """The allowed values in words: "a whole number 1 to 64"."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}" + self._or_none
        words = KINDS.get(self.type, f"a {self.type.__name__}")
        if self.range:
            words = "" if self.type is float else f"{words} "
            words += f"{_plain_number(self.range.low)} to {_plain_number(self.range.high)}"
        return words + self._or_none

    @property
    def _or_none(self) -> str:
        return ", or none" if self.default is None else ""

    def _converted(self, value: Any) -> Any:
        """Return the value in the option's type; None if it is not of that type."""
        if self.choices:
            return next((choice for choice in self.choices if str(choice) == str(value)), None)
        if self.type is bool:
            return _truth(value)
        if self.type is int:
            return whole_number(value)
        if self.type is float:
            return real_number(value)
        return value if isinstance(value, self.type) else None

    def read(self, text: str) -> Any:
        """Return the value of a text from a command line; `check` checks its range."""
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
    """Return the options of a function: its keyword-only parameters."""
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
    """Return the fields of an entry that come from its function: summary, notes and options.

    The first line of the docstring is the summary, the rest the notes.
    """
    summary, _, notes = inspect.cleandoc(function.__doc__ or "").partition("\n")
    return {"summary": summary, "notes": notes.strip(), "options": options_of(function)}


def _plain(hint: Any) -> type:
    """Return the type of `int` or `int | None`."""
    return next((t for t in get_args(hint) if t is not type(None)), hint)


def _truth(value: Any) -> bool | None:
    """Return True or False from a bool, 0 or 1, or a text; None for anything else."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    if isinstance(value, bool) or "bool" in str(getattr(value, "dtype", "")):
        return bool(value)
    return {0: False, 1: True}.get(whole_number(value))  # type: ignore[arg-type]


def _plain_number(number: float) -> str:
    """Return a limit as text without ".0" and without an exponent: 4294967295, 0.95."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def _shown(value: Any) -> str:
    """Return a value as text for a message; long texts are cut."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def within(name: str, value: Any, low: float, high: float, why: str) -> Any:
    """Return the value of an option whose limits depend on the run.

    Args:
        name: the option.
        value: its value.
        low: smallest value that this run can use.
        high: largest value that this run can use.
        why: the reason of the limits: "the language model has 6 layers".

    Raises:
        InputError: the value is out of range. It is not moved into the range, since a table of
            results would then have a value that was not used.
    """
    if not low <= value <= high:
        raise InputError(f"{name} must be {low:g} to {high:g} here, as {why}; got {value:g}.")
    return value


def fitted(
    name: str, value: int, usual: int, most: int, why: str, least: int = 1
) -> tuple[int, tuple[str, ...]]:
    """Return the count that an option stands for here, and a note where it is not its default.

    A value of one's own that is too large is refused; the default gives way, and a note says so.

    Args:
        name: the option.
        value: as it was given.
        usual: its default.
        most: the largest count that this run can use.
        why: what sets the limit: "there are 36 tokens".
        least: the smallest count.

    Raises:
        InputError: a value that is not the default and too large.
    """
    if value == usual and value > most:
        return most, (f"{name} is {most} here in place of its default {usual}, as {why}.",)
    return within(name, value, least, most, why), ()


def check_options(
    owner: str,
    known: Mapping[str, Option],
    given: Mapping[str, Any],
    arguments: Iterable[str] = (),
) -> dict[str, Any]:
    """Return every option with its value.

    Args:
        owner: whose options they are, for the message.
        known: the options that exist.
        given: values by name; the others take their default.
        arguments: those of the call beside its options, for a guess at what was meant.

    Raises:
        InputError: an option that does not exist, or a value that is not allowed.
    """
    strange = sorted(set(given) - set(known))
    if strange:
        names, guess = ", ".join(known) or "none", meant(strange[0], [*known, *arguments])
        raise InputError(f"{owner} has no option {strange[0]!r}.{guess} Its options: {names}.")
    return {name: option.check(given.get(name, option.default)) for name, option in known.items()}
