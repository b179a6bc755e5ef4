"""The search for sink dimensions: what it finds, and how little it runs for that."""

import pytest
import torch

import tokviz
from embedded.growth import SINK_DIMS
from tokviz.models.runs.sink_search import LENGTH, TEXTS, search_sinks, token_ids

PLANTED = (5, 17)


@pytest.fixture
def heavy(folder):
    """A tiny model; the embedding of every text's first token is huge in two dimensions."""
    vlm = tokviz.load(folder)
    table, first = vlm.model.get_input_embeddings().weight, token_ids(vlm)[:, 0]
    with torch.no_grad():
        table[first[:, None], torch.tensor(PLANTED)] = 150.0
    return vlm


def test_massive_activations_of_the_first_token_are_found(heavy, vlm):
    assert set(heavy.sink_dims) == set(PLANTED)
    assert vlm.sink_dims == ()


def test_those_of_a_trained_model_are_found(shipped_model):
    """They are where its training put them; nothing but the weights says so."""
    assert set(shipped_model.sink_dims) == set(SINK_DIMS)


def test_one_short_prefill_without_tower_and_head_is_enough(model):
    seen = []
    layers = model.family.tower_layers(model.model)
    part = layers[-1] if len(layers) else model.family.projector(model.model)
    watched = [part, model.model.get_output_embeddings()]
    handles = [part.register_forward_pre_hook(lambda *_: seen.append("more")) for part in watched]

    def count(module, args, given) -> None:
        read = given["input_ids"] if "input_ids" in given else given["inputs_embeds"]
        seen.append(tuple(read.shape[:2]))

    decoder = model.family.decoder(model.model)
    handles.append(decoder.register_forward_pre_hook(count, with_kwargs=True))
    with model.guarded():
        assert isinstance(search_sinks(model), tuple)
    for handle in handles:
        handle.remove()
    assert seen == [(len(TEXTS), token_ids(model).shape[1])]
    assert seen[0][1] <= LENGTH
