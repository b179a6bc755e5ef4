"""A model that is given to `tokviz.load` stays its owner's: before, between and after runs."""

import numpy as np
import pytest
import torch

import tokviz
from tests.models import tiny, tiny_tiles
from tokviz.errors import ModelError
from tokviz.models.attention import check_arguments
from tokviz.plans import Plan

KINDS = {"llava": tiny.llava, "qwen2_5_vl": tiny.qwen2_5_vl, "gemma3": tiny_tiles.gemma3}
PROMPT = "what is this?"


def built(build, training=True):
    torch.manual_seed(0)
    model, processor = build()
    tiny.shake(model).train(training)
    model.generation_config.eos_token_id = None
    model.set_attn_implementation("eager")
    return model, processor


def state(model):
    """What an owner relies on: attention functions, training flags, what can be trained."""
    configs = {n: m.config._attn_implementation for n, m in model.named_modules() if m_config(m)}
    flags = {name: module.training for name, module in model.named_modules()}
    return configs, flags, {name: p.requires_grad for name, p in model.named_parameters()}


def m_config(module):
    return hasattr(getattr(module, "config", None), "_attn_implementation")


@pytest.mark.parametrize("name", KINDS)
def test_before_between_and_after_runs_the_model_is_as_its_owner_left_it(cat, name):
    model, processor = built(KINDS[name])
    frozen = next(model.parameters())
    frozen.requires_grad_(False)
    before = state(model)
    vlm = tokviz.load((model, processor))
    assert state(model) == before
    for _ in vlm.stream(cat, PROMPT, [None, tokviz.plan("fastv", keep=4)], 2):
        assert state(model) == before, "between two steps"
    trace = vlm.answer(cat, PROMPT, max_new_tokens=1)
    vlm.further_runs(cat, PROMPT, trace).gradients(0, 0)
    assert state(model) == before
    inputs = vlm.prepare(cat, PROMPT).inputs
    assert len(model(**inputs, output_attentions=True).attentions) == 4
    model(**inputs).logits.sum().backward()
    assert all(p.grad is not None for p in model.model.get_decoder().layers.parameters())


def test_what_the_owner_changes_while_tokviz_holds_the_model_counts(cat):
    """The attention function set to eager after loading once made the recorder fail."""
    model, processor = built(tiny.llava, training=False)
    vlm = tokviz.load((model, processor))
    first = vlm.answer(cat, PROMPT, max_new_tokens=2)
    for name in ("sdpa", {"text_config": "eager", "vision_config": "sdpa"}):
        model.set_attn_implementation(name)
        model.train()
        again, before = vlm.answer(cat, PROMPT, max_new_tokens=2), state(model)
        assert (again["attention"] == first["attention"]).all()
        assert state(model) == before
        assert model.training


@pytest.mark.parametrize("part", ["", "model.language_model.layers.0"])
def test_dropout_is_off_whatever_was_in_training_before_or_meanwhile(cat, part):
    """The whole model is looked at again at each word, its parts at each answer."""
    model, processor = built(tiny.llava, training=False)
    for layer in model.model.language_model.layers:
        layer.self_attn.attention_dropout = 0.9
    vlm = tokviz.load((model, processor))
    expected = vlm.answer(cat, PROMPT, max_new_tokens=4)["answer_prob"]
    model.get_submodule(part).train()
    for then in (model.eval, model.train):
        for views in vlm.stream(cat, PROMPT, [None], 4):
            model.train()
            before, trace = state(model), views[0].trace
        assert (trace["answer_prob"] == expected).all()
        assert state(model) == before
        then()


def test_a_word_that_a_model_rules_out_is_no_error(cat):
    """Some heads give minus infinity to rows that no word stands for."""
    model, processor = built(tiny.llava)
    vlm = tokviz.load((model, processor))
    model.lm_head.register_forward_hook(lambda module, args, out: ruled_out(out))
    trace = vlm.answer(cat, PROMPT, max_new_tokens=2)
    assert np.isfinite(trace["answer_entropy"]).all()
    assert trace["answer_prob"].min() > 0


def ruled_out(logits):
    """Logits of which the last is minus infinity."""
    logits[..., -1] = -torch.inf
    return logits


def test_an_error_puts_the_model_back_too(cat):
    model, processor = built(tiny.llava)
    vlm, before = tokviz.load((model, processor)), state(model)
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="NaN or infinite"):
        vlm.answer(cat, PROMPT, max_new_tokens=2)
    with pytest.raises(ModelError, match="NaN or infinite"):
        vlm.answer(cat, PROMPT, Plan((), forced=(5, 6)), max_new_tokens=2)
    assert state(model) == before


@pytest.mark.parametrize("name", ["position_bias", "indices", "sinks", "anything"])
def test_an_attention_argument_that_changes_the_result_is_refused(name):
    with pytest.raises(ModelError, match=name):
        check_arguments({name: torch.zeros(1)})


def test_flags_positions_and_settings_of_flash_attention_pass():
    check_arguments({"dropout": 0.0, "position_ids": torch.zeros(1), "use_cache": True, "a": None})


@pytest.mark.parametrize("part", ["tokenizer", "image_processor"])
def test_a_processor_that_lost_a_part_is_told_at_load_and_at_answer(cat, part):
    model, processor = built(tiny.llava)
    vlm = tokviz.load((model, processor))
    setattr(processor, part, None)
    with pytest.raises(ModelError, match="processor"):
        vlm.answer(cat, PROMPT, max_new_tokens=1)
    with pytest.raises(ModelError, match=f"has no {part.replace('_', ' ')}"):
        tokviz.load((model, processor))
