"""Loads a vision-language model: the embedded one, a checkpoint, or a given model."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from tokviz.errors import ModelError
from tokviz.keywords import tells_arguments
from tokviz.models.adapters import without_wrapper
from tokviz.models.answer_text import end_tokens
from tokviz.models.checkpoints.checkpoint import family_of
from tokviz.models.checkpoints.download import ProgressLine
from tokviz.models.checkpoints.known_pictures import read_known_pictures
from tokviz.models.checkpoints.loading import EMBEDDED, check_whole, load_parts, log
from tokviz.models.checkpoints.placement import choose_placement
from tokviz.models.checkpoints.token_bound import bound_note, token_bound
from tokviz.models.compiled import before_compiling
from tokviz.models.runs.attention_check import check_attention
from tokviz.models.vlm import VLM


@tells_arguments
def load(
    source: str | Path | tuple[nn.Module, Any] = "embedded",
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    device_map: str | None = None,
    bits: int | None = None,
    clip: str | Path | None = None,
    max_visual_tokens: int | None = None,
    progress: ProgressLine = log.info,
    stop: threading.Event | None = None,
) -> VLM:
    """Load a vision-language model.

    Args:
        source: "embedded", a Hugging Face Hub id, a local folder, or (model, processor). A given
            model is changed only while tokviz computes, and restored after each call.
        device: cpu, cuda ...; None = a GPU when there is one.
        dtype: float32, float16 or bfloat16; None = float32 on a CPU, 16 bits on a GPU.
        revision: branch, tag or commit on the Hub.
        device_map: auto, balanced, balanced_low_0 or sequential: layers spread over several GPUs
            (needs accelerate; never run on two real GPUs).
        bits: 4 or 8: weights rounded to as many bits (needs accelerate and bitsandbytes).
        clip: the CLIP checkpoint that the model's vision tower comes from, a Hub id or a folder,
            for methods that compare patches with the question in CLIP's joint space (cdpruner,
            hiprune_plus, recoverable); None = the one that the checkpoint names, if it names one.
        max_visual_tokens: visual tokens of one picture at most, by the processor's own settings;
            0 = as many as it makes; None = CPU_VISUAL_TOKENS on a CPU, no bound on a GPU. Not for a
            given model.
        progress: told in one line at a time how far download and loading are; default the log.
        stop: when another thread sets it, download and loading end at their next step.

    Raises:
        Stopped: `stop` was set.
        ModelError: nothing there, an unsupported type, no memory, damaged files, or a package
            that is missing; a CLIP checkpoint of another tower.
    """
    if isinstance(source, tuple):
        asked = {"device": device, "dtype": dtype, "revision": revision, "bits": bits}
        asked |= {"device_map": device_map, "max_visual_tokens": max_visual_tokens}
        return _given(source, asked, clip)
    placement = choose_placement(device, dtype, device_map, bits)
    most = token_bound(max_visual_tokens, placement.device)
    model, processor, family, notes = load_parts(source, placement, revision, progress, stop)
    vlm = VLM(model, processor, family, str(source), placement.reason, clip)
    vlm.notes = (*vlm.notes, *notes)
    place = EMBEDDED if str(source) == "embedded" else Path(source)
    vlm.known_pictures = read_known_pictures(place, vlm.info.get("tower_width", 0))
    if most and family.bound_tokens(model, processor, most):
        vlm.notes = (*vlm.notes, bound_note(most, max_visual_tokens is None))
    return _checked(vlm)


def _given(pair: tuple[nn.Module, Any], asked: Mapping[str, Any], clip: str | Path | None) -> VLM:
    """Take over a model that was loaded elsewhere, as and where it is."""
    model, processor = pair if len(pair) == 2 else (None, None)
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if kind is None or not hasattr(processor, "tokenizer"):
        raise ModelError("give (model, processor), both of transformers, got something else.")
    used = [name for name, value in asked.items() if value is not None]
    if used:
        raise ModelError(
            f"{used[0]} cannot be set for a model that is already loaded: load it with {used[0]}."
        )
    tower = getattr(getattr(model.config, "vision_config", None), "model_type", None)  # type: ignore
    family = family_of(kind, tower=tower)
    try:
        model = without_wrapper(before_compiling(model))
        check_whole(model)
        family.check_model(model)
    except ModelError as error:
        raise ModelError(f"this model cannot be used: {error}") from error
    return _checked(VLM(model, processor, family, type(model).__name__, "as given", clip))


def _checked(vlm: VLM) -> VLM:
    """Return a model whose parts can be used; raise ModelError for another."""
    end_tokens(vlm.model)
    if vlm.tokenizer and getattr(vlm.processor, "image_processor", None) is None:
        raise ModelError(
            "the processor has no image processor: load it with AutoProcessor.from_pretrained, "
            "from a folder that has preprocessor_config.json or processor_config.json."
        )
    check_attention(vlm)
    return vlm
