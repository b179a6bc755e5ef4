"""Loading models: a Hub id, a local folder, or a model and processor that are already there.

Only safetensors, and never a repository's own code.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from tokviz.errors import ModelError
from tokviz.models.family import FAMILIES, Family
from tokviz.models.processors import load_processor

log = logging.getLogger(__name__)

EMBEDDED = Path(__file__).parents[2] / "assets" / "model"
"""The model that ships with tokviz."""


@dataclass(frozen=True)
class ModelCard:
    """What the model list says about one checkpoint before it is loaded."""

    name: str
    "What `tokviz.load` takes."
    title: str
    family: str
    parameters: str
    memory_gb: float
    "Roughly, in 16 bits (the embedded model: in 32)."
    has_cls: bool
    note: str = ""


HUB = "Loaded from the Hugging Face Hub. Not run by this project yet."
GATED = f"{HUB} Its licence has to be accepted there first."

MODELS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        ModelCard(
            "embedded",
            "Embedded model",
            "llava",
            "5.6 M",
            0.1,
            True,
            "Ships with tokviz, needs no network; knows a small world of rendered things.",
        ),
        ModelCard(
            "llava-hf/llava-1.5-7b-hf",
            "LLaVA-1.5 7B",
            "llava",
            "7.1 B",
            14.5,
            True,
            HUB,
        ),
        ModelCard(
            "llava-hf/llava-1.5-13b-hf",
            "LLaVA-1.5 13B",
            "llava",
            "13.4 B",
            27,
            True,
            HUB,
        ),
        ModelCard("Qwen/Qwen2-VL-2B-Instruct", "Qwen2-VL 2B", "qwen2_vl", "2.2 B", 4.5, False, HUB),
        ModelCard("Qwen/Qwen2-VL-7B-Instruct", "Qwen2-VL 7B", "qwen2_vl", "8.3 B", 17, False, HUB),
        ModelCard(
            "Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL 3B", "qwen2_5_vl", "3.8 B", 7.7, False, HUB
        ),
        ModelCard(
            "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL 7B", "qwen2_5_vl", "8.3 B", 17, False, HUB
        ),
        ModelCard("Qwen/Qwen3-VL-2B-Instruct", "Qwen3-VL 2B", "qwen3_vl", "2.1 B", 4.4, False, HUB),
        ModelCard("Qwen/Qwen3-VL-4B-Instruct", "Qwen3-VL 4B", "qwen3_vl", "4.4 B", 9.1, False, HUB),
        ModelCard("Qwen/Qwen3-VL-8B-Instruct", "Qwen3-VL 8B", "qwen3_vl", "8.8 B", 18, False, HUB),
        ModelCard(
            "HuggingFaceTB/SmolVLM-256M-Instruct",
            "SmolVLM 256M",
            "idefics3",
            "256 M",
            0.52,
            False,
            HUB,
        ),
        ModelCard(
            "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
            "SmolVLM2 256M",
            "smolvlm",
            "256 M",
            0.52,
            False,
            HUB,
        ),
        ModelCard(
            "HuggingFaceTB/SmolVLM-500M-Instruct",
            "SmolVLM 500M",
            "idefics3",
            "507 M",
            1,
            False,
            HUB,
        ),
        ModelCard(
            "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
            "SmolVLM2 500M",
            "smolvlm",
            "507 M",
            1,
            False,
            HUB,
        ),
        ModelCard(
            "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
            "SmolVLM2 2.2B",
            "smolvlm",
            "2.2 B",
            4.5,
            False,
            HUB,
        ),
        ModelCard(
            "HuggingFaceM4/Idefics3-8B-Llama3", "Idefics3 8B", "idefics3", "8.5 B", 17, False, HUB
        ),
        ModelCard(
            "google/paligemma-3b-mix-224",
            "PaliGemma 3B, 224 pixels",
            "paligemma",
            "2.9 B",
            5.9,
            False,
            GATED,
        ),
        ModelCard(
            "google/paligemma-3b-mix-448",
            "PaliGemma 3B, 448 pixels",
            "paligemma",
            "2.9 B",
            5.9,
            False,
            GATED,
        ),
        ModelCard(
            "google/paligemma2-3b-mix-224",
            "PaliGemma 2 3B, 224 pixels",
            "paligemma",
            "3.0 B",
            6.1,
            False,
            GATED,
        ),
        ModelCard("google/gemma-3-4b-it", "Gemma 3 4B", "gemma3", "4.3 B", 8.6, False, GATED),
        ModelCard("google/gemma-3-12b-it", "Gemma 3 12B", "gemma3", "12.2 B", 24.5, False, GATED),
    )
}
"""Models offered by name; any other checkpoint of a supported family loads as well."""


@dataclass(frozen=True)
class Placement:
    """Where and in which number type a model runs, with the reason."""

    device: str
    dtype: torch.dtype
    reason: str


def choose_placement(device: str | None = None, dtype: str | None = None) -> Placement:
    """Choose device and number type.

    Args:
        device: cpu, cuda, cuda:1, mps ...; None = a GPU when there is one.
        dtype: float32, float16 or bfloat16; None = float32 on a CPU, 16 bits on a GPU.

    Raises:
        ModelError: a device that is not there, or an unknown number type.
    """
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"the device {wanted!r} cannot be used here.") from error
    if dtype is not None:
        if dtype not in ("float32", "float16", "bfloat16"):
            raise ModelError(f"dtype must be float32, float16 or bfloat16, got {dtype!r}.")
        return Placement(wanted, getattr(torch, dtype), "as asked")
    if not wanted.startswith("cuda"):
        return Placement(wanted, torch.float32, "float32: exact, and no slower on a CPU")
    if torch.cuda.is_bf16_supported():
        return Placement(wanted, torch.bfloat16, "bfloat16: half the memory, native on this GPU")
    return Placement(wanted, torch.float16, "float16: this GPU has no native bfloat16")


def family_of(model_type: str) -> Family:
    """Return the family that serves a config's model_type, or raise ModelError."""
    if model_type not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(
            f"models of type {model_type!r} are not supported yet. Supported: {known}. "
            f"CONTRIBUTING.md says how to add a family.{FAMILIES.left_out()}"
        )
    return FAMILIES[model_type]


def load_parts(
    source: str | Path, placement: Placement, revision: str | None = None
) -> tuple[nn.Module, Any, Family]:
    """Return model, processor and family of a checkpoint.

    Args:
        source: "embedded", a Hub id, or a local folder.
        placement: device and number type.
        revision: branch, tag or commit on the Hub.

    Raises:
        ModelError: nothing there, no network, an unsupported type, or damaged files.
    """
    path = str(EMBEDDED if str(source) == "embedded" else source)
    len(FAMILIES)  # imports plugins first: they may bring configs that transformers does not know
    try:
        config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
        family = family_of(config.model_type)
        processor = load_processor(path, config, revision)
        model = AutoModelForImageTextToText.from_pretrained(
            path,
            revision=revision,
            dtype=placement.dtype,
            use_safetensors=True,
            trust_remote_code=False,
        )
        return model.to(placement.device).eval(), processor, family
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        log.warning("loading %s failed", source, exc_info=True)
        raise ModelError(
            f"the model {str(source)[:200]!r} could not be loaded: {_first_line(error)} "
            "Give a Hub id (with network) or a folder with config.json and .safetensors files."
        ) from error
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"not enough memory for {str(source)[:200]!r} on {placement.device}: "
            "choose a smaller model, or device cpu."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".") + "."
