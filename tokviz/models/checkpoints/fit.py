"""Does a model fit into the memory of this machine, told before it is downloaded?"""

from __future__ import annotations

from tokviz.models.checkpoints.cards import ModelCard
from tokviz.models.checkpoints.placement import Placement

CARD_BITS = 16
"""Bits of each weight that the sizes on the cards stand for; the embedded model's are 32."""
ROOM_TO_WORK = 1.25
"""Memory that a run takes, caches and activations included, in sizes of the weights."""
RUNS, TIGHT, TOO_LARGE = "runs here", "tight", "too large"


def needed_bytes(card: ModelCard, placement: Placement) -> float:
    """Return the bytes that a model's weights take where they would be placed."""
    if card.name == "embedded":
        return card.memory_gb * 1e9
    bits = placement.bits or 8 * placement.dtype.itemsize
    return card.memory_gb * 1e9 * bits / CARD_BITS


def fit(needed: float, free: float | None) -> str:
    """Return in two words whether weights of so many bytes fit; "" where nothing is known.

    Args:
        needed: bytes of the weights.
        free: bytes of memory that are free; None = not known.
    """
    if free is None:
        return ""
    if needed > free:
        return TOO_LARGE
    return RUNS if needed * ROOM_TO_WORK <= free else TIGHT
