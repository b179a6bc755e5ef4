"""The named arrays from which methods decide, checked against `tokviz.reduction.signal_table`.

Arrays may be numpy arrays, lists or torch tensors, in any float type; methods get float32 tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokviz.budget import whole_number
from tokviz.errors import InputError, MissingSignal
from tokviz.names import unknown
from tokviz.reduction.signal_table import CALLABLE, CROPS, SIGNALS, Signal
from tokviz.torch_on_use import torch

ROLES = {"thumb": "thumbnail", "global": "thumbnail", "crop": "tile", "image": "whole"}
"""Other names of a crop's role."""


@dataclass(frozen=True)
class Crop:
    """One grid of tokens that is a separate input of the vision tower."""

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
        """Return a Crop from a Crop, from (role, rows, cols, row0, col0) or from a token count."""
        if isinstance(entry, Crop):
            return entry
        try:
            role, *lengths = entry if isinstance(entry, (list, tuple)) else ("whole", 1, entry)
            whole: list[Any] = [whole_number(length) for length in lengths]
            crop = None if None in whole else cls(ROLES.get(str(role), str(role)), *whole)
        except (TypeError, ValueError):
            crop = None
        if crop is None or min(crop.rows, crop.cols) < 1 or min(crop.row0, crop.col0) < 0:
            raise InputError(
                f"a crop must be (role, rows, cols, row0, col0), got {str(entry)[:60]}."
            )
        return crop


class Signals(Mapping[str, Any]):
    """A checked mapping of signals; lengths of equal letters must agree, numbers must be finite.

    If full_attn is given, cls_attn and recv_attn are computed from it if they are missing.
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
        self._check_places()
        if "full_attn" in self and self.n:
            self._derive()

    def __getitem__(self, name: str) -> Any:
        if name not in self._arrays:
            if name not in SIGNALS:
                raise InputError(unknown("signal", name, SIGNALS))
            raise MissingSignal(f"the signal {name!r} is missing: {SIGNALS[name].meaning}")
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def sums(self) -> tuple[float, ...]:
        """Return the sum and the sum of absolute values of every array, which tell of changes."""
        found: list[float] = []
        for value in self._arrays.values():
            layers = value.values() if isinstance(value, Mapping) else [value]
            for one in layers:
                if isinstance(one, torch.Tensor):
                    found += [float(one.double().sum()), float(one.double().abs().sum())]
        return tuple(found)

    def at(self, name: str, layer: int) -> torch.Tensor:
        """Return a layered signal at one layer; negative layers count from the end.

        Without `num_layers` the last layer is known only if every layer from 0 on was given. A
        bare array is used for any layer, {layer: array} only for that layer.

        Raises:
            InputError: there are fewer layers.
            MissingSignal: the signal, or that layer of it, was not given.
        """
        value = self[name]
        if isinstance(value, torch.Tensor):
            return value
        if layer in value:
            return value[layer]
        depth = self._depth(value)
        if depth and not -depth <= layer < depth:
            raise InputError(f"layer must be {-depth} to {depth - 1}, got {layer}.")
        other = layer + depth if layer < 0 else layer - depth  # the same layer, counted otherwise
        if depth and other in value:
            return value[other]
        raise MissingSignal(
            f"{name!r} was not given for layer {layer}; given: {sorted(value)}. Give that layer, "
            "or the option `layer` if the method has it, or a bare array, which is used for any "
            "layer. Layers count from 0; negative ones need the signal 'num_layers'."
        )

    def _depth(self, layers: Mapping[int, Any]) -> int:
        """Return the number of layers; 0 if the signals do not say.

        A single layer does not say it: {0: array} may be the first of many.
        """
        if "num_layers" in self._arrays:
            return int(self._arrays["num_layers"])
        whole = len(layers) > 1 and set(layers) == set(range(len(layers)))
        return len(layers) if whole else 0

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
        """Compute rows and column means from whole attention maps if they were not given."""
        given = self["full_attn"]
        maps = given if isinstance(given, dict) else {0: given}
        has_cls = all(one.shape[-1] == one.shape[-2] == (self.n or 0) + 1 for one in maps.values())
        made = {}
        if has_cls:
            made["cls_attn"] = {layer: one[:, 0, 1:] for layer, one in maps.items()}
        if has_cls or all(one.shape[-1] == self.n for one in maps.values()):
            made["recv_attn"] = {
                layer: one.mean((0, 1))[int(has_cls) :] for layer, one in maps.items()
            }
        for name, layers in made.items():  # what comes from a bare map is bare, for any layer
            self._arrays.setdefault(name, layers if isinstance(given, dict) else layers[0])

    def _check_places(self) -> None:
        """Raise InputError if grid or crops are for another number of tokens."""
        counts = {}
        if "num_layers" in self and int(self["num_layers"]) < 1:
            raise InputError(f"num_layers must be 1 or more, got {int(self['num_layers'])}.")
        if "index" in self and self.n:
            index = self["index"]
            if int(index.min()) < 0 or len(index.unique()) < len(index):
                raise InputError(
                    "index must be the original number of each token, from 0, each once; got "
                    f"{str(index.tolist())[:60]}."
                )
        if "grid" in self:
            if self["grid"].numel() != 2 or int(self["grid"].min()) < 1:
                raise InputError(
                    f"grid must be (rows, cols) of the tokens, got {self['grid'].tolist()}."
                )
            counts["grid"] = int(self["grid"].prod())
        if "crops" in self:
            counts["crops"] = sum(crop.size for crop in self["crops"])
        for name, count in counts.items():
            # tokens that were reduced earlier keep their original grid and have an index
            if self.n is not None and self.n != count and not self._reduced(count):
                extra = " Is the [CLS] token still among them? Leave it out." * (
                    self.n == count + 1
                )
                raise InputError(
                    f"{name} is for {count} tokens, but other signals are for {self.n}.{extra}"
                )

    def _reduced(self, count: int) -> bool:
        """Return whether `index` or `cell` gives the places of the tokens among `count` places."""
        place = next((self[name] for name in ("index", "cell") if name in self), None)
        return place is not None and (self.n or 0) < count and int(place.max()) < count

    def _convert(self, name: str, value: Any) -> Any:
        spec = SIGNALS.get(name)
        if spec is None:
            raise InputError(unknown("signal", name, SIGNALS))
        if spec.shape == CALLABLE:
            if not callable(value):
                raise InputError(f"{name} must be a function: {spec.meaning}")
            return value
        if spec.shape == CROPS:
            if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
                raise InputError(f"crops must be a list of crops, got {str(value)[:40]!r}.")
            return tuple(Crop.parse(entry) for entry in value)
        if spec.layered and isinstance(value, Mapping):
            return {
                _layer_number(name, layer): self._tensor(name, spec, one)
                for layer, one in value.items()
            }
        return self._tensor(name, spec, value)

    def _tensor(self, name: str, spec: Signal, value: Any) -> torch.Tensor:
        if isinstance(value, tuple) and any(getattr(one, "ndim", 0) > 1 for one in value):
            raise InputError(
                f"{name} is a tuple of {len(value)} arrays, such as transformers gives with "
                "output_attentions=True, one per layer. Take one: value[layer][0] (batch 0), or "
                "give {layer: array}; for cls_attn cut the [CLS] row out: value[i][0][:, 0, 1:]."
            )
        try:
            tensor = torch.as_tensor(value).detach()
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{name} cannot be read as an array: {error}") from None
        tensor = _of_kind(name, spec, tensor)
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


def _layer_number(name: str, layer: Any) -> int:
    """Return a key of {layer: array} as a number; raise InputError for anything else."""
    number = whole_number(layer)
    if number is None:
        raise InputError(f"{name}: a layer must be a whole number, got {str(layer)[:40]!r}.")
    return number


def _of_kind(name: str, spec: Signal, tensor: torch.Tensor) -> torch.Tensor:
    """Return a dense tensor of int64 or float32, as the signal asks; no number is rounded."""
    if tensor.is_meta or tensor.is_complex():
        kind = "a tensor without data" if tensor.is_meta else "complex numbers"
        raise InputError(f"{name} must be an array of real numbers, got {kind}.")
    tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
    if not spec.integer:
        return tensor.float()
    broken = tensor.is_floating_point() and not (tensor % 1 == 0).all()
    if broken or tensor.dtype == torch.bool:
        raise InputError(f"{name} must be whole numbers, got {str(tensor.tolist())[:60]}.")
    return tensor.long()
