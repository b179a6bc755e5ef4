"""Layers without attention in a trace: read, named, left out of means, and checked in a file."""

from dataclasses import replace

import numpy as np
import pytest

import tokviz
from tests.view.fakes import fake_trace
from tests.view.test_encode import unpack
from tokviz.trace.layer_gaps import (
    attending,
    attention_layer,
    gap_sentence,
    layer_gaps,
    mean_over_layers,
)
from tokviz.view.overlay import overlay_payload
from tokviz.view.walk import walk_frames

KINDS = {"linear attention": [0, 2], "a short convolution": [3]}


@pytest.fixture
def hybrid():
    """Four layers, of which layer 1 has attention."""
    trace = fake_trace()
    arrays = dict(trace.arrays)
    for name in ("attention", "attention_heads", "mass"):
        if name in arrays:
            arrays[name] = arrays[name].copy()
            arrays[name][:, [0, 2, 3]] = np.nan
    model = {**trace.model, "layers": 4, "without_attention": KINDS}
    return replace(trace, arrays=arrays, model=model)


def test_gaps_are_read_back_with_what_the_layers_have_instead(hybrid):
    again = tokviz.open_trace(hybrid.to_bytes())
    assert layer_gaps(again) == {0: "linear attention", 2: "linear attention",
                                 3: "a short convolution"}  # fmt: skip
    assert attending(again, 4).tolist() == [1]
    assert gap_sentence(again, 3) == "Layer 3 is a short convolution: it has no attention map."
    assert gap_sentence(again, 1) == ""
    assert layer_gaps(fake_trace()) == {}


def test_a_layer_may_be_counted_from_the_end_and_a_gap_is_refused(hybrid):
    assert attention_layer(hybrid, -3, 4) == 1
    with pytest.raises(tokviz.MissingSignal, match="Layer 3 is a short convolution.*attention: 1"):
        attention_layer(hybrid, -1, 4)
    with pytest.raises(tokviz.InputError, match="layer must be 0 to 3, got 4"):
        attention_layer(hybrid, 4, 4)


def test_a_mean_over_layers_leaves_gaps_out_and_is_the_plain_one_without_any():
    whole = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    assert np.array_equal(mean_over_layers(whole, 1), whole.mean(1))
    gap = whole.copy()
    gap[:, 1] = np.nan
    assert np.allclose(mean_over_layers(gap, 1), whole[:, [0, 2]].mean(1))
    assert np.isnan(mean_over_layers(np.full((2, 2), np.nan), 0)).all()


@pytest.mark.parametrize(
    "odd", [[0], {"linear attention": [4]}, {"linear attention": ["0"]}, {"x" * 5000: [0]}, "all"]
)
def test_a_file_whose_gaps_are_no_layers_is_refused(hybrid, odd):
    bad = replace(hybrid, model={**hybrid.model, "without_attention": odd})
    with pytest.raises(tokviz.TraceError):
        tokviz.open_trace(bad.to_bytes())


@pytest.mark.parametrize("odd", [[4], ["0"], {"0": 1}, "all"])
def test_a_file_whose_layers_with_the_last_row_are_no_layers_is_refused(hybrid, odd):
    good = replace(hybrid, model={**hybrid.model, "last_row_only": [2, 3]})
    assert tokviz.open_trace(good.to_bytes()).model["last_row_only"] == [2, 3]
    bad = replace(hybrid, model={**hybrid.model, "last_row_only": odd})
    with pytest.raises(tokviz.TraceError):
        tokviz.open_trace(bad.to_bytes())


def test_analyses_of_attention_have_gaps_where_there_is_none(hybrid):
    rows = hybrid["attention"][:, 1].astype(np.float32)
    assert np.allclose(tokviz.analyse("attention", hybrid).values, rows)
    needs = tokviz.analyse("layer_needs", hybrid)
    assert np.isfinite(needs.values).tolist() == [False, True, False, False]
    agreement = tokviz.analyse("layer_agreement", hybrid).values
    assert np.isnan(np.delete(agreement, 1, 0)).all()


def test_the_page_gets_the_maps_of_layers_that_have_one_and_the_others_by_name(hybrid):
    payload = overlay_payload(hybrid, "id")
    assert payload["attention_layers"] == [1]
    assert payload["gaps"] == {"0": "linear attention", "2": "linear attention",
                               "3": "a short convolution"}  # fmt: skip
    assert np.allclose(unpack(payload["attention"])[:, 0], hybrid["attention"][:, 1], atol=1e-2)
    assert overlay_payload(fake_trace(), "id")["gaps"] is None
    assert [frame.layer for frame in walk_frames(hybrid)] == [None, 1]
