"""The named arrays that methods decide from, checked against `tokviz.reduction.signal_table`.

Arrays may come as numpy arrays, lists or torch tensors, in any float type; methods see float32
tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tokviz.errors import InputError, MissingSignal
from tokviz.reduction.signal_table import CALLABLE, CROPS, SIGNALS, Signal

ROLES = {"thumb": "thumbnail", "global": "thumbnail", "crop": "tile", "image": "whole"}
"""Other words for a crop's role."""


@dataclass(frozen=True)
class Crop:
    """One grid of tokens that the vision tower saw on its own."""

    role: str
    "whole, thumbnail or tile."
    rows: int
    cols: int
    row0: int = 0
    "Row of a tile's first token on the canvas of all tiles."
    col0: int = 0

    @property
    def size(self) -> int:
        """Number of tokens."""
        return self.rows * self.cols

    @classmethod
    def parse(cls, entry: Any) -> Crop:
        """Make one from a Crop, from (role, rows, cols, row0, col0) or from a count of tokens."""
        if isinstance(entry, Crop):
            return entry
        try:
            role, *lengths = entry if isinstance(entry, (list, tuple)) else ("whole", 1, entry)
            crop = cls(ROLES.get(str(role), str(role)), *(int(length) for length in lengths))
        except (TypeError, ValueError):
            crop = None
        if crop is None or min(crop.rows, crop.cols) < 1:
            raise InputError(
                f"a crop must be (role, rows, cols, row0, col0), got {str(entry)[:60]}."
            )
        return crop


class Signals(Mapping[str, Any]):
    """A checked mapping of signals; lengths of equal letters must agree, numbers must be finite.

    Where full_attn is given, cls_attn and recv_attn are read off it if they are not.
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        """Check and convert.

        Raises:
            InputError: unknown name, wrong number of axes, lengths that disagree, NaN or Inf.
        """
        self._arrays: dict[str, Any] = {}
        self.n: int | None = None
        for name, value in arrays.items():
            if value is not None:
                self._arrays[name] = self._convert(name, value)
        if self.n is None and "crops" in self:
            self.n = sum(crop.size for crop in self["crops"])
        if self.n is None and "grid" in self:
            self.n = int(self["grid"].prod())
        if "full_attn" in self and self.n:
            self._derive()

    def __getitem__(self, name: str) -> Any:
        if name not in self._arrays:
            raise MissingSignal(f"the signal {name!r} is missing: {SIGNALS[name].meaning}")
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def at(self, name: str, layer: int) -> torch.Tensor:
        """Return a layered signal at one layer; negative layers count from the end.

        Without `num_layers` the last layer is known only if every layer from 0 on was given.

        Raises:
            MissingSignal: the signal, or that layer of it, was not given.
        """
        value = self[name]
        if isinstance(value, torch.Tensor):
            return value
        if layer in value:
            return value[layer]
        full = len(value) if set(value) == set(range(len(value))) else 0
        absolute = layer + int(self._arrays.get("num_layers", full))
        if layer < 0 and absolute in value:
            return value[absolute]
        if len(value) == 1:
            return next(iter(value.values()))
        raise MissingSignal(
            f"{name!r} was not given for layer {layer}; given: {sorted(value)}. "
            "Layers count from 0; negative ones need the signal 'num_layers'."
        )

    def patches(self, name: str, layer: int, axis: int = 1) -> torch.Tensor:
        """Return states [h, n, d] of a layer without the [CLS] row, if any; or along another axis.

        Raises:
            InputError: neither n nor n + 1 rows.
        """
        states = self.at(name, layer)
        rows = states.shape[axis]
        extra = rows - (self.n or rows)
        if extra not in (0, 1):
            raise InputError(f"{name} is for {rows} tokens, other signals are for {self.n}.")
        return states.narrow(axis, extra, rows - extra)

    def _derive(self) -> None:
        """Read rows and column means off whole attention maps where they were not given."""
        maps = self["full_attn"]
        maps = maps if isinstance(maps, dict) else {-1: maps}
        has_cls = all(one.shape[-1] == one.shape[-2] == (self.n or 0) + 1 for one in maps.values())
        if has_cls:
            rows = {layer: one[:, 0, 1:] for layer, one in maps.items()}
            self._arrays.setdefault("cls_attn", rows)
        if has_cls or all(one.shape[-1] == self.n for one in maps.values()):
            received = {layer: one.mean((0, 1))[int(has_cls) :] for layer, one in maps.items()}
            self._arrays.setdefault("recv_attn", received)

    def _convert(self, name: str, value: Any) -> Any:
        spec = SIGNALS.get(name)
        if spec is None:
            raise InputError(f"there is no signal {name[:60]!r}. Known: {', '.join(SIGNALS)}.")
        if spec.shape == CALLABLE:
            if not callable(value):
                raise InputError(f"{name} must be a function: {spec.meaning}")
            return value
        if spec.shape == CROPS:
            return tuple(Crop.parse(entry) for entry in value)
        if spec.layered and isinstance(value, Mapping):
            return {int(layer): self._tensor(name, spec, one) for layer, one in value.items()}
        return self._tensor(name, spec, value)

    def _tensor(self, name: str, spec: Signal, value: Any) -> torch.Tensor:
        try:
            tensor = torch.as_tensor(value).detach()
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{name} cannot be read as an array: {error}") from None
        tensor = tensor.long() if spec.integer else tensor.float()
        letters = spec.shape.split()
        if letters[:1] == ["h"] and tensor.ndim == len(letters) - 1:
            tensor = tensor[None]
        if tensor.ndim != len(letters):
            raise InputError(f"{name} must have axes [{spec.shape}], got {tuple(tensor.shape)}.")
        if not spec.integer and not torch.isfinite(tensor).all():
            raise InputError(f"{name} holds NaN or infinite numbers.")
        for letter, length in zip(letters, tensor.shape, strict=True):
            if letter == "n":
                if self.n is not None and self.n != length:
                    raise InputError(
                        f"{name} is for {length} tokens, but other signals are for {self.n}."
                    )
                self.n = length
        return tensor
