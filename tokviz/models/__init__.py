"""Models: image and prompt in, trace out. The only place that imports transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from tokviz.models.loading import (
    FAMILIES,
    MODELS,
    ModelCard,
    choose_placement,
    family_of,
    load_parts,
)
from tokviz.models.run import LaneView
from tokviz.models.vlm import VLM

__all__ = ["FAMILIES", "MODELS", "VLM", "LaneView", "ModelCard", "load"]


def load(
    source: str | Path | tuple[nn.Module, Any] = "embedded",
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
) -> VLM:
    """Load a vision-language model.

    Args:
        source: "embedded", a Hugging Face Hub id, a local folder, or (model, processor).
        device: cpu, cuda ...; None = a GPU when there is one.
        dtype: float32, float16 or bfloat16; None = float32 on a CPU, 16 bits on a GPU.
        revision: branch, tag or commit on the Hub.

    Raises:
        ModelError: nothing there, an unsupported type, no memory, damaged files.
    """
    if isinstance(source, tuple):
        model, processor = source
        family = family_of(model.config.model_type)
        return VLM(model.eval(), processor, family, type(model).__name__, "as given")
    placement = choose_placement(device, dtype)
    model, processor, family = load_parts(source, placement, revision)
    return VLM(model, processor, family, str(source), placement.reason)
