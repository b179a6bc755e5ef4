"""Parallel decoder blocks, where some signals cannot be had: all is tried, and all is answered."""

import pytest
import torch

import tokviz
from tests.models.tiny import shake
from tests.models.tiny_tiles import TINY_TILES
from tokviz.errors import MissingSignal
from tokviz.testing import check_family
from tokviz.testing.on_families import attempts
from tokviz.testing.pictures import pictures


@pytest.fixture(scope="module")
def tiny():
    """A tiny Aya Vision as somebody's function gives it: model and processor."""
    torch.manual_seed(0)
    model, processor = TINY_TILES["aya_vision"].build()
    model.generation_config.eos_token_id = None
    return shake(model), processor


@pytest.mark.weekly
@pytest.mark.slow
def test_everything_is_tried_on_parallel_blocks_and_nothing_is_broken(tiny):
    """Attention and MLP read the same norm there: a signal between the two does not exist."""
    tried = []
    broken = check_family(tiny, lambda one, _: tried.append(one), everything=True)
    assert broken == []
    assert len(tried) > 100
    assert any(one.startswith("analysis ") for one in tried)


def test_a_signal_that_a_family_lacks_does_not_end_the_matrix(tiny, monkeypatch):
    """The one run that all analyses read asks for everything; then it asks for what there is."""
    vlm = tokviz.load(tiny)
    answer = vlm.answer

    def without_flow(images, prompt, plan=None, max_new_tokens=64, capture=None, **more):
        if capture is not None and capture.flow:
            raise MissingSignal("there is no state between attention and MLP in this model.")
        return answer(images, prompt, plan, max_new_tokens, capture, **more)

    monkeypatch.setattr(vlm, "answer", without_flow)
    names = [name for kind, name, _ in attempts(vlm, pictures(1)[0]) if kind == "analysis"]
    assert len(names) == len(tokviz.ANALYSES)
