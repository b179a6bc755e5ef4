import numpy as np
import pytest
import torch

from tokviz.errors import FaultyPlugin, InputError, MissingSignal
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.signal_table import SIGNALS
from tokviz.reduction.signals import Crop, Signals

LAYERS = {layer: np.eye(4)[layer] for layer in range(4)}


def test_negative_layers_count_from_the_end_of_the_tower():
    assert Signals({"recv_attn": LAYERS}).at("recv_attn", -2).argmax() == 2
    two = {0: LAYERS[0], 2: LAYERS[2]}
    assert Signals({"recv_attn": two, "num_layers": 4}).at("recv_attn", -2).argmax() == 2


def test_negative_layer_of_an_unknown_depth_is_refused():
    with pytest.raises(MissingSignal, match="num_layers"):
        Signals({"recv_attn": {8: LAYERS[0], 22: LAYERS[1]}}).at("recv_attn", -2)


def test_bare_array_stands_for_any_layer():
    assert Signals({"recv_attn": LAYERS[1]}).at("recv_attn", 17).argmax() == 1


def test_cls_row_is_left_out_of_states_if_there_is_one():
    states = np.arange(10.0).reshape(1, 5, 2)
    with_cls = Signals({"k": states, "relevance": np.zeros(4)}).patches("k", -1)
    without = Signals({"k": states, "relevance": np.zeros(5)}).patches("k", -1)
    assert with_cls.shape == (1, 4, 2)
    assert with_cls[0, 0, 0] == 2
    assert without.shape == (1, 5, 2)
    with pytest.raises(InputError, match="5 tokens"):
        Signals({"k": states, "relevance": np.zeros(3)}).patches("k", -1)


def test_whole_maps_give_the_cls_row_and_the_column_means():
    maps = np.random.default_rng(0).random((2, 4, 4)).astype(np.float32)
    signals = Signals({"full_attn": {3: maps}, "relevance": np.zeros(3)})
    assert np.allclose(signals.at("cls_attn", 3), maps[:, 0, 1:])
    assert np.allclose(signals.at("recv_attn", 3), maps.mean((0, 1))[1:])
    no_cls = Signals({"full_attn": maps, "relevance": np.zeros(4)})
    assert "cls_attn" not in no_cls
    assert np.allclose(no_cls.at("recv_attn", 0), maps.mean((0, 1)))


def test_given_signals_are_not_overwritten_by_whole_maps():
    signals = Signals({"full_attn": np.ones((1, 3, 3)), "cls_attn": [[0.2, 0.8]]})
    assert np.allclose(signals.at("cls_attn", 0), [[0.2, 0.8]])


@pytest.mark.parametrize(
    ("entry", "crop"),
    [
        (("thumb", 2, 3, 0, 0), Crop("thumbnail", 2, 3)),
        (["crop", 2, 3, 4, 5], Crop("tile", 2, 3, 4, 5)),
        (7, Crop("whole", 1, 7)),
        (Crop("tile", 1, 1), Crop("tile", 1, 1)),
    ],
)
def test_crops_are_read_in_every_form(entry, crop):
    assert Signals({"crops": [entry]})["crops"] == (crop,)


def test_projector_must_be_callable():
    with pytest.raises(InputError, match="function"):
        Signals({"projector": [1.0]})


@pytest.mark.parametrize("value", ["abc", [[1.0], [2.0, 3.0]], [None]])
def test_what_is_no_array_is_refused(value):
    with pytest.raises(InputError, match="relevance"):
        Signals({"relevance": value})


def test_one_layer_serves_that_layer_alone():
    """A dict of one layer once served any layer asked: hiprune then shared 182 of 192 tokens."""
    one = Signals({"recv_attn": {3: LAYERS[3]}})
    assert one.at("recv_attn", 3).argmax() == 3
    with pytest.raises(MissingSignal, match=r"not given for layer -2; given: \[3\]"):
        one.at("recv_attn", -2)
    with pytest.raises(MissingSignal, match=r"given: \[0\]"):
        Signals({"recv_attn": {0: LAYERS[0]}}).at("recv_attn", -1)


def test_a_layer_is_the_same_counted_from_either_end():
    signals = Signals({"recv_attn": {-2: LAYERS[1]}, "num_layers": 6})
    assert signals.at("recv_attn", 4).argmax() == signals.at("recv_attn", -2).argmax() == 1


@pytest.mark.parametrize("name", ["grid", "crops"])
def test_cls_left_among_the_tokens_is_found_out(name):
    places = {"grid": [24, 24], "crops": [("whole", 24, 24, 0, 0)]}[name]
    with pytest.raises(InputError, match=r"576 tokens, but other signals are for 577.*\[CLS\]"):
        Signals({"feats_post": np.zeros((577, 2)), name: places})
    assert Signals({"feats_post": np.zeros((576, 2)), name: places}).n == 576


def test_tokens_left_by_an_earlier_step_keep_their_grid():
    left = Signals({"feats_post": np.zeros((3, 2)), "grid": [2, 3], "index": [0, 2, 5]})
    assert left.n == 3
    with pytest.raises(InputError, match=r"grid must be \(rows, cols\)"):
        Signals({"feats_post": np.zeros((3, 2)), "grid": [3]})


def test_a_tuple_of_attention_maps_is_answered_with_what_to_take():
    maps = tuple(np.ones((1, 2, 5, 5)) for _ in range(3))
    with pytest.raises(InputError, match=r"tuple of 3 arrays.*output_attentions.*value\[layer\]"):
        Signals({"full_attn": maps})


def test_a_signal_with_a_slip_in_its_name():
    with pytest.raises(InputError, match="Did you mean 'cls_attn'"):
        Signals({"cls_atn": LAYERS[0]})
    with pytest.raises(InputError, match="Did you mean 'grid'"):
        Signals({"recv_attn": LAYERS[0]})["gird"]


SIX = np.arange(6.0)


@pytest.mark.parametrize(
    "arrays",
    [
        {"grid": [2.5, 3]},
        {"grid": [True, True]},
        {"grid": np.array([2 + 0j, 3])},
        {"crops": 5},
        {"crops": "abc"},
        {"crops": [("whole", 2.7, 2)]},
        {"crops": [("whole", 2, 3, -1, 0)]},
        {"num_layers": 3.7},
        {"num_layers": 0},
        {"index": [0, 1, 2, 3, 4, 4]},
        {"index": [-1, 0, 1, 2, 3, 4]},
        {"recv_attn": {1.7: SIX}},
        {"recv_attn": {"a": SIX}},
        {"recv_attn": {None: SIX}},
        {"recv_attn": SIX + 0j},
        {"recv_attn": torch.zeros(6, device="meta")},
    ],
    ids=str,
)
def test_no_number_is_rounded_and_no_foreign_error_comes_out(arrays):
    """grid (2.5, 3) was read as (2, 3), and layer 1.7 as layer 1."""
    with pytest.raises(InputError):
        Signals({"recv_attn": SIX, **arrays})


def test_signals_of_other_widths_are_not_called_the_methods_fault():
    """The message once sent people to the method's author."""
    needs = METHODS["catp_stage2"].needs
    sizes = {"n": 6, "d": 4}
    arrays = {n: np.ones([sizes.get(c, 2) for c in SIGNALS[n].shape.split()]) for n in needs}
    arrays |= {"llm_hidden_query": np.ones(3), "grid": [2, 3]}
    with pytest.raises(InputError, match=r"cannot decide on these signals.*query \[3\]") as told:
        reduce("catp_stage2", arrays, 3)
    assert not isinstance(told.value, FaultyPlugin)
