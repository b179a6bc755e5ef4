"""A stop acts within one layer of tower and prefill, and leaves the model as it was."""

import threading

import pytest
import torch

import tokviz
from tests.films import noise_film
from tests.models.test_promises import PROMPT
from tokviz.interruption import NOT_BEGUN, Interrupted


class StopAt:
    """Sets a stop flag when a block is entered, and counts the blocks behind it that ran."""

    def __init__(self, blocks, number):
        self.stop, self.later = threading.Event(), 0
        self.handles = [blocks[number].register_forward_pre_hook(self.set)]
        self.handles += [block.register_forward_hook(self.count) for block in blocks[number + 1 :]]

    def set(self, module, args):
        self.stop.set()

    def count(self, module, args, output):
        self.later += 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()


def test_a_stop_ends_the_tower_within_a_layer(model, cat):
    before = model.answer(cat, PROMPT, None, 3)
    layers = list(model.family.tower_layers(model.model))
    if not layers:  # the tower is convolutional
        parts = model.model.model.vision_tower.modules()
        layers = [part for part in parts if isinstance(part, torch.nn.Conv2d)]
    with StopAt(layers, 1) as at, pytest.raises(Interrupted):
        model.answer(cat, PROMPT, None, 3, stop=at.stop)
    assert at.later == 0
    assert model.answer(cat, PROMPT, None, 3).answer_tokens == before.answer_tokens


def test_a_stop_ends_the_prefill_within_a_layer(model, cat):
    plans = [None, tokviz.plan("random", keep=9)]
    with StopAt(model.family.decoder(model.model).layers, 1) as at:
        (*_, views) = model.stream(cat, PROMPT, plans, 3, stop=at.stop)
    assert at.later == 0
    assert [view.error for view in views] == [NOT_BEGUN, NOT_BEGUN]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("part", ["tower", "decoder"])
def test_a_stop_ends_the_questions_of_quota_within_a_layer(checkpoint, part, strict):
    """QuoTA asks about every frame alone before the run: minutes for a film on a large model."""
    vlm, film = tokviz.load(checkpoint("llava_onevision")), noise_film(4)
    decoder = vlm.family.decoder(vlm.model).layers
    blocks = decoder if part == "decoder" else vlm.family.tower_layers(vlm.model)
    plans = [None, tokviz.plan("quota", keep="50%")]
    with StopAt(blocks, 0) as at, pytest.raises(Interrupted):
        list(vlm.stream(film, PROMPT, plans, 2, stop=at.stop, strict=strict))
    assert at.later == 0
    with StopAt(blocks, 0) as at, pytest.raises(Interrupted):
        list(vlm.in_turn(film, PROMPT, plans, 2, stop=at.stop))
    assert at.later == 0


def test_a_stop_ends_the_oracle_s_own_run_within_a_layer(vlm, cat):
    plans = [None, tokviz.plan("relevance", keep=9)]
    with StopAt(vlm.family.decoder(vlm.model).layers, 0) as at, pytest.raises(Interrupted):
        list(vlm.stream(cat, PROMPT, plans, 2, stop=at.stop))
    assert at.later == 0


def test_a_stop_of_one_lane_leaves_what_another_has_begun(vlm, cat):
    """The flag is set in the prefill of the second lane."""
    stop = threading.Event()
    steps = vlm.stream(cat, PROMPT, [None, tokviz.plan("random", keep=9)], 9, stop=stop)
    next(steps)
    stop.set()
    *_, (full, other) = steps
    assert full.trace.t == 1
    assert full.trace.finish == "stopped"
    assert other.error == NOT_BEGUN


def test_a_stop_in_the_search_for_sinks_is_no_result(folder, cat):
    fresh = tokviz.load(folder)
    with StopAt(fresh.family.decoder(fresh.model).layers, 0) as at, pytest.raises(Interrupted):
        fresh.answer(cat, PROMPT, None, 3, stop=at.stop)
    assert fresh.found_sink_dims is None
    assert fresh.answer(cat, PROMPT, None, 3).t == 3
