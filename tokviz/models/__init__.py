"""Models: image and prompt in, trace out. The only place that imports transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from tokviz.models.cards import MODELS, ModelCard
from tokviz.models.download import Progress
from tokviz.models.family import FAMILIES
from tokviz.models.loading import choose_placement, family_of, load_parts, log
from tokviz.models.run import LaneView
from tokviz.models.vlm import VLM

__all__ = ["FAMILIES", "MODELS", "VLM", "LaneView", "ModelCard", "load"]


def load(
    source: str | Path | tuple[nn.Module, Any] = "embedded",
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    device_map: str | None = None,
    bits: int | None = None,
    progress: Progress = log.info,
) -> VLM:
    """Load a vision-language model.

    Args:
        source: "embedded", a Hugging Face Hub id, a local folder, or (model, processor).
        device: cpu, cuda ...; None = a GPU when there is one.
        dtype: float32, float16 or bfloat16; None = float32 on a CPU, 16 bits on a GPU.
        revision: branch, tag or commit on the Hub.
        device_map: auto, balanced, balanced_low_0 or sequential: layers spread over several GPUs
            (needs accelerate; not tested on more than one device).
        bits: 4 or 8: weights rounded to as many bits (needs accelerate and bitsandbytes).
        progress: told in one line at a time how far download and loading are; default the log.

    Raises:
        ModelError: nothing there, an unsupported type, no memory, damaged files, or a package
            that is missing.
    """
    if isinstance(source, tuple):
        model, processor = source
        family = family_of(model.config.model_type)
        return VLM(model.eval(), processor, family, type(model).__name__, "as given")
    placement = choose_placement(device, dtype, device_map, bits)
    model, processor, family = load_parts(source, placement, revision, progress)
    return VLM(model, processor, family, str(source), placement.reason)
