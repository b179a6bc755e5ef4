"""The named arrays that reduction methods decide from, with their shapes.

One table, from which checking, the engine's captures and the documentation follow. Shape letters:
n tokens that are decided on, h heads, d width, m text tokens, a any other length. Arrays may come as
numpy arrays, lists or torch tensors, in any float type; methods see float32 tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tokviz.errors import InputError, MissingSignal


@dataclass(frozen=True)
class Signal:
    """One named array."""

    shape: str
    "Shape letters, space-separated; a leading h may be left out (one head, or a head mean)."
    meaning: str
    "What it holds, in one sentence."
    layered: bool = False
    "True: one array per layer, given as {layer: array}; a bare array stands for the layer asked."
    integer: bool = False


SIGNALS: dict[str, Signal] = {
    # -- vision tower -------------------------------------------------------------------------------
    "cls_attn": Signal(
        "h n", "softmax attention of the [CLS] query to every patch, [CLS] column dropped.", True
    ),
    "cls_logits": Signal("h n", "the same before the softmax, already scaled.", True),
    "recv_attn": Signal(
        "n", "mean over heads and queries of the attention that each patch receives.", True
    ),
    "full_attn": Signal("h a a", "the whole softmax map, [CLS] (if any) first.", True),
    "q": Signal("h a d", "query states, [CLS] (if any) first.", True),
    "k": Signal("h a d", "key states, [CLS] (if any) first.", True),
    "v": Signal("h a d", "value states, [CLS] (if any) first.", True),
    "feats_pre": Signal("n d", "features that enter the projector (tower width)."),
    "cls_pre": Signal("d", "the [CLS] state of the layer that gives the features."),
    "feats_post": Signal("n d", "projected features, as they enter the language model."),
    "cls_post": Signal("d", "the [CLS] state sent through the projector."),
    # -- text ---------------------------------------------------------------------------------------
    "text_llm": Signal("m d", "embedding rows of the prompt's text in the language model."),
    "text_clip": Signal("m d", "text embeddings in the joint CLIP space."),
    "img_clip": Signal("n d", "patch embeddings in the joint CLIP space."),
    # -- a step inside the tower (tokens may already be groups) ---------------------------------------
    "keys": Signal("h n d", "this layer's key states of the current tokens, [CLS] left out."),
    "hidden": Signal("n d", "this layer's states of the current tokens, [CLS] left out."),
    "sizes": Signal("n", "how many patches each current token stands for."),
    # -- a stage inside the language model (tokens still alive) ---------------------------------------
    "llm_attn_last": Signal(
        "h n", "attention of the last prompt row to the visual tokens, in the layer just before."
    ),
    "llm_peek_last": Signal(
        "h n", "attention of the last prompt row with the coming layer's own queries and keys."
    ),
    "llm_attn_text": Signal(
        "h m n", "attention of the text rows after the image, in the layer just before."
    ),
    "llm_hidden": Signal("n d", "states of the visual tokens that enter the coming layer."),
    "llm_hidden_last": Signal("d", "state of the last prompt row that enters the coming layer."),
    # -- layout -------------------------------------------------------------------------------------
    "grid": Signal("a", "(rows, cols) of the tokens.", integer=True),
    "index": Signal("n", "original number of each token that is still there.", integer=True),
    "crops": Signal("a", "tokens of each crop, in order.", integer=True),
    "pixels": Signal("a a a", "the image that the tower saw, channels first."),
    "num_layers": Signal("", "number of layers of the part that the layered signals come from."),
}
"""Every signal by name. A plugin may add its own."""


class Signals(Mapping[str, Any]):
    """A checked mapping of signals; lengths of equal letters must agree, numbers must be finite."""

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

        Raises:
            MissingSignal: the signal, or that layer of it, was not given.
        """
        value = self[name]
        if isinstance(value, torch.Tensor):
            return value
        if layer in value:
            return value[layer]
        absolute = layer + int(self._arrays.get("num_layers", 0))
        if layer < 0 and absolute in value:
            return value[absolute]
        if len(value) == 1:
            return next(iter(value.values()))
        raise MissingSignal(f"{name!r} was not given for layer {layer}; given: {sorted(value)}.")

    def _convert(self, name: str, value: Any) -> Any:
        spec = SIGNALS.get(name)
        if spec is None:
            raise InputError(f"there is no signal {name[:60]!r}. Known: {', '.join(SIGNALS)}.")
        if spec.layered and isinstance(value, Mapping):
            return {int(layer): self._tensor(name, spec, one) for layer, one in value.items()}
        return self._tensor(name, spec, value)

    def _tensor(self, name: str, spec: Signal, value: Any) -> torch.Tensor:
        tensor = torch.as_tensor(value).detach()
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
