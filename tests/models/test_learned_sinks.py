"""A decoder with learned attention sinks (GPT-OSS, in InternVL3.5) answers as it does by itself."""

import numpy as np
import pytest
import torch
from transformers import GptOssConfig, InternVLConfig, InternVLForConditionalGeneration

import tokviz
from tests.models import tiny
from tokviz.errors import ModelError

PROMPT = "what is this?"
NEW = 6


@pytest.fixture(scope="module")
def pair():
    """InternVL around GPT-OSS, whose sinks take a good part of the attention."""
    torch.manual_seed(0)
    vision, processor = tiny.internvl()
    sizes = tiny.text_sizes(
        head_dim=8, num_local_experts=4, num_experts_per_tok=2, sliding_window=24
    )
    model = InternVLForConditionalGeneration(
        InternVLConfig(
            vision_config=vision.config.vision_config.to_dict(),
            text_config=GptOssConfig(**sizes),
            image_token_id=4,
            image_seq_length=9,
        )
    )
    tiny.shake(model)
    model.generation_config.eos_token_id = None
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.sinks.normal_(1.0, 1.0)
    model.set_attn_implementation("eager")
    return model, processor


@pytest.fixture(scope="module")
def vlm(pair):
    return tokviz.load(pair)


def test_words_and_attention_are_those_of_the_library(vlm, pair, cat):
    model, inputs = pair[0], vlm.prepare(cat, PROMPT).inputs
    with torch.inference_mode():
        theirs = model.generate(**inputs, max_new_tokens=NEW, do_sample=False)
        seen = model(**inputs, output_attentions=True).attentions
    trace = vlm.answer(cat, PROMPT, max_new_tokens=NEW)
    assert trace["answer_ids"].tolist() == theirs[0, inputs["input_ids"].shape[1] :].tolist()
    rows = torch.stack([layer[0, :, -1] for layer in seen])[..., trace.layout.position]
    assert np.abs(trace["attention_heads"][0] - rows.numpy()).max() < 1e-3
    assert trace["mass"][0].astype(np.float32).sum(-1).min() < 0.95  # the sinks have the rest
    assert any("learned sinks" in note for note in trace.notes)


def test_lanes_in_one_batch_write_the_same_words(vlm, cat):
    plans = [None, tokviz.plan("fastv", keep=5), tokviz.plan("random", keep=5)]
    *_, views = vlm.stream(cat, PROMPT, plans, NEW, strict=True, together_after=1)
    for view, plan in zip(views, plans, strict=True):
        alone = vlm.answer(cat, PROMPT, plan, NEW)
        assert view.trace["answer_ids"].tolist() == alone["answer_ids"].tolist()
        both = (view.trace["attention"], alone["attention"])
        assert np.abs(both[0].astype(np.float32) - both[1]).max() < 2e-3


def test_an_edit_of_attention_is_refused_in_a_sentence(vlm, cat):
    with pytest.raises(ModelError, match="learned sinks"):
        vlm.answer(cat, PROMPT, "pai", 2)
