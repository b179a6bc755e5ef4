"""Finds a model's sink dimensions, once per model: they do not depend on the question.

Massive activations are in the same few dimensions whatever is read, a picture or words (arXiv
2402.17762, 2503.03321), so a few short texts are enough: one small prefill of the decoder alone,
without the vision tower and the head.
"""

from __future__ import annotations

from typing import Any

import torch

from tokviz.models.families.state_versions import entering
from tokviz.models.hooks import hooked
from tokviz.models.loaded import Loaded
from tokviz.sink_dims import SinkSearch

TEXTS = (
    "The old ship left the harbour before sunrise, and nobody on the shore saw it go that day.",
    "Question: how many chairs stand around the table in the kitchen? Answer with one number.",
    "In 1998 the committee met twice, once in March and once in July, to vote on the new plan.",
    "What is this? It is a red ball on the grass, next to a dog, a tree and a small house.",
)
LENGTH = 12
"""Tokens that are read of each text, as many of all of them, so that none is padded."""


def sink_dims(loaded: Loaded) -> tuple[int, ...]:
    """Return a model's sink dimensions, searched on first use; empty if it has none."""
    with loaded.guarded():
        if loaded.found_sink_dims is None:
            loaded.found_sink_dims = search_sinks(loaded)
    return loaded.found_sink_dims


def search_sinks(loaded: Loaded) -> tuple[int, ...]:
    """Return the sink dimensions of a model, strongest first; empty if it has none."""
    decoder = loaded.family.decoder(loaded.model)
    layers: Any = decoder.layers
    search = SinkSearch(len(layers))
    states: dict[int, torch.Tensor] = {}

    def watch(layer: int) -> Any:
        def hook(module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            states[layer] = entering(module, args, kwargs).detach()

        return hook

    ids = token_ids(loaded)
    handles = [
        layers[number].register_forward_pre_hook(watch(number), with_kwargs=True)
        for number in search.wanted
        if number < len(layers)
    ]
    # with inputs of each layer, the decoder would have to search its vocabulary for the embeddings
    by_id = bool(getattr(decoder.config, "hidden_size_per_layer_input", 0))
    embed: Any = loaded.model.get_input_embeddings()  # type: ignore[operator]
    read = {"input_ids": ids} if by_id else {"inputs_embeds": embed(ids)}
    with hooked(handles):
        decoder(
            **read,
            position_ids=torch.arange(ids.shape[1], device=ids.device).expand(len(ids), -1),
            use_cache=False,
        )
    for prompt in range(len(ids)):
        search.begin_prompt()
        for layer, entered in states.items():
            search.add(layer, entered[prompt])
    return search.dims()


def token_ids(loaded: Loaded) -> torch.Tensor:
    """Return the first tokens of TEXTS, as the tokenizer begins a text, [texts, LENGTH at most]."""
    rows = [loaded.tokenizer(text)["input_ids"] for text in TEXTS]
    length = min(LENGTH, *map(len, rows))
    return torch.tensor([row[:length] for row in rows], device=loaded.device)
