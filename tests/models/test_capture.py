"""What is captured agrees with eager attention, and costs no full map."""

import numpy as np
import pytest
import torch
from transformers import LlavaForConditionalGeneration

import tokviz
from tokviz.capture import Capture
from tokviz.models.run import Run

PROMPT = "what is this?"


@pytest.fixture(scope="module")
def trace(vlm, cat):
    return vlm.answer(cat, PROMPT, None, 6)


@pytest.fixture(scope="module")
def eager(vlm, folder, cat, trace):
    """One teacher-forced pass of a second, eager copy over prompt and answer."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    inputs = dict(vlm.prepare(cat, PROMPT).inputs)
    answer = torch.as_tensor(trace["answer_ids"])[None, :-1].long()
    inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], 1)
    inputs.pop("attention_mask", None)
    tower = model.model.vision_tower(inputs["pixel_values"], output_attentions=True)
    with torch.inference_mode():
        output = model(
            **inputs,
            attention_mask=torch.ones_like(inputs["input_ids"]),
            output_attentions=True,
            output_hidden_states=True,
        )
    return model, output, tower


def chosen_rows(trace, output):
    """Eager attention of the rows that chose each answer token, [t, l, h, keys]."""
    first = len(trace.prompt_tokens) - 1
    maps = torch.stack(output.attentions)[:, 0]
    return maps[:, :, first : first + trace.t].permute(2, 0, 1, 3).numpy()


def test_attention_rows_equal_eager_attentions(trace, eager):
    rows = chosen_rows(trace, eager[1])[..., trace.layout.position]
    assert np.abs(trace["attention_heads"] - rows).max() < 1e-3  # stored in half precision
    assert np.abs(trace["attention"] - rows.mean(2)).max() < 1e-3


def test_attention_is_captured_to_float32_accuracy(vlm, cat, eager, trace):
    """Before it is stored in half precision; deeper layers add SDPA's own rounding."""
    prepared = vlm.prepare(cat, PROMPT)
    with vlm.guarded():
        run = Run(vlm, prepared, vlm.encode(prepared, [None], Capture()), {}, None, Capture())
        run.start()
    rows = chosen_rows(trace, eager[1])
    for layer, row in run.lane.rows.attention[0].items():
        difference = np.abs(row.numpy() - rows[0, layer, :, : row.shape[1]]).max()
        assert difference < (1e-6 if layer == 0 else 1e-5)


def test_the_four_shares_of_attention_add_up_to_one(trace):
    assert np.abs(trace["mass"].astype(np.float32).sum(-1) - 1).max() < 4e-3
    image = trace["attention_heads"].astype(np.float32).sum(-1)
    assert np.abs(trace["mass"][..., 1] - image).max() < 4e-3


def test_cls_attention_equals_eager_tower_attentions(trace, eager):
    maps = torch.stack(eager[2].attentions)[:, 0, :, 0, 1:].detach().numpy()
    assert np.abs(trace["cls_attention_heads"] - maps).max() < 1e-3


def test_readout_equals_the_columns_of_the_full_logits(trace, eager):
    logits = eager[1].logits[0, :, trace["readout_ids"].astype(int)].numpy()
    assert np.abs(trace["readout"] - logits[: len(trace["readout"])]).max() < 1e-3


def test_answer_probabilities_come_from_the_softmax(trace, eager):
    logits = eager[1].logits[0, len(trace.prompt_tokens) - 1 :]
    probability = logits.softmax(-1)[torch.arange(trace.t), trace["answer_ids"].astype(int)]
    assert np.allclose(trace["answer_prob"], probability.numpy(), atol=1e-4)
    assert (trace["candidate_ids"][:, 0] == trace["answer_ids"]).all()


@pytest.mark.parametrize(
    ("name", "keep"), [("fastervlm", 9), ("visionzip", 12), ("tome", 14), ("fastv", 9)]
)
def test_after_a_reduction_the_shares_still_add_up_and_pruned_tokens_get_none(vlm, cat, name, keep):
    trace = vlm.answer(cat, PROMPT, tokviz.plan(name, keep=keep), 6)
    assert np.abs(trace["mass"].astype(np.float32).sum(-1) - 1).max() < 4e-3
    image = trace["attention_heads"].astype(np.float32).sum(-1)
    assert np.abs(trace["mass"][..., 1] - image).max() < 4e-3
    gone = trace.reduction.group < 0
    assert not trace["attention"][:, -1][:, gone].any()
    assert trace.reduction.m == keep


def test_nothing_is_recorded_when_nothing_was_asked_for(vlm, cat):
    trace = vlm.answer(cat, PROMPT, None, 4, Capture.nothing())
    for name in ("attention", "mass", "readout", "cls_attention", "feature_norm", "sink_phi"):
        assert name not in trace


def test_the_cls_state_can_be_fed_as_one_more_token(vlm, cat):
    plain = vlm.answer(cat, PROMPT, tokviz.plan("visionzip", keep=12), 4)
    with_cls = vlm.answer(cat, PROMPT, tokviz.plan("visionzip", keep=12, cls_token=True), 4)
    assert with_cls.kv_lengths[0] - with_cls.t == plain.kv_lengths[0] - plain.t
    assert with_cls.reduction.m == 11
    assert np.abs(with_cls["mass"].astype(np.float32).sum(-1) - 1).max() < 4e-3
