"""Loading models: a Hub id, a local folder, or a model and processor that are already there.

Only safetensors, and never a repository's own code.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, BitsAndBytesConfig

from tokviz.errors import ModelError
from tokviz.models.download import Progress, local_copy, weight_bytes
from tokviz.models.family import FAMILIES, Family
from tokviz.models.processors import load_processor

log = logging.getLogger(__name__)

EMBEDDED = Path(__file__).parents[2] / "assets" / "model"
"""The model that ships with tokviz."""

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")


@dataclass(frozen=True)
class Placement:
    """Where and in which number type a model runs, with the reason."""

    device: str
    dtype: torch.dtype
    reason: str
    device_map: str | None = None
    "How accelerate spreads the layers over devices; None = all on `device`."
    bits: int | None = None
    "4 or 8: bits of each weight; None = as the number type."


def choose_placement(
    device: str | None = None,
    dtype: str | None = None,
    device_map: str | None = None,
    bits: int | None = None,
) -> Placement:
    """Choose device and number type.

    Args:
        device: cpu, cuda, cuda:1, mps ...; None = a GPU when there is one.
        dtype: float32, float16 or bfloat16; None = float32 on a CPU, 16 bits on a GPU.
        device_map: auto, balanced, balanced_low_0 or sequential; in place of `device`.
        bits: 4 or 8, weights rounded to as many bits.

    Raises:
        ModelError: a device that is not there, an unknown number type, device map or number of
            bits, or a package that is missing.
    """
    _check_spread(device, device_map, bits)
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"the device {wanted!r} cannot be used here.") from error
    number, reason = _number_type(wanted, dtype)
    if bits is not None:
        reason += f"; weights in {bits} bits, as asked: answers differ from the full model's"
    if device_map is not None:
        reason += f"; layers spread over devices by device_map={device_map}, as asked"
    return Placement(wanted, number, reason, device_map, bits)


def _number_type(device: str, dtype: str | None) -> tuple[torch.dtype, str]:
    """Return the number type for a device, and why."""
    if dtype is not None:
        if dtype not in ("float32", "float16", "bfloat16"):
            raise ModelError(f"dtype must be float32, float16 or bfloat16, got {dtype!r}.")
        return getattr(torch, dtype), "as asked"
    if not device.startswith("cuda"):
        return torch.float32, "float32: exact, and no slower on a CPU"
    if torch.cuda.is_bf16_supported():
        return torch.bfloat16, "bfloat16: half the memory, native on this GPU"
    return torch.float16, "float16: this GPU has no native bfloat16"


def _check_spread(device: str | None, device_map: str | None, bits: int | None) -> None:
    """Raise ModelError unless device map and bits can be used here."""
    if device_map is not None and device_map not in DEVICE_MAPS:
        raise ModelError(f"device_map must be {', '.join(DEVICE_MAPS)}, got {device_map!r}.")
    if device_map is not None and device is not None:
        raise ModelError("give device or device_map, not both.")
    if bits not in (None, 4, 8):
        raise ModelError(f"bits must be 4 or 8, got {bits!r}.")
    needed = ["accelerate"] if device_map or bits else []
    needed += ["bitsandbytes"] if bits else []
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        asked = f"bits={bits}" if bits else f"device_map={device_map!r}"
        raise ModelError(
            f"{asked} needs the package{'s' * (len(missing) > 1)} {' and '.join(missing)}, not "
            f"installed here: pip install {' '.join(missing)}, or leave it out."
        )


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
    source: str | Path,
    placement: Placement,
    revision: str | None = None,
    progress: Progress = log.info,
) -> tuple[nn.Module, Any, Family]:
    """Return model, processor and family of a checkpoint.

    Args:
        source: "embedded", a Hub id, or a local folder.
        placement: device and number type.
        revision: branch, tag or commit on the Hub.
        progress: told in one line at a time how far download and loading are.

    Raises:
        ModelError: nothing there, no network, an unsupported type, damaged files, or no memory.
    """
    name = str(source)[:200]
    len(FAMILIES)  # imports plugins first: they may bring configs that transformers does not know
    folder = None
    try:
        path = str(EMBEDDED) if str(source) == "embedded" else str(source)
        folder = local_copy(path, revision, progress)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        family = family_of(config.model_type)
        processor = load_processor(folder, config)
        progress(f"loading {name}: {weight_bytes(folder) / 1e9:.2f} GB of weights")
        model = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=placement.dtype,
            use_safetensors=True,
            trust_remote_code=False,
            **_spread(placement),
        )
        if not _spread(placement):
            model.to(placement.device)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(_out_of_memory(name, placement, folder)) from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        log.warning("loading %s failed", source, exc_info=True)
        raise ModelError(
            f"the model {name!r} could not be loaded: {_first_line(error)} "
            "Give a Hub id (with network) or a folder with config.json and .safetensors files."
        ) from error
    _check_whole(model, name)
    progress(f"{name} is ready on {model.device}, {placement.reason}")
    return model.eval(), processor, family


def _spread(placement: Placement) -> dict[str, Any]:
    """Return what from_pretrained takes for a device map and rounded weights."""
    found: dict[str, Any] = {}
    if placement.device_map or placement.bits:
        found["device_map"] = placement.device_map or {"": placement.device}
    if placement.bits:
        found["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=placement.bits == 4,
            load_in_8bit=placement.bits == 8,
            bnb_4bit_compute_dtype=placement.dtype,
            bnb_4bit_quant_type="nf4",
        )
    return found


def _check_whole(model: nn.Module, name: str) -> None:
    """Raise ModelError when weights were left outside the devices that compute."""
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ModelError(
            f"{name!r} does not fit on the devices here: device_map would keep a part of it in "
            "main memory or on disk, which tokviz cannot look into. Choose a smaller model, "
            "bits=4, or device cpu."
        )


def _out_of_memory(name: str, placement: Placement, folder: str | None) -> str:
    """Say what did not fit, and what to lower."""
    size = f", {weight_bytes(folder) / 1e9:.1f} GB in its files," if folder else ""
    lower = [f"bits={bits}" for bits in (8, 4) if not placement.bits or bits < placement.bits]
    if placement.dtype == torch.float32:
        lower.append("dtype bfloat16 (half of float32)")
    if placement.device != "cpu":
        lower.append("device cpu")
    choices = ", ".join(["a smaller model", *lower])
    return f"not enough memory for {name!r}{size} on {placement.device}: choose {choices}."


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".") + "."
