"""What a reader must know about a run: values that are no numbers, too long, no chat template."""

import numpy as np
import pytest
import torch

import tokviz
from tests.models import tiny, tiny_tiles
from tokviz.capture import Capture
from tokviz.errors import ModelError

PROMPT = "what is this?"


def built(build, **more):
    torch.manual_seed(0)
    model, processor = build(**more)
    tiny.shake(model)
    model.generation_config.eos_token_id = None
    return model, processor


@pytest.fixture(scope="module")
def llava():
    return tokviz.load(built(tiny.llava))


def asked(vlm, count, prompt=PROMPT, plan=None, new=2):
    images = [np.full((48, 48, 3), 80 + i, np.uint8) for i in range(count)]
    return vlm.answer(images, prompt, plan, new)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_values_that_are_no_numbers_end_a_run_with_the_number_type(value, kind):
    model, processor = built(tiny.qwen2_5_vl)
    vlm = tokviz.load((model.to(getattr(torch, kind)), processor))
    prepared = vlm.prepare(np.zeros((64, 64, 3), np.uint8), PROMPT)
    trace = asked_once(vlm)
    runs = vlm.further_runs(np.zeros((64, 64, 3), np.uint8), PROMPT, trace)
    with torch.no_grad():
        model.lm_head.weight[7].fill_(value)
    for plan in (
        None,
        tokviz.plan("random", keep=2),
        tokviz.plan("random", keep=2, mitigation="vcd"),
    ):
        with pytest.raises(ModelError, match=kind):
            vlm.answer(np.zeros((64, 64, 3), np.uint8), PROMPT, plan, 2)
    with pytest.raises(ModelError, match=kind):
        vlm.further_runs(np.zeros((64, 64, 3), np.uint8), PROMPT, trace)
    with pytest.raises(ModelError, match=kind):
        runs.score([np.arange(2)])
    with pytest.raises(ModelError, match=kind):
        runs.answers([np.arange(2)])
    assert prepared.asked.layout.n


def asked_once(vlm):
    return vlm.answer(np.zeros((64, 64, 3), np.uint8), PROMPT, max_new_tokens=1)


def test_a_context_that_is_exceeded_is_said_with_both_numbers(llava):
    limit = llava.model.config.text_config.max_position_embeddings
    for trace in (asked(llava, 16), asked(llava, 1, "word " * 150)):
        used = len(trace.prompt_tokens) + trace.t
        (note,) = (n for n in trace.notes if "max_position_embeddings" in n)
        assert str(used) in note
        assert str(limit) in note
    few = asked(llava, 16, plan=tokviz.plan("random", keep=32))
    assert not any("max_position_embeddings" in note for note in few.notes)


def test_a_context_that_the_answer_exceeds_is_said(llava):
    left = llava.model.config.text_config.max_position_embeddings - len(
        asked(llava, 13, new=1).prompt_tokens
    )
    assert 0 < left < 60
    for new, said in ((left, False), (left + 1, True)):
        notes = asked(llava, 13, new=new).notes
        assert any("max_position_embeddings" in note for note in notes) == said


def test_without_a_chat_template_the_prompt_that_was_used_is_said(llava):
    notes = asked(llava, 2).notes
    assert any("USER: <image><image>\\n{question} ASSISTANT:" in note for note in notes)
    bare = tokviz.load(built(tiny_tiles.paligemma2))
    assert not any("chat template" in note for note in asked(bare, 1).notes)
    taught = tokviz.load(built(tiny.qwen2_vl))
    assert not any("chat template" in note for note in asked(taught, 1).notes)


def test_every_lens_caps_words_as_the_model_does():
    """PaliGemma 2: after the last layer a lens gives what the model gives."""
    model, processor = built(tiny_tiles.paligemma2)
    model.config.text_config.final_logit_softcapping = 5.0
    vlm = tokviz.load((model, processor))
    image = np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)
    trace = vlm.answer(image, PROMPT, max_new_tokens=2, capture=Capture(lens=5))
    with torch.inference_mode():
        logits = model(**vlm.prepare(image, PROMPT).inputs).logits[0].float()
    best = logits.softmax(-1)[trace.layout.position].topk(5).values.numpy()
    assert np.abs(best - trace["lens_prob"][-1].astype(np.float32)).max() < 1e-3
    states = torch.randn(3, 48)
    head = model.get_output_embeddings()
    raw = head(states.to(head.weight.dtype)).float()
    torch.testing.assert_close(vlm.family.word_logits(model, states), 5 * torch.tanh(raw / 5))
