"""One run whose answers fit in the head: six visual tokens on a 2×3 grid, a two-token answer.

The picture shows a dog at token 1 and a ball at token 4; token 5 is a sink. All numbers are exact
in half precision.
"""

import numpy as np
import pytest
import torch

from tokviz.trace import Trace
from tokviz.trace.layout import Layout, Tile
from tokviz.trace.to_file import layout_arrays

PROMPT = ("<bos>", *["<image>"] * 6, "▁a", "▁dog", "?", "ASSISTANT:")
OWN, S = [7, 8, 9], 11
A, DOG, MARK, YES, STOP = 11, 12, 13, 21, 22
LAYERS, HEADS, N = 4, 2, 6


def six_token_layout():
    """A 30×20 image, seen whole; every token is 10×10 pixels."""
    return Layout(
        sizes=((30, 20),),
        tiles=(Tile(0, 2, 3, (0.0, 0.0, 30.0, 20.0)),),
        tile=np.zeros(N, np.int16),
        row=np.array([0, 0, 0, 1, 1, 1], np.int16),
        col=np.array([0, 1, 2, 0, 1, 2], np.int16),
        kind=np.zeros(N, np.uint8),
        position=np.arange(1, 7, dtype=np.int32),
    )


def attention_heads():
    """[t=2, l=4, h=2, n=6]; head 0 looks at the things, head 1 at the sink."""
    heads = np.zeros((2, LAYERS, HEADS, N), np.float16)
    heads[0, :, 0] = [0, 0.25, 0, 0, 0.25, 0]
    heads[1, :, 0] = [0, 0.125, 0, 0, 0.125, 0]
    heads[:, :, 1, 5] = 0.5
    heads[:, 0, 1] = 0.0625
    return heads


def readout():
    """[q=12, k=5] for the words a, dog, ?, yes and the full stop."""
    values = np.zeros((S + 1, 5), np.float32)
    values[1:7, 1] = [0, 4, 0, 0, 0, 0]
    values[1:7, 3] = [0, 4, 0, 0, 2, 0]
    values[7:10, 3] = [0, 3, -1]
    values[8, 4], values[10, 4] = 1, 2
    values[7, 0] = 1
    return values


def sink_phi():
    """[l=4, s=11]: the first token and visual token 5 (position 6) are sinks."""
    phi = np.ones((LAYERS, S), np.float16)
    phi[:, 0], phi[1:, 6] = 8, 6
    return phi


def trace_arrays(layout):
    heads = attention_heads()
    mass = np.zeros((2, LAYERS, HEADS, 4), np.float16)
    mass[..., 1] = heads.sum(-1)
    mass[..., 2] = 0.125
    mass[1, ..., 3] = 0.125
    mass[..., 0] = 1 - mass.sum(-1)
    tower_heads = np.zeros((3, 2, N), np.float16)
    tower_heads[:, 0, :3], tower_heads[:, 1, :3] = [0.5, 0.25, 0.125], [0.125, 0.75, 0.125]
    norms = np.array([[10, 11, 9, 10, 12, 10], [10, 11, 9, 10, 12, 60], [10, 11, 9, 10, 12, 60]])
    return {
        **layout_arrays(layout),
        "prompt_ids": np.array([1, *[2] * 6, A, DOG, MARK, 5], np.int32),
        "own_rows": np.array(OWN, np.int32),
        "answer_ids": np.array([YES, STOP], np.int32),
        "answer_prob": np.array([0.75, 0.5], np.float32),
        "candidate_ids": np.array([[YES, 23, 24], [STOP, 25, 26]], np.int32),
        "candidate_prob": np.array([[0.75, 0.125, 0.0625], [0.5, 0.25, 0.25]], np.float32),
        "attention": heads.astype(np.float32).mean(2).astype(np.float16),
        "attention_heads": heads,
        "mass": mass,
        "cls_attention": tower_heads.astype(np.float32).mean(1).astype(np.float16),
        "cls_attention_heads": tower_heads,
        "feature_norm": norms.astype(np.float32),
        "readout_ids": np.array([A, DOG, MARK, YES, STOP], np.int32),
        "readout": readout(),
        "sink_dims": np.array([3], np.int32),
        "sink_phi": sink_phi(),
        **optional_arrays(),
    }


def optional_arrays():
    """What only a run that was asked for more records."""
    similarity = np.zeros((2, N), np.float16)
    similarity[0], similarity[1] = [0, 1, 0.25, 0, 0.75, 0], 0.5
    controls = np.array([[0.375, 0.5], [0.5, 0.5], [0.25, 0.5], [np.nan] * 2], np.float32)
    flow = np.zeros((LAYERS, 4, 4), np.float16)
    flow[:, 0, 0] = 1
    flow[:, 1, :2] = [0.25, 0.75]
    flow[:, 2, :3] = [0.25, 0.5, 0.25]
    flow[:, 3] = np.nan
    lens = np.zeros((LAYERS, N, 2), np.int32)
    lens[..., 0], lens[..., 1], lens[-1, 1, 0] = STOP, A, DOG
    lens_prob = np.zeros((LAYERS, N, 2), np.float16)
    lens_prob[..., 0], lens_prob[-1, 1, 0] = 0.5, 0.875
    peak = np.zeros((N, 5), np.float16)
    peak[1, 1], peak[4, 1] = 0.875, 0.125
    means = np.zeros((LAYERS, 2, 2), np.float32)
    means[:, 0], means[:, 1] = [0.5, 0.5], [1, 0.5]
    return {
        "answer_entropy": np.array([0.5, 1], np.float32),
        "state_similarity": similarity,
        "cls_similarity": np.linspace(0, 1, 18).reshape(3, N).astype(np.float16),
        "control_prob": controls,
        "flow": flow,
        "lens_ids": lens,
        "lens_prob": lens_prob,
        "lens_peak": peak,
        "lens_peak_layer": np.full((N, 5), 3, np.uint8),
        "layer_means": means,
        "decode_sets": np.array([[1] * N, [0, 1, 0, 0, 0.5, 0]], np.float16),
        "visual_rank": np.array([4, 3, 2, 1], np.float32),
        "last_state": np.array([3, 4], np.float32),
    }


def worth(kept):
    """Token 1 adds 2, token 4 adds 1, both together 3 more."""
    return 2 * (1 in kept) + (4 in kept) + 3 * (1 in kept and 4 in kept) - 6.0


def first_token_or_oneself(layer):
    """Every row looks at itself and at the first token, one half each."""
    rows = S + 1
    one = np.eye(rows) / 2
    one[:, 0] += 0.5
    return np.stack([one, one])


def prompt_statistics():
    """Row 0 draws most from every head; in layers 2 and 3 the second head rests on row 4 too."""
    received = np.full((LAYERS, HEADS, S), 0.05)
    received[:, :, 0] = 0.7
    received[2:, 1, 4] = 0.4
    values = np.full((LAYERS, 1, S), 2.0)
    values[:, :, 0] = 0.5
    largest = np.full((LAYERS, S), 3.0)
    largest[1, 0] = 4000
    return {
        "received": received,
        "even": np.full((LAYERS, S), 0.1),
        "value_norm": values,
        "state_max": largest,
        "state_dim": np.full((LAYERS, S), 7),
        "state_median": np.full(LAYERS, 2.0),
    }


@pytest.fixture
def runs(toy):
    """Everything that analyses ask for, as functions whose answers are known."""
    weights = torch.arange(6, dtype=torch.float32)
    return {
        "score": lambda kept: np.array([worth(tokens) for tokens in kept]),
        "answers": lambda kept: ["yes." if 1 in tokens else "no." for tokens in kept],
        "forward": lambda x: (x.sum(-1) * weights).sum(-1),
        "features": torch.ones(N, 3),
        "maps": first_token_or_oneself,
        "gradients": lambda layer, step: np.ones((2, S + 1, S + 1)),
        "exits": lambda layer: ([YES if layer > 1 else DOG, STOP], [-0.1, -0.1]),
        "prompt_statistics": prompt_statistics,
        "state_curves": lambda: {
            "similarity": np.linspace([0.1, 0.2], [0.9, 0.3], LAYERS),
            "constant": np.full((LAYERS, 2), 0.5),
            "rank": np.full((LAYERS, 2), 2.0),
        },
        "general_attention": lambda prompt: np.full((LAYERS, N), 0.125),
        "reworded": lambda prompt: -1.0 - 2 * ("dog?" not in prompt),
        "knockout": lambda span: -1.0 - sum(layer == 2 for layer in span),
        "full": toy,
        "others": [toy],
        "judge": lambda before, chosen, other: "neutral",
        "progress": lambda done, total: None,
        "controls": {"blank": np.array([0.375, 0.5])},
        "folder": [np.eye(4), np.ones((3, 4))],
    }


@pytest.fixture(name="make_trace")
def trace_factory():
    """Factory: arrays by name are added, or taken out where None."""

    def make(answer_tokens=("▁yes", "."), **changed):
        layout = six_token_layout()
        arrays = {**trace_arrays(layout), **changed}
        facts = {"layers": LAYERS, "heads": HEADS, "hidden_size": 64, "feature_layer": 1}
        return Trace(
            prompt="a dog?",
            answer="yes.",
            model={"name": "fake", "family": "fake", **facts},
            layout=layout,
            prompt_tokens=PROMPT,
            answer_tokens=answer_tokens,
            arrays={name: array for name, array in arrays.items() if array is not None},
            candidate_tokens=(("▁yes", "▁no", "▁maybe"), (".", "!", ",")),
            words={A: "▁a", DOG: "▁dog", STOP: "."},
        )

    return make


@pytest.fixture
def toy(make_trace):
    """The run with every array that an analysis reads."""
    return make_trace()
