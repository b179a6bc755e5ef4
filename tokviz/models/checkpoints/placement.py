"""On which device, in which number type and in how many bits a model runs, and why."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from tokviz.errors import ModelError
from tokviz.torch_on_use import torch

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")


@dataclass(frozen=True)
class Placement:
    """The device and number type of a model, with the reason."""

    device: str
    dtype: torch.dtype
    reason: str
    device_map: str | None = None
    "How accelerate spreads the layers over devices; None = all on `device`."
    bits: int | None = None
    "4 or 8 = bits of each quantised weight; None = not quantised."

    def spread(self) -> dict[str, Any]:
        """Return the arguments of from_pretrained for a device map and quantised weights."""
        found: dict[str, Any] = {}
        if self.device_map or self.bits:
            found["device_map"] = self.device_map or {"": self.device}
        if self.bits:
            # only here: transformers takes seconds to import, and a page asks where a model goes
            from transformers import BitsAndBytesConfig  # noqa: PLC0415

            found["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=self.bits == 4,
                load_in_8bit=self.bits == 8,
                bnb_4bit_compute_dtype=self.dtype,
                bnb_4bit_quant_type="nf4",
            )
        return found

    def too_small(self, size: float) -> str:
        """Return a sentence: weights of `size` GB do not fit, and what to choose instead."""
        lower = [f"bits={bits}" for bits in (8, 4) if not self.bits or bits < self.bits]
        if self.dtype == torch.float32:
            lower.append("dtype bfloat16 (half of float32)")
        if self.device != "cpu":
            lower.append("device cpu")
        choices = ", ".join(["a smaller model", *lower])
        return f"not enough memory for {size:.1f} GB of weights on {self.device}: choose {choices}."


def choose_placement(
    device: str | None = None,
    dtype: str | None = None,
    device_map: str | None = None,
    bits: int | None = None,
) -> Placement:
    """Choose device and number type.

    Args:
        device: cpu, cuda, cuda:1, mps ...; None = a GPU if there is one.
        dtype: float32, float16 or bfloat16; None = float32 on a CPU, 16 bits on a GPU.
        device_map: auto, balanced, balanced_low_0 or sequential; instead of `device`.
        bits: 4 or 8 = quantise the weights to so many bits.

    Raises:
        ModelError: a device that does not exist, an unknown number type, device map or number of
            bits, or a missing package.
    """
    device = device if device is None else str(device)  # torch.device("cpu"), torch.bfloat16
    dtype = dtype if dtype is None else str(dtype).removeprefix("torch.")
    _check_spread(device, device_map, bits)
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _check_device(wanted)
    number, reason = _number_type(wanted, dtype)
    if bits is not None:
        reason += f"; weights in {bits} bits, as asked: answers differ from the full model's"
    if device_map is not None:
        reason += f"; layers spread over devices by device_map={device_map}, as asked"
    return Placement(wanted, number, reason, device_map, bits)


def _check_device(wanted: str) -> None:
    """Raise ModelError unless tensors can be created on a device and read back."""
    try:
        torch.empty(1, device=wanted).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        here += ["mps"] if torch.backends.mps.is_available() else []
        raise ModelError(
            f"the device {wanted[:40]!r} cannot be used here. Choose one of: {', '.join(here)}."
        ) from error


def _number_type(device: str, dtype: str | None) -> tuple[torch.dtype, str]:
    """Return the number type for a device, and why."""
    if dtype is not None:
        if dtype not in ("float32", "float16", "bfloat16"):
            raise ModelError(f"dtype must be float32, float16 or bfloat16, got {dtype!r}.")
        return getattr(torch, dtype), f"{dtype}: as asked"
    if not device.startswith("cuda"):
        return torch.float32, "float32: exact, and no slower on a CPU"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16, "bfloat16: half the memory, native on this GPU"
    return torch.float16, "float16: this GPU has no native bfloat16"


def _check_spread(device: str | None, device_map: str | None, bits: int | None) -> None:
    """Raise ModelError unless device map and bits can be used here."""
    if device_map is not None and device_map not in DEVICE_MAPS:
        raise ModelError(
            f"device_map must be {', '.join(DEVICE_MAPS)}, got {str(device_map)[:60]!r}; for one "
            "device give device, such as cpu or cuda:1."
        )
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
