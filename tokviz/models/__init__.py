"""Models: image and prompt in, trace out. The only place that imports transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from tokviz.errors import ModelError
from tokviz.models.checkpoints.cards import MODELS, ModelCard
from tokviz.models.checkpoints.checkpoint import family_of
from tokviz.models.checkpoints.download import ProgressLine
from tokviz.models.checkpoints.loading import check_whole, load_parts, log
from tokviz.models.checkpoints.placement import choose_placement
from tokviz.models.families.family import FAMILIES
from tokviz.models.vlm import VLM
from tokviz.trace.lane_view import LaneView

__all__ = ["FAMILIES", "MODELS", "VLM", "LaneView", "ModelCard", "load"]


def load(
    source: str | Path | tuple[nn.Module, Any] = "embedded",
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    device_map: str | None = None,
    bits: int | None = None,
    progress: ProgressLine = log.info,
) -> VLM:
    """Load a vision-language model.

    Args:
        source: "embedded", a Hugging Face Hub id, a local folder, or (model, processor).
        device: cpu, cuda ...; None = a GPU if there is one.
        dtype: float32, float16 or bfloat16; None = float32 on a CPU, 16 bits on a GPU.
        revision: branch, tag or commit on the Hub.
        device_map: auto, balanced, balanced_low_0 or sequential: layers spread over several GPUs
            (needs accelerate; not tested on two real GPUs).
        bits: 4 or 8: weights quantised to so many bits (needs accelerate and bitsandbytes).
        progress: called with one line at a time about download and loading; default the log.

    Raises:
        ModelError: not found, an unsupported type, too little memory, damaged files, or a missing
            package.
    """
    if isinstance(source, tuple):
        asked = {"device": device, "dtype": dtype, "revision": revision, "bits": bits}
        return _given(source, {**asked, "device_map": device_map})
    placement = choose_placement(device, dtype, device_map, bits)
    model, processor, family = load_parts(source, placement, revision, progress)
    return VLM(model, processor, family, str(source), placement.reason)


def _given(pair: tuple[nn.Module, Any], asked: Mapping[str, Any]) -> VLM:
    """Return a VLM of a model that the caller loaded, on its device and in its number type."""
    model, processor = pair if len(pair) == 2 else (None, None)
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if kind is None or not hasattr(processor, "tokenizer"):
        raise ModelError("give (model, processor), both of transformers, got something else.")
    used = [name for name, value in asked.items() if value is not None]
    if used:
        raise ModelError(
            f"{used[0]} cannot be set for a model that is already loaded: load it with {used[0]}."
        )
    family = family_of(kind)
    check_whole(model)
    return VLM(model.eval(), processor, family, type(model).__name__, "as given")
