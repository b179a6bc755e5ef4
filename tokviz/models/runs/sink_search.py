"""Finds a model's sink dimensions, once per model: they do not depend on the question."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from tokviz.models.hooks import hooked
from tokviz.models.loaded import Loaded
from tokviz.models.runs.preparing import prepare
from tokviz.sink_dims import SinkSearch

PROMPTS = ("Describe the image.", "What is this? Answer in one word, please.")


def sink_dims(loaded: Loaded) -> tuple[int, ...]:
    """Return a model's sink dimensions, searched on first use; empty if it has none."""
    with loaded.guarded():
        if loaded.found_sink_dims is None:
            loaded.found_sink_dims = search_sinks(loaded)
    return loaded.found_sink_dims


def search_sinks(loaded: Loaded) -> tuple[int, ...]:
    """Return the sink dimensions of a model, strongest first; empty if it has none.

    Reads two fixed questions about two fixed pictures (grey, and a gradient): four prefills.
    """
    layers = loaded.family.decoder(loaded.model).layers
    search = SinkSearch(len(layers))  # type: ignore[arg-type]

    def watch(layer: int) -> Any:
        def hook(module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            search.add(layer, (args[0] if args else kwargs["hidden_states"])[0])

        return hook

    handles = [
        block.register_forward_pre_hook(watch(i), with_kwargs=True)
        for i, block in enumerate(layers)  # type: ignore[arg-type]
    ]
    with hooked(*handles):
        for picture in generated_pictures():
            for prompt in PROMPTS:
                search.begin_prompt()
                prepared = prepare(loaded, picture, prompt)
                loaded.model(**prepared.inputs, position_ids=prepared.positions, logits_to_keep=1)
    return search.dims()


def generated_pictures() -> list[Image.Image]:
    """Return two generated pictures."""
    ramp = np.linspace(0, 255, 96, dtype=np.uint8)
    gradient = np.stack(np.meshgrid(ramp, ramp), -1)
    gradient = np.concatenate([gradient, np.full((96, 96, 1), 90, np.uint8)], -1)
    return [Image.new("RGB", (96, 96), (128, 128, 128)), Image.fromarray(gradient)]
