"""What is special about a language model that chooses experts."""

import pytest

import tokviz
from tests.models.tiny import Tiny, save
from tests.models.tiny_tiles import TINY_KIN
from tokviz.errors import MissingSignal
from tokviz.models.hooks import hooked
from tokviz.testing.on_families import all_that_there_is, hooks_of
from tokviz.testing.pictures import PROMPT, pictures

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    """The tiny Qwen3-VL with experts."""
    tiny: Tiny = TINY_KIN["qwen3_vl_moe"]
    return tokviz.load(save(tiny, tmp_path_factory.mktemp("experts")))


def test_a_method_that_is_refused_halfway_leaves_no_hook_on_the_model(experts):
    """CoreMatching wants the one output matrix of an MLP, which is found missing during a run."""
    before = hooks_of(experts)
    with pytest.raises(MissingSignal, match="no single output matrix"):
        experts.answer(pictures(1), PROMPT, tokviz.plan("corematching", keep=8), 2)
    assert hooks_of(experts) == before
    experts.answer(pictures(1), PROMPT, max_new_tokens=2)


def test_a_generator_of_hooks_that_fails_takes_the_installed_ones_away():
    removed = []

    class Handle:
        def remove(self):
            removed.append(self)

    def hooks():
        yield Handle()
        raise MissingSignal("no such part.")

    with pytest.raises(MissingSignal), hooked(hooks()):
        raise AssertionError("the block is not entered")
    assert len(removed) == 1


@pytest.mark.weekly
def test_every_method_analysis_and_mitigation_runs_or_says_why_not(experts):
    for said, check in all_that_there_is(experts):
        try:
            check()
        except AssertionError as error:
            raise AssertionError(said) from error
