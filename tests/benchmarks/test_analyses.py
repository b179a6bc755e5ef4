"""The costs of analyses: what the page computes is what a run does."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import analyses
from tokviz.capture import Capture

pytestmark = pytest.mark.slow

SCENE = analyses.EXAMPLES / "scene_1.png"


@pytest.fixture(scope="module")
def vlm(shipped_model):
    return shipped_model


def products(vlm, capture):
    """Multiplications of one short run, and its trace."""
    with FlopCounterMode(display=False) as counter:
        trace = vlm.answer(SCENE, "is there a dog ?", None, 2, capture)
    return counter.get_total_flops() // 2, trace


def test_what_is_said_is_read_out_with_its_own_rows_of_the_head_alone(vlm):
    """So the work of the Token Activation Map is the full head's times words said / vocabulary."""
    without, _ = products(vlm, Capture.nothing())
    extra, trace = products(vlm, Capture(False, True, False, False, 1))
    positions, words = len(trace.prompt_tokens) + trace.t - 1, len(trace["readout_ids"])
    similarity = positions * trace.t
    assert extra - without == (positions * words + similarity) * vlm.info["hidden_size"]
    assert analyses.TAM_VOCABULARY / (analyses.TAM_PROMPT + analyses.TAM_ANSWER) > 500


def test_a_trace_stores_head_means_in_half_precision(vlm):
    trace = vlm.answer(SCENE, "is there a dog ?", None, 2)
    layers, heads = vlm.info["layers"], vlm.info["heads"]
    own = analyses.Shape("own", layers, heads, trace.n, len(trace.prompt_tokens) + 1, trace.t)
    assert trace["attention"].nbytes == analyses.stored_bytes(own)


@pytest.mark.parametrize("shape", analyses.SHAPES, ids=lambda shape: shape.name[:5])
def test_stored_rows_are_under_a_third_of_a_per_cent_of_all_maps(shape):
    assert analyses.stored_bytes(shape) / analyses.whole_bytes(shape) < 0.003
