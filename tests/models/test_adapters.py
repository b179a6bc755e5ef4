"""A model wrapped by PEFT answers with its adapters, or is refused in a sentence."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import tokviz
from tests.models import tiny, tiny_tiles
from tokviz.errors import ModelError
from tokviz.models.adapters import without_wrapper

PROMPT = "what is this?"
BUILDS = {"llava": tiny.llava, "qwen2_vl": tiny.qwen2_vl, "idefics3": tiny_tiles.idefics3}


def built(name):
    torch.manual_seed(0)
    model, processor = BUILDS[name]()
    tiny.shake(model)
    model.generation_config.eos_token_id = None
    return model, processor


class Low(nn.Module):
    """A layer with an adapter, in the place of the layer, as LoRA puts it."""

    def __init__(self, base_layer):
        super().__init__()
        self.base_layer = base_layer
        self.down = nn.Linear(base_layer.in_features, 2, bias=False)
        self.up = nn.Linear(2, base_layer.out_features, bias=False)

    def forward(self, x):
        return self.base_layer(x) + 8 * self.up(self.down(x))


class Wrapper(nn.Module):
    """Two levels above the model, with PEFT's names."""

    def __init__(self, model, prompt=False):
        super().__init__()
        self.base_model = nn.Module()
        self.base_model.model, self.config = model, model.config
        self.peft_config = {"default": SimpleNamespace(is_prompt_learning=prompt)}

    def get_base_model(self):
        return self.base_model.model


@pytest.mark.parametrize("name", BUILDS)
def test_adapters_in_the_layers_count_as_in_generate(cat, name):
    """The wrapper was taken for the model, and the first question was an AttributeError."""
    model, processor = built(name)
    plain = tokviz.load((model, processor)).answer(cat, PROMPT, max_new_tokens=4)
    for layer in model.model.get_decoder().layers:
        layer.self_attn.q_proj, layer.self_attn.v_proj = (
            Low(layer.self_attn.q_proj), Low(layer.self_attn.v_proj)
        )  # fmt: skip
    vlm = tokviz.load((Wrapper(model), processor))
    inputs = {k: v for k, v in vlm.prepare(cat, PROMPT).inputs.items() if k != "labels"}
    with vlm.guarded():
        out = vlm.model.generate(**inputs, max_new_tokens=4, do_sample=False)
    trace = vlm.answer(cat, PROMPT, max_new_tokens=4)
    assert trace["answer_ids"].tolist() == out[0, inputs["input_ids"].shape[1] :].tolist()
    assert (trace["answer_prob"] != plain["answer_prob"]).any()
    assert vlm.answer(cat, PROMPT, tokviz.plan("fastv", keep=4), 1).stages


def test_adapters_outside_the_layers_are_refused():
    model, processor = built("llava")
    with pytest.raises(ModelError, match="adds tokens to the prompt"):
        tokviz.load((Wrapper(model, prompt=True), processor))
    model.lm_head = Low(model.lm_head)
    with pytest.raises(ModelError, match="output head.*merge_and_unload"):
        tokviz.load((Wrapper(model), processor))


def test_with_peft_itself(cat):
    peft = pytest.importorskip("peft")
    model, processor = built("llava")
    settings = peft.LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False)
    wrapped = peft.get_peft_model(model, settings).eval()
    own = tokviz.load((wrapped, processor)).answer(cat, PROMPT, max_new_tokens=4)
    merged = tokviz.load((wrapped.merge_and_unload(), processor))
    assert own.answer == merged.answer(cat, PROMPT, max_new_tokens=4).answer
    assert without_wrapper(model) is model
