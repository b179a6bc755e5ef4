"""How alike the states of a prompt's rows are at the input of each layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.analysis.attention_rank import effective_rank
from tokviz.models.families.family import Features
from tokviz.models.families.shared_keys import whole_prompt_layers
from tokviz.models.families.state_versions import entering
from tokviz.models.hooks import hooked
from tokviz.models.runs.teacher_forcing import TeacherForcing


def curves_of(states: torch.Tensor) -> tuple[float, float, float]:
    """Return similarity, constant share and effective rank of states [rows, d].

    NaN for the similarity of fewer than two rows.
    """
    count = len(states)
    if not count:
        return float("nan"), float("nan"), 0.0
    unit = torch.nn.functional.normalize(states, dim=-1)
    # the sum over all pairs, a row with itself (1) taken off: |sum of units|^2 - rows
    pairs = float(unit.sum(0).square().sum()) - count
    similarity = pairs / (count * (count - 1)) if count > 1 else float("nan")
    constant = count * states.mean(0).square().sum() / states.square().sum().clamp_min(1e-12)
    singular = torch.linalg.svdvals(states).cpu().numpy()
    return similarity, float(constant), float(effective_rank(singular))


def state_curves(
    reading: TeacherForcing, every: np.ndarray, features: Features
) -> dict[str, np.ndarray]:
    """Read the prompt once with all visual tokens and return the arrays, see ASKS.

    Args:
        reading: the question; the model is locked.
        every: [n], the numbers of all visual tokens.
        features: theirs.
    """
    position = reading.layout.position.astype(np.int64)
    visual = torch.as_tensor(position, device=reading.loaded.device)
    text = torch.as_tensor(reading.text, device=reading.loaded.device)
    found: dict[int, list[tuple[float, float, float]]] = {}

    def at_input(layer: int) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            states = entering(module, args, kwargs)[0].float()
            found[layer] = [curves_of(states[rows.to(states.device)]) for rows in (visual, text)]

        return hook

    decoder = reading.family.decoder(reading.model)
    layers: Any = decoder.layers
    whole = whole_prompt_layers(decoder)
    handles = [
        layer.register_forward_pre_hook(at_input(i), with_kwargs=True)
        for i, layer in enumerate(layers[:whole])
    ]
    with hooked(handles):
        reading.prompt([every], features)
    numbers = np.full((len(layers), 2, 3), np.nan)  # [l, m, 3]
    numbers[:whole] = [found[layer] for layer in range(whole)]
    return dict(zip(("similarity", "constant", "rank"), np.moveaxis(numbers, -1, 0), strict=True))
