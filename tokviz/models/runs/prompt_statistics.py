"""What each row of a prompt draws and is: received attention, lengths of values, largest states."""

from __future__ import annotations

from math import lcm
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.models.attention import observed
from tokviz.models.attention_call import ROW_CHUNK, AttentionCall
from tokviz.models.decoder.prompt_records import stacked_layers
from tokviz.models.families.family import Features
from tokviz.models.families.shared_keys import whole_prompt_layers
from tokviz.models.families.state_versions import entering
from tokviz.models.hooks import hooked
from tokviz.models.runs.teacher_forcing import TeacherForcing


class Statistics:
    """Collects numbers of every layer while the prompt is read; no map is kept."""

    def __init__(self, whole: int, count: int) -> None:
        """Begin with nothing.

        Args:
            whole: layers that compute every row, the first ones; of the others there are the values
                alone, which are those of the layer whose keys they read.
            count: all layers.
        """
        self.whole, self.count = whole, count
        self.received: dict[int, torch.Tensor] = {}
        self.value_norm: dict[int, torch.Tensor] = {}
        self.even: dict[int, torch.Tensor] = {}
        self.largest: dict[int, torch.return_types.max] = {}
        self.median: dict[int, torch.Tensor] = {}

    def read_call(self, call: AttentionCall) -> None:
        """Sum the softmax rows of one layer, a few at a time."""
        layer = getattr(call.module, "layer_idx", None)
        if layer is None:
            return
        self.value_norm[layer] = call.value[0].float().norm(dim=-1)
        if layer >= self.whole:
            return
        heads, rows, keys = call.query.shape[1], call.query.shape[2], call.key.shape[2]
        device = call.key.device
        total = torch.zeros(heads, keys, device=device)
        seen, even = torch.zeros(keys, device=device), torch.zeros(keys, device=device)
        for chunk in torch.arange(rows, device=device).split(ROW_CHUNK):
            weights = call.rows(chunk)[0]  # [h, rows, keys]
            total += weights.sum(1)
            sees = (weights > 0).any(0).float()  # [rows, keys]: hidden keys have exactly 0
            seen += sees.sum(0)
            even += (sees / sees.sum(1, keepdim=True)).sum(0)
        self.received[layer] = total / seen.clamp_min(1)
        self.even[layer] = even / seen.clamp_min(1)

    def at_input(self, layer: int) -> Any:
        """Return the pre-hook that reads the states entering a layer."""

        def hook(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            size = entering(module, args, kwargs)[0].float().abs()
            self.largest[layer] = size.max(-1)
            self.median[layer] = size.median()

        return hook

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as numpy arrays, layers first; NaN, or dimension -1, where none is."""
        norms = self.value_norm
        # Gemma 4's layers differ in their heads of keys; each number divides the heads of queries
        heads = lcm(*(len(one) for one in norms.values()))
        norms = {i: one.repeat_interleave(heads // len(one), 0) for i, one in norms.items()}

        def stacked(found: dict[int, torch.Tensor]) -> np.ndarray:
            return stacked_layers(found, self.count)

        dims = [self.largest[i].indices.cpu().numpy() for i in range(self.whole)]
        dims += [np.full_like(dims[0], -1)] * (self.count - self.whole)
        return {
            "received": stacked(self.received),
            "even": stacked(self.even),
            "value_norm": stacked(norms),
            "state_max": stacked({i: one.values for i, one in self.largest.items()}),
            "state_dim": np.stack(dims),
            "state_median": stacked(self.median),
        }


def prompt_statistics(
    reading: TeacherForcing, every: np.ndarray, features: Features
) -> dict[str, np.ndarray]:
    """Read the prompt once with all visual tokens and return the arrays, see ASKS.

    Args:
        reading: the question; the model is locked.
        every: [n], the numbers of all visual tokens.
        features: theirs.
    """
    decoder = reading.family.decoder(reading.model)
    layers: Any = decoder.layers
    found = Statistics(whole_prompt_layers(decoder), len(layers))
    handles = [
        layer.register_forward_pre_hook(found.at_input(i), with_kwargs=True)
        for i, layer in enumerate(layers[: found.whole])
    ]
    with hooked(handles), observed(found.read_call):
        reading.prompt([every], features)
    return found.arrays()
