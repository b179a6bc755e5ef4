"""Mitigations of hallucination: attention edits and contrastive decoding, one file each.

A new one is one file with one decorated function; no other file changes.
"""

from tokviz.mitigation.declare import KINDS, MITIGATIONS, Mitigation, mitigation
from tokviz.mitigation.recipe import (
    AttentionEdit,
    Contrast,
    EarlyExit,
    EditContext,
    EditedAttention,
    FewTokens,
    HeadShift,
    NoImage,
    NoisedImage,
    Recipe,
    Retrace,
    ZeroedTokens,
)

Place = EditContext
"""Former name of `EditContext`; plugins may still import it."""

__all__ = [
    "KINDS",
    "MITIGATIONS",
    "AttentionEdit",
    "Contrast",
    "EarlyExit",
    "EditContext",
    "EditedAttention",
    "FewTokens",
    "HeadShift",
    "Mitigation",
    "NoImage",
    "NoisedImage",
    "Place",
    "Recipe",
    "Retrace",
    "ZeroedTokens",
    "mitigation",
]
