"""Where a method decides in a decoder some of whose layers have no attention.

Publications name a layer for decoders with attention in all of them. A method that removes tokens
by the attention of one layer decides at the nearest later layer that has what it reads, so that no
token leaves earlier than it would; at the nearest earlier one if there is none. That layer is one
of the publication's free numbers, and the move is said. What cannot be moved is refused: attention
of two layers in a row or of every layer, tokens that pass by single layers, and tokens that stay in
the sequence and are hidden, since a layer without attention reads them all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from tokviz.errors import MissingSignal
from tokviz.models.families.layer_kinds import (
    layers_without_attention,
    listed,
    named_layers,
)
from tokviz.reduction import Stage
from tokviz.reduction.method import Method

BEFORE = {
    "llm_attn_last", "llm_attn_text", "llm_attn_text_text", "llm_attn_all", "llm_logits_all",
    "llm_keys_before", "llm_text_keys_before", "llm_values_before", "llm_qk_last",
}  # fmt: skip
"""Signals of the attention in the layer before a stage."""
NEXT = {"llm_peek_last", "llm_peek_text", "llm_keys", "llm_attn_mean_query"}
"""Signals of the attention in the layer that follows a stage."""
TWO_BEFORE = {"llm_attn_last_before"}
"""Signals of the attention in the layer before that."""
EVERY = {"llm_text_mass", "llm_transition"}
"""Signals that need attention in every layer before a stage."""


def hybrid_stages(
    entry: Method, stages: Sequence[Stage], decoder: nn.Module
) -> tuple[list[Stage], str]:
    """Return where a method decides, and a clause about the stages that were moved, or "".

    Args:
        entry: a method inside the language model.
        stages: its published schedule for this depth, ascending.
        decoder: the text decoder.

    Raises:
        MissingSignal: it cannot act in this decoder.
    """
    without = layers_without_attention(decoder)
    if not without or not stages:
        return list(stages), ""
    needs, last = set(entry.needs), max(stage.layer for stage in stages)
    if needs & EVERY and (lacking := {i: k for i, k in without.items() if i < last}):
        raise MissingSignal(
            f"{entry.title} reads the attention of all layers before its stage, and "
            f"{named_layers(lacking)}: there is no attention map. Choose another method."
        )
    count = len(decoder.layers)  # type: ignore[arg-type]
    fits = reads_attention(needs, without)
    places = [layer for layer in range(1, count) if fits(layer)]
    if not places:
        raise MissingSignal(
            f"{entry.title} reads the attention of two layers in a row, and in this model no two "
            f"neighbours have it: {named_layers(without)}. Choose another method."
        )
    moved = [nearest(stage.layer, places) if stage.layer else 0 for stage in stages]
    blind = {i: kind for i, kind in without.items() if i >= moved[0]}
    if entry.effect in ("mask", "decode") and blind:
        raise MissingSignal(
            f"{entry.title} hides tokens that stay in the sequence, and {named_layers(blind)}: "
            "such a layer reads every token of the sequence, hidden or not. Choose a method that "
            "removes tokens."
        )
    if moved == [stage.layer for stage in stages]:
        return list(stages), ""
    if entry.effect == "bypass":
        raise MissingSignal(
            f"{entry.title} chooses at single layers, by their attention, which tokens pass by, "
            f"and {named_layers(without)}: there is no attention map. Choose another method."
        )
    # stages that meet at one layer become one, with the budget of the last of them
    merged = {layer: stage.keep for layer, stage in zip(moved, stages, strict=True)}
    return [Stage(layer, keep) for layer, keep in sorted(merged.items())], clause(
        without, [stage.layer for stage in stages], sorted(merged), count
    )


def reads_attention(needs: set[str], without: dict[int, str]) -> Callable[[int], bool]:
    """Return a function: layer -> do the layers that a stage before it reads have attention?"""
    steps = [(BEFORE, -1), (NEXT, 0), (TWO_BEFORE, -2)]
    read = [step for names, step in steps if needs & names]
    return lambda layer: all(layer + step >= 0 and layer + step not in without for step in read)


def nearest(layer: int, places: Sequence[int]) -> int:
    """Return the first of ascending places at or after a layer, else the last one before it."""
    return next((place for place in places if place >= layer), places[-1])


def clause(
    without: dict[int, str], published: Sequence[int], ours: Sequence[int], count: int
) -> str:
    """Return where a method decides instead in a model of so many layers, and why."""
    kinds = " and ".join(dict.fromkeys(without.values()))
    return (
        f"it decides before {listed(ours)} of {count}, not {listed(published)}: of the layers that "
        f"it reads, some are {kinds} and have no attention"
    )
