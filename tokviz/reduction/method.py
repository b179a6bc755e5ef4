"""What a reduction method declares about itself, and the decorator that registers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tokviz.budget import tokens_of
from tokviz.errors import InputError, MissingSignal
from tokviz.matrix import Reduction
from tokviz.options import Option, Range, check_options, read_off
from tokviz.reduction.check_decision import decision
from tokviz.reduction.signal_table import SIGNALS
from tokviz.reduction.signals import Signals
from tokviz.registry import Registry

__all__ = [
    "EFFECTS",
    "IMAGES",
    "METHODS",
    "PLACES",
    "TILES",
    "Method",
    "Option",
    "Place",
    "Published",
    "Range",
    "Schedule",
    "Stage",
    "check_keep",
    "method",
    "reduce",
]

Place = Literal["picture", "tower", "before", "language_model", "cache"]
"""The picture, the vision tower, before the language model, its layers, or their KV caches."""

PLACES: dict[str, str] = {
    "picture": "on the picture, before the processor",
    "tower": "inside the vision tower",
    "before": "before the language model",
    "language_model": "inside the language model",
    "cache": "in the KV cache after the prefill",
}

EFFECTS: dict[str, str] = {
    "remove": "removed from this layer on",
    "mask": "kept, but from this layer on no other row attends to them",
    "bypass": "skip the layers up to the next stage, where all tokens are added again",
    "unmerge": "merged for this layer's attention only, then copied back to every member",
    "decode": "unchanged in the prefill; answer tokens attend only to the chosen tokens",
    "restart": "removed: the prompt is read again from layer 0 without them",
    "shrink": "not made at all: the processor makes fewer tokens of a smaller picture",
    "evict": "read in the prefill; then they leave the KV cache of this layer, head by head",
}

IMAGES: dict[str, str] = {
    "each": "from each image separately, in proportion to the image's tokens",
    "together": "from the tokens of all images together",
    "one": "from one image only; a prompt with several is refused",
}
"""How a method chooses from a prompt with several images."""

TILES: dict[str, str] = {
    "each": "from each crop separately, in proportion to the crop's tokens",
    "together": "from the tokens of all crops together",
    "own": "from each crop separately, in shares that the method chooses",
}
"""How a method chooses from an image that is cut into several crops."""

POSITIONS_AT: dict[str, tuple[str, ...]] = {
    "picture": (),
    "tower": ("keep", "repack", "mean"),
    "before": ("keep", "repack", "mean"),
    "language_model": ("keep", "repack"),
    "cache": ("keep",),
}
"""Place -> the position policies that a plan may give a method there; see tokviz/plans.py."""

DEFAULTS_AT: dict[str, dict[str, Any]] = {
    "language_model": {"images": "together"},
    "cache": {"images": "together", "effect": "evict", "removes": False, "positions": "keep"},
}
"""Place -> what its methods declare unless they say otherwise."""

VARIANTS = ("paper", "code")
"""Values of `variant`, for publications that differ from their official code."""

METHODS: Registry[Method] = Registry("method", "tokviz.reduction", "tokviz.methods", lambda: Method)


@dataclass(frozen=True)
class Stage:
    """One decision of a method: the layer before which it decides, and the tokens left after it."""

    layer: int
    keep: int


Schedule = Callable[..., list[Stage]]
"""(n, keep, layers, **options) -> stages, for methods that decide inside the tower or the LLM."""


@dataclass(frozen=True)
class Published:
    """Scores that a publication reports for LLaVA-1.5-7B; never this project's measurements."""

    budget: str
    "In the publication's words."
    source: str
    "Who measured it: the method's own paper or repository, or another paper."
    scores: Mapping[str, float]
    "Benchmark -> score. MME is perception + cognition, MME-P perception alone."


@dataclass(frozen=True)
class Method:
    """A registered reduction method."""

    name: str
    decide: Callable[..., Reduction]
    "(signals, keep, **options) -> Reduction over the tokens that the signals describe."
    title: str
    place: Place
    needs: tuple[str, ...]
    "Names of the signals that a decision must have."
    summary: str
    "First line of the docstring."
    notes: str
    "Rest of the docstring: how it works, how it differs from the paper."
    options: Mapping[str, Option]
    kind: str = "select"
    "select, merge, or both (keeps some and merges the rest)."
    paper: str = ""
    year: int | None = None
    code: str = ""
    "Official repository, owner/name."
    licence: str = ""
    "Licence of the official code."
    query_aware: bool = False
    "True if the kept set depends on the prompt."
    fallbacks: Mapping[str, str] = None  # type: ignore[assignment]
    "Signal -> the signal that replaces it if a model does not have it."
    optional: tuple[str, ...] = ()
    "Signals that are used when they are there."
    read_with: Mapping[str, str] = field(default_factory=dict)
    "Optional signal -> option without which, at its default, the signal is not read."
    space: str = "post"
    "Features that W multiplies: pre (before the projector) or post (after it)."
    positions: str = "repack"
    "Published position policy: keep the ids, repack them without gaps, or mean of the members."
    member_positions: Callable[[Reduction], np.ndarray] | None = None
    "Reduction -> source tokens [m, k] whose positions each token has, where M-RoPE has sections."
    unmerged_by: str = ""
    "Option with which attention reads a merged token at the place of each of its members."
    removes: bool = True
    "False for methods that only mask: the sequence is not shortened."
    effect: str = "remove"
    "A key of EFFECTS: what happens to the tokens that a decision does not keep."
    verified: bool = True
    "False: built from secondary sources, a labelled stand-in for the published method."
    differs: tuple[str, ...] = ()
    "Clauses: what no run here does as the publication does, though the decision is its own."
    official_fallbacks: tuple[str, ...] = ()
    "Signals of `fallbacks` whose replacement the official code takes, too."
    only_with: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    "Option -> (another option, the value of it with which alone the first one is read)."
    published_options: Mapping[str, Any] = field(default_factory=dict)
    "Option -> published value, where that is not the default."
    variant_positions: Mapping[str, str] = field(default_factory=dict)
    "Value of `variant` or `version` -> its published position policy, where that is another."
    depths: tuple[int, ...] = ()
    "Layers of the towers or language models whose layers it names; () = its rule fits any depth."
    measured_on: tuple[str, str, int] | None = None
    "Model that its fixed numbers are for: name, family, heads per layer; None = for any model."
    rest: str = ""
    "Name of the method that is the other part of the same publication."
    several_images: bool = False
    "True when the publication itself decides on the tokens of several images."
    gradual: bool = False
    "True if a stage may keep more than `keep`, which later stages reach."
    adaptive: bool = False
    "True if the method may keep fewer tokens than the budget."
    own_count: bool = False
    "True if as published the image alone decides how many tokens stay, and there is no budget."
    images: str = "each"
    "A key of IMAGES; by default each, inside the language model together."
    training_free: bool = True
    "False: the publication trains something, which no run here has."
    frames: bool = False
    "True: it compares the frames of a film, and is refused for one picture."
    tiles: str = "together"
    "A key of TILES: what the official code does with the crops of one image."
    schedule: Schedule | None = None
    published: tuple[Published, ...] = ()
    "Published scores of LLaVA-1.5-7B, with their source; empty if none were found."

    @property
    def acts_at(self) -> str:
        """Where the method acts, in words."""
        return PLACES[self.place]

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return every option with its value, or raise InputError.

        It is raised for an unknown option, a value that is not allowed, and a value of one's own
        that a run with the other options would not read.

        Every verified method takes variant = paper or code; one without that option does the same
        in both.
        """
        same = self.verified and "variant" not in self.options
        if same and options.get("variant") in VARIANTS:
            options = {name: value for name, value in options.items() if name != "variant"}
        found = check_options(self.name, self.options, options)
        for name, (switch, value) in self.only_with.items():
            if found[name] != self.options[name].default and found[switch] != value:
                raise InputError(
                    f"{name} = {found[name]} would not be used: {self.name} reads it with "
                    f"{switch} = {value} only, and {switch} is {found[switch]}."
                )
        return found

    def reads(self, name: str, options: Mapping[str, Any]) -> bool:
        """Return True when a decision with these options reads an optional signal."""
        if name not in self.optional:
            return False
        option = self.options.get(self.read_with.get(name, ""))
        return option is None or options.get(option.name, option.default) != option.default

    def unmerges(self, options: Mapping[str, Any]) -> bool:
        """Return True when attention should read merged tokens at their members' places."""
        return bool(self.unmerged_by and self.check_options(options)[self.unmerged_by])

    def published_positions(self, options: Mapping[str, Any]) -> str:
        """Return the position policy that is published for these options."""
        chosen = str(options.get("version", options.get("variant", "")))
        return self.variant_positions.get(chosen, self.positions)

    def stages(self, n: int, keep: int, layers: int, **options: Any) -> list[Stage]:
        """Return the published schedule for this budget ([] for methods before the LLM).

        A method of the KV cache decides in every layer, by default with the same budget.
        """
        if self.schedule is None and self.place == "cache":
            self.check_options(options)
            return [Stage(layer, keep) for layer in range(layers)]
        if self.schedule is None:
            return []
        return self.schedule(n, keep, layers, **self.check_options(options))

    def check_images(self, count: int) -> None:
        """Raise InputError for several images if the method is defined for one, and vice versa."""
        if self.frames and count < 2:
            raise InputError(
                f"{self.title} compares the frames of a film, and this prompt has one picture. Ask "
                "about a film or several pictures, or choose a method for one picture, such as "
                "divprune."
            )
        if self.images == "one" and count > 1:
            raise InputError(
                f"{self.title} is defined for one image, and this prompt has {count}. Ask about "
                "one image at a time, or choose a method that takes several, such as fastervlm "
                "(each image on its own), fastv (all together) or catp."
            )

    def missing(self, available: set[str]) -> list[str]:
        """Return the needed signals that are neither available nor have an available fallback."""
        return [
            name
            for name in self.needs
            if name not in available and (self.fallbacks or {}).get(name) not in available
        ]


def method(name: str, **declared: Any) -> Callable[[Callable[..., Reduction]], Method]:
    """Register a function (signals, keep, *, options) -> Reduction as a reduction method.

    Args:
        name: the name in the dropdown, the CLI and `tokviz.reduce`.
        **declared: fields of `Method`. Options come from the function's keyword-only arguments,
            summary and notes from its docstring.
    """

    def register(decide: Callable[..., Reduction]) -> Method:
        declared.setdefault("fallbacks", {})
        for field_name, value in DEFAULTS_AT.get(declared.get("place", ""), {}).items():
            declared.setdefault(field_name, value)
        entry = Method(name=name, decide=decide, **read_off(decide), **declared)
        return METHODS.add(name, entry)

    return register


def reduce(name: str, signals: Mapping[str, Any], keep: int | str, **options: Any) -> Reduction:
    """Return the decision of one method for these signals.

    Args:
        name: a key of METHODS.
        signals: name -> array, see `tokviz.reduction.signal_table.SIGNALS`; any float type,
            decided as float32.
        keep: number of visual tokens to keep, 1 to n, or a share such as "25%".
        **options: the method's own options.

    Returns:
        A Reduction of the n tokens of the signals. keep = n is the identity, except for methods
        that choose their own count (`Method.adaptive`).

    Raises:
        InputError: an unknown method or option, keep out of range, NaN or Inf in a signal.
        FaultyPlugin: the method failed, or its decision is invalid.
        MissingSignal: a needed signal and its fallback are missing.
    """
    chosen = METHODS[name]
    options = chosen.check_options(options)
    if not isinstance(signals, Mapping):
        raise InputError(
            f"signals must be a mapping of names to arrays, got a {type(signals).__name__}. The "
            "decisions of a finished run are in trace.stages; to let a method decide on a model's "
            f"own signals, run vlm.answer(image, prompt, tokviz.plan({name!r}, keep=...))."
        )
    checked = Signals(signals)
    if missing := chosen.missing(set(checked)):
        lacking = missing[0]
        raise MissingSignal(
            f"{chosen.title} needs the signal {lacking!r}, which was not given: "
            f"{SIGNALS[lacking].meaning if lacking in SIGNALS else 'an unknown signal'}"
        )
    if checked.n is None:
        give = "grid, (rows, cols) of the tokens, or index, their numbers"
        if any("crop" in name for name in checked):
            give = "crops, one (role, rows, cols, row0, col0) each"
        raise InputError(
            f"the signals do not say how many tokens there are: {', '.join(checked) or 'none'} may "
            f"count [CLS] or padding. Give {give}."
        )
    keep = check_keep(keep, checked.n)
    if keep == checked.n and not chosen.adaptive:
        return Reduction.identity(checked.n)
    return decision(chosen, checked, checked.n, keep, options)


def check_keep(keep: Any, n: int) -> int:
    """Return keep as an int; raise InputError unless it is a count from 1 to n, or "25%"."""
    return tokens_of(keep, n)
