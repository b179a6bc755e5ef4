"""What a mitigation declares about itself, and the decorator that registers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokviz.mitigation.recipe import Recipe
from tokviz.options import Option, check_options, read_off
from tokviz.registry import Registry

KINDS: dict[str, str] = {
    "attention": "edits the attention of some rows in some layers",
    "contrast": "combines the next-token logits with those of a second run or state",
    "mlp": "adds visual tokens to the MLP of a layer",
    "heads": "adds vectors to the outputs of single heads",
    "diagnostic": "measures and changes nothing",
}

MITIGATIONS: Registry[Mitigation] = Registry(
    "mitigation", "tokviz.mitigation", "tokviz.mitigations", lambda: Mitigation
)


@dataclass(frozen=True)
class Mitigation:
    """A registered mitigation."""

    name: str
    build: Callable[..., Recipe]
    "(**options) -> Recipe. Options that change nothing give a recipe without that part."
    title: str
    kinds: tuple[str, ...]
    "Keys of KINDS."
    summary: str
    "First line of the docstring."
    notes: str
    "Rest of the docstring: how it works, how it differs from the paper."
    options: Mapping[str, Option]
    paper: str = ""
    year: int | None = None
    code: str = ""
    "Official repository, owner/name."
    licence: str = ""
    "Licence of the official code."
    verified: bool = True
    "False: built from secondary sources, a labelled stand-in for the published method."
    differs: tuple[str, ...] = ()
    "Clauses: what no run here does as the publication does."
    depths: tuple[int, ...] = ()
    "Layers of the language models that it was published for, where it names layers."
    published_options: Mapping[str, Any] = field(default_factory=dict)
    "Option -> its published value, where it is not the default; a tuple = any of these."

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return every option with its value, or raise InputError for an unknown or bad one."""
        return check_options(self.name, self.options, options)

    def recipe(self, options: Mapping[str, Any] | None = None) -> Recipe:
        """Return the recipe for these options, with all others at their defaults.

        Raises:
            InputError: an option that does not exist, or a value that is not allowed.
        """
        return self.build(**self.check_options(options or {}))


def mitigation(name: str, **declared: Any) -> Callable[[Callable[..., Recipe]], Mitigation]:
    """Register a function (*, options) -> Recipe as a mitigation.

    Args:
        name: the name in the CLI and in `tokviz.plan(mitigation=...)`.
        **declared: fields of `Mitigation`. Options come from the function's keyword-only arguments,
            summary and notes from its docstring.
    """

    def register(build: Callable[..., Recipe]) -> Mitigation:
        entry = Mitigation(name=name, build=build, **read_off(build), **declared)
        return MITIGATIONS.add(name, entry)

    return register
