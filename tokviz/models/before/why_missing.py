"""Why a method cannot get a signal: because of the model, the picture or an earlier step."""

from __future__ import annotations

from tokviz.models.before.tokens_left import TokenPart, TokensLeft
from tokviz.models.tower.record_signals import TOWER_SIGNALS
from tokviz.reduction.signal_table import OF_CROPS, SIGNALS


def why_lacking(state: TokensLeft, part: TokenPart, name: str) -> str:
    """Return a clause that says why there is no signal of this name.

    Args:
        state: the current visual tokens.
        part: the tokens on which the method decides.
        name: the signal.
    """
    meaning = SIGNALS[name].meaning.rstrip(".")
    shown = f"{name!r} ({meaning})"
    has_cls = state.family.has_cls(state.model)
    tiles = len(part.tiles)
    if "cls" in name and not has_cls:
        return f"it needs {shown}, and the vision tower of {state.family.title} has no [CLS] token"
    if name in TOWER_SIGNALS and not len(state.family.tower_layers(state.model)):
        return (
            f"it needs {shown}, and the vision tower of {state.family.title} is convolutional: it "
            "has no layers of tokens, and its attention is not seen"
        )
    if name in OF_CROPS:
        return f"it needs {shown}, and {_crops(tiles)}"
    if name == "grid" and tiles > 1:
        return (
            f"it needs one grid of rows and columns, and this image is cut into {tiles} tiles, "
            "each a grid of its own"
        )
    if name == "grid":
        return "it needs a full grid of rows and columns, and earlier steps removed some tokens"
    if name == "asked_yes":
        return (
            "it asks the model about each frame alone, with the letter A for yes, and this model "
            "has no token for that letter or cannot take one picture alone"
        )
    if name in TOWER_SIGNALS and any(record.place == "tower" for record in state.records):
        return (
            f"it needs {shown} of the current tokens, and a step inside the vision tower has "
            "changed them"
        )
    if name == "full_attn" and tiles > 1:
        return (
            f"it needs {shown}, and this image is cut into {tiles} tiles that do not attend to "
            "each other"
        )
    return f"this model does not give {shown}"


def _crops(tiles: int) -> str:
    """Return what is wrong with the crops of an image."""
    if tiles == 1:
        return "this image is not cut into crops"
    return "the crops of this image are not a thumbnail with full crops beside it"
