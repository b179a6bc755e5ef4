"""Carries out the steps of a plan in the tower and before the language model.

A `PlanSteps` begins with every visual token, encoded once for all lanes.
`tokviz.models.before.prefill_input` builds the sequence of text and kept tokens from it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.models.apply_reduction import apply_reduction
from tokviz.models.before.early_stages import early_stages
from tokviz.models.before.hybrid_stages import hybrid_stages
from tokviz.models.before.part_by_part import split_budget, with_newlines
from tokviz.models.before.part_signals import part_signals
from tokviz.models.before.tokens_left import TokenPart, TokensLeft
from tokviz.models.clock import now
from tokviz.models.families.family import Features
from tokviz.models.families.shared_keys import owners, removing_layers
from tokviz.models.families.sources import Sources
from tokviz.models.tower.reduce import Encoded, encode_reduced
from tokviz.models.tower.vision import Vision
from tokviz.options import within
from tokviz.plans import Step
from tokviz.reduction import Stage, reduce
from tokviz.reduction.method import Method, check_keep
from tokviz.trace.layout import SEPARATOR

BLENDS = (
    "This picture was scaled down after the vision tower, so its visual tokens are blends of "
    "neighbouring patches: patches that were removed inside the tower are no longer part of them."
)


class PlanSteps(TokensLeft):
    """The current tokens, and the steps that reduce them."""

    def through_tower(self, step: Step) -> None:
        """Encode again with the step's method inside the tower, which decides tile by tile."""
        split = self.parts(by_tile=True)
        tokens = [part.tokens for part in split]
        budgets = self.budgets(check_keep(step.keep, self.layout.n), split)
        if whole_budget(step, tokens, budgets):
            self.note(step, Reduction.identity(self.layout.n), 0.0)
            return
        began = now(self.pre.device)
        asked = list(zip(tokens, budgets, strict=True))
        inputs = self.prepared.inputs
        done = encode_reduced(
            self.family, self.model, inputs, self.vision, self.layout, asked, step
        )
        passed = now(self.pre.device) - began - done.seconds
        self.encode_seconds = self.vision.entered_seconds + passed
        self.gave(step, done.supplied)
        self.note_split(step, split)
        if self.vision.sources.weight is not None:
            self.notes.append(BLENDS)
        numbers = [own[kept] for own, kept in zip(tokens, done.kept, strict=True)]
        joint, stay = self.with_newlines(done.reductions, tokens, np.concatenate(numbers))
        self.set_encoded(done, np.concatenate([*numbers, stay]), split)
        self.note(step, joint, done.seconds)
        self.since, self.encoded = Reduction.identity(self.whole.m), self.whole.position

    def set_encoded(self, done: Encoded, numbers: np.ndarray, split: Sequence[TokenPart]) -> None:
        """Replace the current tokens by the tower's and the newlines that stay, in prompt order.

        Args:
            done: the tower's tokens.
            numbers: original numbers of its tokens, tile after tile, then of the newlines.
            split: the tiles.
        """
        # `numbers` come tile by tile, newlines last; the prompt wants them ascending
        order = torch.as_tensor(np.argsort(numbers, kind="stable"), device=self.pre.device)
        stay = torch.as_tensor(numbers[len(done.pre) :], device=self.pre.device)
        self.with_own_cls(done, split)

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
            # [h, m of the tower] -> newlines get 0 -> prompt order -> [1, h, m]
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
            shared.blocks,
        )

    def with_own_cls(self, done: Encoded, split: Sequence[TokenPart]) -> None:
        """Set [CLS] states that are visual tokens (feature strategy "full") to the new states."""
        own = np.flatnonzero(self.layout.kind == SEPARATOR)
        if done.cls_state is None or not len(own):
            return
        tile = {part.tiles[0]: number for number, part in enumerate(split)}
        row = torch.as_tensor([tile[int(self.layout.tile[i])] for i in own], dtype=torch.long)
        place = torch.as_tensor(own, device=self.pre.device)
        self.pre, tokens = self.pre.clone(), self.features.tokens.clone()
        self.pre[place] = done.cls_state[row.to(place.device)]
        tokens[place] = self.family.project(self.model, self.pre[place])
        self.features = Features(tokens, self.features.extra)

    def before(self, step: Step) -> None:
        """Run a step before the language model, and apply its W to the features."""
        keep = self.budget(step)
        began = now(self.pre.device)
        done = step.reduction or self.decide(step, keep)
        if done.n != self.whole.m:
            raise InputError(f"this choice is for {done.n} tokens, but there are {self.whole.m}.")
        self.keep_score(step, done)
        self.keep_members(step, done)
        self.pre = apply_reduction(self.pre, done)
        plain, *extra = (apply_reduction(one, done) for one in self.every_feature())
        if step.entry is not None and step.entry.space == "pre" and not done.is_selection:
            # space "pre" merges before the projector; tokens that are plain copies are projected
            # already
            merged = torch.as_tensor(~done.is_copy, device=plain.device)
            plain[merged] = self.family.project(self.model, self.pre[merged])
        self.features, self.since = Features(plain, tuple(extra)), self.since.then(done)
        self.note(step, done, now(self.pre.device) - began)

    def budget(self, step: Step) -> int:
        """Return how many of the current tokens a step keeps.

        Earlier steps may leave fewer tokens than a later one should keep (adaptive methods choose
        their own number). Then the later step keeps all of them, and a note says so.

        Raises:
            InputError: more tokens than the prompt has, or not a whole number.
        """
        keep, left = check_keep(step.keep, self.layout.n), self.whole.m
        if keep > left:
            self.notes.append(
                f"Earlier steps left {left} tokens, fewer than the {keep} that {step.title} should "
                "keep: it keeps all of them."
            )
        return min(keep, left)

    def inside_stages(self, step: Step | None, layers: int) -> list[Stage]:
        """Return the stages of the step inside the language model; none if there is no step."""
        if step is None:
            return []
        if step.inside:
            return self.ready_stages(step, layers)
        m, keep = self.whole.m, self.budget(step)
        if len(self.layout.sizes) > 1 and "llm_image" not in step.entry.optional:  # type: ignore
            self.notes.append(f"{step.title} decides on the tokens of all images together.")
        if keep == m:
            return []
        entry: Method = step.entry  # type: ignore[assignment]
        decoder = self.family.decoder(self.model)

        def published(layers: int) -> list[Stage]:
            return entry.stages(m, keep, layers, **step.options)

        if owners(decoder):
            stages, moved = early_stages(entry, published, decoder)
        else:
            stages, moved = hybrid_stages(entry, published(layers), decoder)
        if moved:
            self.moved[step.method] = moved
        return stages

    def ready_stages(self, step: Step, layers: int) -> list[Stage]:
        """Return the stages of ready decisions; those beyond the last layer are left out and noted.

        Raises:
            InputError: the first decision is of another number of tokens than are left.
        """
        first = step.inside[0][1]
        if first.n != self.whole.m:
            raise InputError(
                f"the decisions of {step.title} are for {first.n} visual tokens, and {self.whole.m}"
                " enter the language model here."
            )
        usable = removing_layers(self.family.decoder(self.model))
        beyond = [layer for layer, _ in step.inside if layer >= usable]
        decided = f"{step.title} decided before layer {', '.join(map(str, beyond))}, and"
        if beyond and usable < layers:
            self.notes.append(
                f"{decided} in this model tokens can leave before the first {usable} layers only: "
                "that was not carried out."
            )
        elif beyond:
            self.notes.append(
                f"{decided} this language model has {layers} layers: that was not carried out."
            )
        return [Stage(layer, done.m) for layer, done in step.inside if layer < usable]

    def decide(self, step: Step, keep: int) -> Reduction:
        """Run the method on each image or crop, and join the decisions into one reduction."""
        entry: Method = step.entry  # type: ignore[assignment]
        check_tower_layers(step, self.vision.blocks)
        split = [self.everything()] if self.joint(entry) else self.parts(entry.tiles == "each")
        parts = []
        for part, share in zip(split, self.budgets(keep, split), strict=True):
            signals = part_signals(self, step, part)
            self.gave(step, (name for name, value in signals.items() if value is not None))
            parts.append(reduce(step.method, signals, share, **step.options))
        self.note_split(step, split)
        tokens = [part.tokens for part in split]
        left = np.concatenate([t[p.position] for p, t in zip(parts, tokens, strict=True)])
        return self.with_newlines(parts, tokens, left)[0]

    def joint(self, entry: Method) -> bool:
        """Return whether a method decides on several images at once; if so, add a note."""
        together = entry.images == "together" and len(self.layout.sizes) > 1
        if together:
            self.notes.append(f"{entry.title} decides on the tokens of all images together.")
        return together

    def unit(self, split: Sequence[TokenPart]) -> str:
        """Return the word for the parts: image or crop."""
        return "image" if len(split) == len(self.layout.sizes) else "crop"

    def budgets(self, keep: int, split: Sequence[TokenPart]) -> list[int]:
        """Split a budget over parts in proportion to their tokens."""
        sizes = [len(part.tokens) for part in split]
        return split_budget(min(keep, sum(sizes)), sizes, self.unit(split))

    def note_split(self, step: Step, split: Sequence[TokenPart]) -> None:
        """Note that the method decided in each image or crop separately, if there are several."""
        if len(split) > 1:
            unit = self.unit(split)
            self.notes.append(
                f"{step.entry.title} chose from each {unit} separately, in proportion to the "  # type: ignore[union-attr]
                f"{unit}'s tokens."
            )

    def with_newlines(
        self, parts: Sequence[Reduction], tokens: Sequence[np.ndarray], left: np.ndarray
    ) -> tuple[Reduction, np.ndarray]:
        """Join decisions; return the joint reduction and the places of the newlines that stay."""
        original = self.whole.position
        joint, stay, note = with_newlines(self.layout, original, parts, tokens, left)
        self.notes += [note] if note else []
        return joint, stay

    def with_cls(self, features: Features) -> Features:
        """Return the features with the projected [CLS] state in front of them, [1 + m, d].

        Raises:
            InputError: several tiles, or no [CLS] state, or tokens of several patches.
        """
        state = self.vision.cls_state
        one = len(self.layout.tiles) == 1 and self.one_patch_each
        if state is None or not one or features.extra:
            raise InputError(
                "the [CLS] state can be added to the prompt of one image in one tile only, and "
                "needs a tower that has it and gives one visual token per patch."
            )
        cls = self.family.project(self.model, state)
        return Features(torch.cat([cls, features.tokens]))


def check_tower_layers(step: Step, depth: int) -> None:
    """Raise InputError for an option that names a layer which the vision tower does not have.

    Args:
        step: a step before the language model; its options `layer` and `..._layer`.
        depth: layers of the tower; 0 = not known.
    """
    options = step.entry.check_options(step.options)  # type: ignore[union-attr]
    for name, value in options.items():
        if depth and isinstance(value, int) and (name == "layer" or name.endswith("_layer")):
            within(name, value, -depth, depth - 1, f"the vision tower has {depth} layers")


def whole_budget(step: Step, tokens: Sequence[np.ndarray], keep: Sequence[int]) -> bool:
    """Return whether every token is kept, so that there is nothing to decide."""
    entry: Method = step.entry  # type: ignore[assignment]
    all_stay = all(len(own) == share for own, share in zip(tokens, keep, strict=True))
    return all_stay and entry.effect == "remove" and not entry.adaptive
