"""Sink dimensions are found in a model that has them, and only there."""

import numpy as np
import torch

from tokviz.models import load

PLANTED = 13


def test_a_planted_sink_is_found_and_measured(folder, cat):
    vlm = load(folder)
    first = int(vlm.prepare(cat, "what?").inputs["input_ids"][0, 0])
    with torch.no_grad():
        vlm.model.get_input_embeddings().weight[first] *= 0.05
        vlm.model.get_input_embeddings().weight[first, PLANTED] = 60
    assert vlm.sink_dims[0] == PLANTED
    trace = vlm.answer(cat, "what is this?", None, 3)
    phi = trace["sink_phi"].astype(np.float32)
    assert trace["sink_dims"][0] == PLANTED
    assert (phi[1:].argmax(1) == 0).all()
    assert phi[1, 0] > 0.9 * np.sqrt(trace.model["hidden_size"])
    assert phi.max() <= np.sqrt(trace.model["hidden_size"]) + 1e-2


def test_a_model_without_sinks_gives_none_and_records_nothing(vlm, cat):
    assert vlm.sink_dims == ()
    assert "sink_phi" not in vlm.answer(cat, "what is this?", None, 2)
