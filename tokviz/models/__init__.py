"""Models: image and prompt in, trace out. The only place that imports transformers.

The names below are imported when they are first used: the cards of the models, and whether they fit
into memory, are wanted by pages that have no model yet.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokviz.models.checkpoints.cards import MODELS, ModelCard
    from tokviz.models.families.family import FAMILIES
    from tokviz.models.load_model import load
    from tokviz.models.vlm import VLM
    from tokviz.trace.lane_view import LaneView

__all__ = ["FAMILIES", "MODELS", "VLM", "LaneView", "ModelCard", "load"]
_HOME = {
    "FAMILIES": "tokviz.models.families.family",
    "LaneView": "tokviz.trace.lane_view",
    "MODELS": "tokviz.models.checkpoints.cards",
    "ModelCard": "tokviz.models.checkpoints.cards",
    "VLM": "tokviz.models.vlm",
    "load": "tokviz.models.load_model",
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
