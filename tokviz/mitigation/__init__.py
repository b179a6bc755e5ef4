"""Answering back at a hallucination: attention edits and contrast, one file per mitigation.

Adding one takes one file with one decorated function; nothing else is edited.
"""

from tokviz.mitigation.declare import KINDS, MITIGATIONS, Mitigation, mitigation
from tokviz.mitigation.recipe import (
    AttentionEdit,
    Contrast,
    EarlyExit,
    FewTokens,
    NoImage,
    NoisedImage,
    Place,
    Recipe,
)

__all__ = [
    "KINDS",
    "MITIGATIONS",
    "AttentionEdit",
    "Contrast",
    "EarlyExit",
    "FewTokens",
    "Mitigation",
    "NoImage",
    "NoisedImage",
    "Place",
    "Recipe",
    "mitigation",
]
