"""How many visual tokens a picture may give, chosen when a model is loaded."""

from __future__ import annotations

from typing import Any

from tokviz.budget import whole_number
from tokviz.errors import ModelError

CPU_VISUAL_TOKENS = 3072
"""The bound on a CPU: above every fixed number, and above LLaVA-NeXT's 2,880. A photograph of 12
megapixels gives 15,301 tokens on Qwen2.5-VL without one."""

MOST = 1_000_000
"""Above what any processor makes of a picture that is let in."""


def token_bound(asked: Any, device: str) -> int:
    """Return the bound; 0 = none.

    Args:
        asked: a number, 0 for no bound, or None for the default of the device.
        device: where the model runs.

    Raises:
        ModelError: not a whole number from 0 to MOST.
    """
    if asked is None:
        return CPU_VISUAL_TOKENS if device == "cpu" else 0
    number = whole_number(asked)
    if number is None or not 0 <= number <= MOST:
        raise ModelError(
            f"max_visual_tokens must be a whole number up to {MOST:,}, 0 for no bound, "
            f"got {str(asked)[:40]!r}."
        )
    return number


def bound_note(most: int, by_default: bool) -> str:
    """Return the sentence for the runs of a model whose processor was set lower."""
    why = ", as by default on a CPU" if by_default else ""
    return (
        f"A picture is read with about {most:,} visual tokens at most{why}; larger ones are made "
        "smaller. max_visual_tokens=0 reads as many as the model's processor makes."
    )
