"""The visual tokens on their way to the language model: who decides on which of them, by what?

A `Travel` starts with every token, encoded once for all lanes, and carries out the steps of a plan
in the tower and before the language model. `tokviz.models.route` puts what arrives into a sequence.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tokviz.errors import InputError, MissingSignal
from tokviz.layout import NEWLINE, PATCH, Layout
from tokviz.matrix import Reduction
from tokviz.models.crops import crop_signals
from tokviz.models.family import Family, Features
from tokviz.models.lacking import why_lacking
from tokviz.models.sources import Sources
from tokviz.models.tower import Encoded, encode_reduced
from tokviz.models.tower_row import apply_reduction
from tokviz.models.vision import TOWER_SIGNALS, Vision, image_signals
from tokviz.plans import Step
from tokviz.records import StageRecord
from tokviz.reduction import Stage, reduce
from tokviz.reduction.method import Method, check_keep
from tokviz.signal_table import SIGNALS

if TYPE_CHECKING:
    from tokviz.models.run import Prepared


@dataclass(frozen=True)
class Part:
    """Tokens that a method decides on by themselves: those of an image, or of one of its crops."""

    image: int
    tiles: tuple[int, ...]
    "Numbers of its crops in the layout."
    tokens: np.ndarray
    "Places among the tokens that are left, ascending; patches only."


class Travel:
    """The visual tokens on their way from the image to the language model."""

    def __init__(self, family: Family, model: nn.Module, prepared: Prepared, shared: Vision):
        """Start with every token, encoded once for all lanes."""
        self.family, self.model, self.prepared = family, model, prepared
        self.layout: Layout = prepared.asked.layout
        self.vision = shared
        self.pre, self.features = shared.pre, shared.features
        self.one_patch_each = shared.sources.one_patch_each
        self.since = Reduction.identity(self.layout.n)
        "What happened since the tower: from the tokens in `vision` to those that are left."
        self.encoded = np.arange(self.layout.n)
        "Original number of each token in `vision`."
        self.encode_seconds, self.decide_seconds = shared.seconds, 0.0
        self.whole = Reduction.identity(self.layout.n)
        self.records: list[StageRecord] = []
        self.notes: list[str] = []
        "Sentences about how the plan was carried out."

    def text_rows(self) -> np.ndarray:
        """Rows of the prompt that are not visual tokens."""
        return np.setdiff1d(np.arange(len(self.prepared.asked.prompt_ids)), self.layout.position)

    def through_tower(self, step: Step) -> None:
        """Encode again, with the step's method inside the tower, tile by tile."""
        split = self.parts(by_tile=True)
        tokens = [part.tokens for part in split]
        keep = check_keep(step.keep, self.layout.n)
        shares = self.shares(min(keep, sum(len(own) for own in tokens)), tokens)
        if whole_budget(step, tokens, shares):
            self.note(step, Reduction.identity(self.layout.n), 0.0)
            return
        began = time.perf_counter()
        asked = list(zip(tokens, shares, strict=True))
        inputs = self.prepared.inputs
        done = encode_reduced(
            self.family, self.model, inputs, self.vision, self.layout, asked, step
        )
        passed = time.perf_counter() - began - done.seconds
        self.encode_seconds = self.vision.entered_seconds + passed
        self.say_shares(step, split)
        numbers = [own[kept] for own, kept in zip(tokens, done.kept, strict=True)]
        joint, stay = self.with_newlines(done.reductions, tokens, np.concatenate(numbers))
        self.take(done, np.concatenate([*numbers, stay]), split)
        self.note(step, joint, done.seconds)
        self.since, self.encoded = Reduction.identity(self.whole.m), self.whole.position

    def take(self, done: Encoded, numbers: np.ndarray, split: Sequence[Part]) -> None:
        """Put the tower's tokens and the newlines that stay in the order of the prompt.

        Args:
            done: what the tower gave.
            numbers: original numbers of its tokens, tile after tile, then of the newlines.
            split: the tiles.
        """
        order = torch.as_tensor(np.argsort(numbers, kind="stable"), device=self.pre.device)
        stay = torch.as_tensor(numbers[len(done.pre) :], device=self.pre.device)

        def ordered(own: torch.Tensor, all_tokens: torch.Tensor) -> torch.Tensor:
            return torch.cat([own, all_tokens[stay]])[order] if len(stay) else own[order]

        shared = self.vision
        pairs = zip(done.features.extra, self.features.extra, strict=True)
        self.pre = ordered(done.pre, self.pre)
        self.features = Features(
            ordered(done.features.tokens, self.features.tokens),
            tuple(ordered(own, whole) for own, whole in pairs),
        )
        layers = {
            layer: F.pad(value, (0, len(stay)))[None, ..., order]
            for layer, value in done.cls_attn.items()
        }
        rows = [int(shared.sources.row[part.tokens[0]]) for part in split]
        self.vision = Vision(
            self.features,
            self.pre,
            Sources.itself(len(numbers)),
            [rows.index(row) if row in rows else 0 for row in shared.whole],
            {"cls_attn": layers},
            {},
            done.cls_state,
        )

    def before(self, step: Step) -> None:
        """Decide on the tokens that are left, and apply W to their features."""
        keep = self.budget(step)
        began = time.perf_counter()
        done = step.reduction or self.decide(step, keep)
        if done.n != self.whole.m:
            raise InputError(f"this choice is for {done.n} tokens, but there are {self.whole.m}.")
        self.pre = apply_reduction(self.pre, done)
        plain, *extra = (apply_reduction(one, done) for one in self.every_feature())
        if step.entry is not None and step.entry.space == "pre" and not done.is_selection:
            merged = torch.as_tensor(~done.is_copy, device=plain.device)
            plain[merged] = self.family.project(self.model, self.pre[merged])
        self.features, self.since = Features(plain, tuple(extra)), self.since.then(done)
        self.note(step, done, time.perf_counter() - began)

    def budget(self, step: Step) -> int:
        """Return how many of the tokens that are left a step leaves.

        Earlier steps may leave fewer tokens than a later one asks for (adaptive methods choose
        their own count): the later one then keeps all of them, and a note says so.

        Raises:
            InputError: more tokens than the prompt has, or not a whole number.
        """
        keep, left = check_keep(step.keep, self.layout.n), self.whole.m
        if keep > left:
            self.notes.append(
                f"Earlier steps left {left} tokens, fewer than the {keep} that {step.title} was "
                "to leave: it keeps all of them."
            )
        return min(keep, left)

    def inside_stages(self, step: Step | None, layers: int) -> list[Stage]:
        """Return the stages of a step inside the language model, none without one."""
        if step is None:
            return []
        m, keep = self.whole.m, self.budget(step)
        if len(self.layout.sizes) > 1 and "llm_image" not in step.entry.optional:  # type: ignore
            self.notes.append(f"{step.title} decides on the tokens of all images together.")
        return [] if keep == m else step.entry.stages(m, keep, layers, **step.options)  # type: ignore

    def every_feature(self) -> tuple[torch.Tensor, ...]:
        """Return all that is reduced along with the tokens, [m, d] each."""
        return (self.features.tokens, *self.features.extra)

    def decide(self, step: Step, keep: int) -> Reduction:
        """Ask the method, image by image or crop by crop, and lay the decisions side by side.

        Newline and separator tokens are no candidates and are not counted in keep. Official code
        knows every way (VisionZip drops them, GlobalCom² keeps them all, DivPrune lets them
        compete); here one follows its row: it stays as long as a token of the row does.
        """
        entry: Method = step.entry  # type: ignore[assignment]
        split = [self.everything()] if self.joint(entry) else self.parts(entry.tiles == "each")
        tokens = [part.tokens for part in split]
        shares = self.shares(min(keep, sum(len(own) for own in tokens)), tokens)
        parts = []
        for part, share in zip(split, shares, strict=True):
            parts.append(reduce(step.method, self.signals(entry, part), share, **step.options))
        self.say_shares(step, split)
        left = np.concatenate([t[p.position] for p, t in zip(parts, tokens, strict=True)])
        return self.with_newlines(parts, tokens, left)[0]

    def say_shares(self, step: Step, split: Sequence[Part]) -> None:
        """Note that each image or crop was decided on by itself, where there are several."""
        if len(split) > 1:
            unit = "image" if len(split) == len(self.layout.sizes) else "crop"
            self.notes.append(
                f"{step.entry.title} chose from each {unit} on its own, in shares that "  # type: ignore[union-attr]
                f"follow the {unit}s' tokens."
            )

    def with_newlines(
        self, parts: Sequence[Reduction], tokens: Sequence[np.ndarray], left: np.ndarray
    ) -> tuple[Reduction, np.ndarray]:
        """Lay decisions side by side, with the newlines of rows that still have a token.

        Args:
            parts: what happened to each part's tokens.
            tokens: per part, its tokens' places among those that were left so far.
            left: places of all patch tokens that are left now.

        Returns:
            The joint reduction, and the places of the newlines and separators that stay.
        """
        structural = np.flatnonzero(self.layout.kind[self.whole.position] != PATCH)
        if not len(structural):
            return side_by_side(parts, tokens), structural
        stay = self.followers(structural, left)
        self.notes.append(
            f"{len(stay)} of {len(structural)} newline tokens stay, those of rows that still "
            "have a token; keep does not count them."
        )
        parts = [*parts, Reduction.select(stay, len(structural))]
        return side_by_side(parts, [*tokens, structural]), structural[stay]

    def followers(self, structural: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Return which newline and separator tokens stay when the tokens `left` do.

        A newline ends the row of the patch before it; separators always stay.

        Args:
            structural: their places among the tokens that are left so far.
            left: places of the patch tokens that will be left.

        Returns:
            Indices in `structural`, ascending.
        """
        layout, original = self.layout, self.whole.position
        alive = np.zeros(layout.n, bool)
        alive[original[left]] = True
        stays = [
            layout.kind[own] != NEWLINE or alive[layout.line(own)].any()
            for own in original[structural]
        ]
        return np.flatnonzero(stays)

    def signals(self, entry: Method, part: Part) -> dict[str, Any]:
        """Return the signals the method asks for, over the tokens of one part that are left."""
        words = self.prepared.inputs["input_ids"][0][self.prepared.text_rows.to(self.pre.device)]
        text = self.model.get_input_embeddings()(words)  # type: ignore[operator]
        given = self.left(image_signals(self.vision, self.before_steps(part), part.image), part)
        images = sorted({self.layout.tiles[i].image for i in part.tiles})
        crops = crop_signals(self.layout, images, self.whole.position[part.tokens])
        whole_image = entry.tiles != "each"
        given |= crops if whole_image else {"unpad_mask": crops["unpad_mask"]}
        given["text_llm"] = text
        if "relevance" in entry.needs and self.prepared.relevance is not None:
            given["relevance"] = self.relevance(part)
        given["projector"] = lambda x: self.family.project(self.model, x)
        asked = {*entry.needs, *entry.optional, *entry.fallbacks.values(), "num_layers"}
        lacking = entry.missing({name for name, value in given.items() if value is not None})
        if lacking:
            raise MissingSignal(
                f"{entry.title} cannot run here: {why_lacking(self, part, lacking[0])}."
            )
        return {name: value for name, value in given.items() if name in asked}

    def relevance(self, part: Part) -> torch.Tensor:
        """Return the full run's relevance of the tokens of a part that are left."""
        values, seconds = self.prepared.relevance  # type: ignore[misc]
        note = "The relevance map took a full answer and its backward passes; decide counts them."
        if note not in self.notes:
            self.notes.append(note)
            self.decide_seconds += seconds
        return torch.as_tensor(values[self.whole.position[part.tokens]], device=self.pre.device)

    def before_steps(self, part: Part) -> np.ndarray:
        """Return which of the tokens in `vision` belong to a part (newlines left out)."""
        patch = self.layout.kind[self.encoded] == PATCH
        return np.flatnonzero(np.isin(self.layout.tile[self.encoded], part.tiles) & patch)

    def left(self, signals: dict[str, Any], part: Part) -> dict[str, Any]:
        """Cut signals of the tokens in `vision` down to those that earlier steps left."""
        now = part.tokens
        index = self.whole.position[now]
        if self.since.m == self.since.n:
            tiles = [self.layout.tiles[i] for i in part.tiles]
            whole = len(tiles) == 1 and len(now) == tiles[0].rows * tiles[0].cols
            grid = [tiles[0].rows, tiles[0].cols] if whole else None
            return {**signals, "index": index, "grid": grid}
        place = np.searchsorted(self.before_steps(part), self.since.position[now])
        features = {
            "feats_pre": self.pre[now],
            "feats_post": self.features.tokens[now],
            "index": index,
        }
        n = len(self.before_steps(part))
        return {name: gather(name, value, place, n) for name, value in signals.items()} | features

    def parts(self, by_tile: bool = False) -> list[Part]:
        """Return the tokens that are left image by image, or crop by crop.

        A crop of which nothing is left makes no part; newlines belong to none.
        """
        tiles = self.layout.tiles
        owner = np.where(self.layout.kind == PATCH, self.layout.tile, -1)[self.whole.position]
        own = [tuple(i for i, t in enumerate(tiles) if t.image == image)
               for image in range(len(self.layout.sizes))]  # fmt: skip
        if by_tile:
            own = [(i,) for numbers in own for i in numbers if (owner == i).any()]
        return [
            Part(tiles[numbers[0]].image, numbers, np.flatnonzero(np.isin(owner, numbers)))
            for numbers in own
        ]

    def joint(self, entry: Method) -> bool:
        """True when a method decides on several images at once; a note says so."""
        together = entry.images == "together" and len(self.layout.sizes) > 1
        if together:
            self.notes.append(f"{entry.title} decides on the tokens of all images together.")
        return together

    def everything(self) -> Part:
        """Return the patches that are left of all images, as one part."""
        patch = self.layout.kind[self.whole.position] == PATCH
        return Part(0, tuple(range(len(self.layout.tiles))), np.flatnonzero(patch))

    def images(self) -> list[np.ndarray]:
        """Return, per image, which of the tokens that are left are patches of it."""
        return [part.tokens for part in self.parts()]

    def shares(self, keep: int, tokens: list[np.ndarray]) -> list[int]:
        """Split a budget over images or crops in proportion to their tokens."""
        sizes = [len(own) for own in tokens]
        shares = [keep * size // sum(sizes) for size in sizes]
        for i in range(keep - sum(shares)):
            shares[i] += 1
        if min(shares) < 1:
            unit = "image" if len(sizes) == len(self.layout.sizes) else "crop"
            raise InputError(f"keep must be at least one token per {unit} ({len(sizes)}).")
        return shares

    def carried(self, step: Step | None) -> dict[str, torch.Tensor]:
        """Return tower signals [m] that a method inside the language model asks for."""
        wanted = set(step.entry.fallbacks.values()) if step and step.entry else set()
        found: dict[str, torch.Tensor] = {}
        if step and step.entry and "llm_image" in step.entry.optional and len(self.images()) > 1:
            image = self.layout.image[self.whole.position].astype(np.int64)
            found["llm_image"] = torch.as_tensor(image, device=self.pre.device)
        if not wanted & set(TOWER_SIGNALS):
            return found
        layer = self.family.feature_layer(self.model)
        for part in self.parts():
            place = part.tokens
            signals = image_signals(self.vision, self.before_steps(part), part.image)
            for name in wanted & set(TOWER_SIGNALS):
                layers = self.left(signals, part).get(name, {})
                if layer in layers:
                    value = layers[layer]
                    found.setdefault(name, value.new_zeros(*value.shape[:-1], self.whole.m))
                    found[name][..., torch.as_tensor(place, device=value.device)] = value
        return found

    def with_cls(self, features: Features) -> Features:
        """Put the tower's [CLS] state, projected, in front; it takes the first token's place."""
        state = self.vision.cls_state
        one = len(self.layout.tiles) == 1 and self.one_patch_each
        if state is None or not one or features.extra:
            raise InputError(
                "the [CLS] state can be fed for one image in one tile, and needs a tower that has "
                "it and gives one visual token per patch."
            )
        cls = self.family.project(self.model, state)
        return Features(torch.cat([cls, features.tokens]))

    def note(self, step: Step, done: Reduction, seconds: float) -> None:
        """Write down a stage that was carried out."""
        name = step.method
        effect = "remove" if step.entry is None else step.entry.effect
        effect = "remove" if effect == "restart" else effect
        self.records.append(StageRecord(name, step.place, None, done, seconds, effect))
        self.whole = self.whole.then(done) if effect == "remove" else self.whole
        self.decide_seconds += seconds


def whole_budget(step: Step, tokens: Sequence[np.ndarray], keep: Sequence[int]) -> bool:
    """True where a budget leaves every token, so that nothing is to be decided."""
    entry: Method = step.entry  # type: ignore[assignment]
    all_stay = all(len(own) == share for own, share in zip(tokens, keep, strict=True))
    return all_stay and entry.effect == "remove" and not entry.adaptive


TOKEN_AXES = {"q": (-2,), "k": (-2,), "v": (-2,), "full_attn": (-2, -1)}
"""Axes of the tokens in signals that have [CLS], if any, in front of them."""


def gather(name: str, value: Any, place: np.ndarray, n: int) -> Any:
    """Take the given ones of n tokens out of a signal; [CLS] and signals without tokens stay."""
    if isinstance(value, dict):
        return {layer: gather(name, one, place, n) for layer, one in value.items()}
    letters = SIGNALS[name].shape.split()
    axes = (letters.index("n") - len(letters),) if "n" in letters else TOKEN_AXES.get(name, ())
    if value is None:
        return value
    for axis in axes:
        skip = value.shape[axis] - n
        rows = np.concatenate([np.arange(skip), skip + place])
        value = value.index_select(axis, torch.as_tensor(rows, device=value.device))
    return value


def side_by_side(parts: Sequence[Reduction], tokens: Sequence[np.ndarray]) -> Reduction:
    """Lay the reductions of several images along the diagonal of one matrix, in raster order.

    Args:
        parts: one reduction per image.
        tokens: for each image, its columns in the joint matrix.
    """
    if len(parts) == 1:
        return parts[0].in_raster_order()
    n, m = sum(len(t) for t in tokens), sum(p.m for p in parts)
    starts = np.cumsum([0, *(p.m for p in parts)])
    pairs = list(zip(parts, tokens, strict=True))
    score = np.full(n, np.nan, np.float32)
    for part, place in pairs:
        score[place] = np.nan if part.score is None else part.score
    roles = {name for part in parts for name in part.roles}
    joint = Reduction.from_entries(
        np.concatenate([p.rows + s for p, s in zip(parts, starts, strict=False)]),
        np.concatenate([t[p.cols] for p, t in pairs]),
        np.concatenate([p.weights for p in parts]),
        n,
        m,
        np.concatenate([t[p.position] for p, t in pairs]),
        score=None if np.isnan(score).all() else score,
        roles={
            role: np.concatenate([t[p.roles[role]] for p, t in pairs if role in p.roles])
            for role in sorted(roles)
        },
        notes=tuple(dict.fromkeys(note for p in parts for note in p.notes)),
        prefix_cls=any(p.prefix_cls for p in parts),
    )
    return joint.in_raster_order()
