"""LLaVA around decoders and towers of other makers: they run as generate() does, or are named."""

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    DeepseekV2Config,
    DeepseekV3Config,
    DeiTConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    Gemma3TextConfig,
    GPTNeoXConfig,
    InternVLVisionConfig,
    Lfm2Config,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MiniMaxConfig,
    MistralConfig,
    MLCDVisionConfig,
    Olmo2Config,
    Olmo3Config,
    PhiConfig,
    PixtralVisionConfig,
    Qwen3NextConfig,
    Siglip2VisionConfig,
    SiglipVisionConfig,
    ViTConfig,
    ViTMAEConfig,
)
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

import tokviz
from tests.models import tiny
from tests.models.families.test_family_geometry import GREY, prove
from tokviz.errors import ModelError, TokvizError
from tokviz.models.attention import observed
from tokviz.models.families.parts import attention_of, queries_keys
from tokviz.reduction import METHODS
from tokviz.testing.on_families import check_generate, masked, plan_of, run_plan

pytestmark = pytest.mark.matrix

SIDE = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
SIDE |= {"image_size": 48, "patch_size": 8}
WIDE = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12}


def sizes(**changes):
    return tiny.text_sizes(**changes)


def neox():
    return {name: value for name, value in sizes().items() if name != "num_key_value_heads"}


HYBRID = {"layer_types": ["linear_attention", "full_attention"] * 2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
DECODERS = {
    "phi": lambda: PhiConfig(**sizes()),
    "olmo2": lambda: Olmo2Config(**sizes()),
    "mistral": lambda: MistralConfig(**sizes(sliding_window=24)),
    "gpt_neox": lambda: GPTNeoXConfig(**neox()),
    "gemma3": lambda: Gemma3TextConfig(
        **sizes(query_pre_attn_scalar=12, sliding_window=24, **WIDE)
    ),
}
TOWERS = {
    "siglip, default": lambda: SiglipVisionConfig(intermediate_size=64, **SIDE),
    "dinov2": lambda: Dinov2Config(mlp_ratio=2, **SIDE),
    "vit": lambda: ViTConfig(intermediate_size=64, **SIDE),
    "internvit": lambda: InternVLVisionConfig(
        intermediate_size=64, **{**SIDE, "image_size": [48, 48], "patch_size": [8, 8]}
    ),
}
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8}
LATENT |= {"v_head_dim": 8, "num_key_value_heads": 6, "first_k_dense_replace": 4}
"""Keys and values through one narrow matrix, which is all that the cache holds."""
REFUSED = {
    "lfm2": (lambda: Lfm2Config(**sizes(), layer_types=["conv"] * 4), None),
    "pixtral": (None, lambda: PixtralVisionConfig(intermediate_size=64, **SIDE)),
    "minimax": (lambda: MiniMaxConfig(**sizes(num_local_experts=2), **HYBRID), None),
    "deepseek_v2": (lambda: DeepseekV2Config(**sizes(**LATENT)), None),
    "deit": (None, lambda: DeiTConfig(intermediate_size=64, **SIDE)),
    "vitmae": (None, lambda: ViTMAEConfig(intermediate_size=64, **SIDE)),
    "siglip2": (None, lambda: Siglip2VisionConfig(intermediate_size=64, **SIDE)),
    "registers": (None, lambda: Dinov2WithRegistersConfig(mlp_ratio=2, **SIDE)),
}
NAMED = {
    "lfm2": "its decoder Lfm2Model has no layer with attention",
    "minimax": "its decoder MiniMaxModel has layers of the type linear_attention",
    "deepseek_v2": "its decoder DeepseekV2Model rotates queries and keys in another way",
    "deit": "its vision tower DeiTModel has a distillation token among its patches",
    "vitmae": "its vision tower ViTMAEModel has an order of patches that is drawn at random",
    "siglip2": "its vision tower Siglip2VisionModel has further inputs beside the picture",
    "pixtral": "its vision_feature_select_strategy is 'default', which leaves out a patch",
    "registers": "its vision tower Dinov2WithRegistersModel has 4 register tokens",
}


def build(text=None, tower=None, size=None):
    """A LLaVA of these two configs, with strategy "default"."""
    torch.manual_seed(0)
    clip = tower is None or not isinstance(tower, SiglipVisionConfig)
    config = LlavaConfig(
        vision_config=tower or tiny.clip(),
        text_config=text or LlamaConfig(**sizes()),
        image_token_id=4,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = LlavaProcessor(
        CLIPImageProcessor(
            size=size or {"shortest_edge": 48}, crop_size={"height": 48, "width": 48}
        ),
        tiny.byte_tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=int(clip),
        image_token="<image>",
    )
    model = tiny.shake(LlavaForConditionalGeneration(config))
    model.generation_config.eos_token_id = None
    return model, processor


@pytest.fixture(scope="module", params=sorted(DECODERS))
def decoder(request):
    return tokviz.load(build(DECODERS[request.param]()))


@pytest.fixture(scope="module", params=sorted(TOWERS))
def tower(request):
    return tokviz.load(build(tower=TOWERS[request.param]()))


@pytest.mark.parametrize("place", ["nowhere", "before", "language_model"])
def test_with_another_decoder_keeping_every_token_equals_generate(decoder, cat, place):
    prepared = decoder.prepare([cat], "what is this?")
    check_generate(decoder, prepared, plan_of(place, prepared.asked.layout.n))


def test_with_another_decoder_removing_equals_masking(decoder, cat):
    prepared = decoder.prepare([cat], "what is this?")
    kept = np.arange(0, prepared.asked.layout.n, 2)
    plan = tokviz.plans.chosen(tokviz.matrix.Reduction.select(kept, prepared.asked.layout.n))
    logits, _ = run_plan(decoder, prepared, plan)
    assert torch.allclose(logits[0], masked(decoder, prepared, kept), atol=2e-4)


@pytest.mark.parametrize("repack", ["keep", pytest.param("repack", marks=pytest.mark.weekly)])
def test_every_method_inside_another_decoder_runs_or_says_why_not(decoder, cat, repack):
    prepared = decoder.prepare([cat], "what is this?")
    inside = [n for n, entry in METHODS.items() if entry.place in ("language_model", "cache")]
    stays = {n: "keep" for n in inside if METHODS[n].place == "cache"}
    plans = [tokviz.plan(n, keep=12, positions=stays.get(n, repack)) for n in inside]
    *_, lanes = decoder.in_turn([cat], "what is this?", plans, 2)
    for name, lane in zip(inside, lanes, strict=True):
        assert lane.error or lane.trace.reduction.m <= 36, name  # exits leave none at the end
    assert prepared.asked.layout.n == 36
    assert sum(not lane.error for lane in lanes) >= len(lanes) - 6


@pytest.mark.parametrize("config", [LlamaConfig, Olmo3Config, Gemma3TextConfig])
def test_queries_and_keys_before_the_rotation_are_those_of_the_layer(config, cat):
    """OLMo norms all heads together, Gemma 3 each head, Llama none."""
    named = WIDE | {"query_pre_attn_scalar": 12} if config is Gemma3TextConfig else {}
    vlm = tokviz.load(build(config(**sizes(**named))))
    seen, calls, attend = {}, [], attention_of(vlm.family.decoder(vlm.model).layers[1])
    look = attend.register_forward_pre_hook(
        lambda module, args, kwargs: seen.update(kwargs, args=args), with_kwargs=True
    )
    with vlm.guarded(), observed(calls.append):
        vlm.model(**vlm.prepare([cat], "what?").inputs)
    look.remove()
    (call,) = [call for call in calls if call.module is attend]
    states = (seen["args"] or (seen["hidden_states"],))[0][0]
    with torch.inference_mode():
        query, key = (one[None] for one in queries_keys(attend, states))
        turned = apply_rotary_pos_emb(query, key, *seen["position_embeddings"])
    torch.testing.assert_close(turned, (call.query, call.key))


@pytest.mark.parametrize("place", ["nowhere", "before", "language_model"])
def test_a_hybrid_decoder_keeps_every_token_as_generate_does(cat, place):
    """Qwen3-Next's states are read as Qwen3.5's are, whose removal test_hybrid.py proves."""
    vlm = tokviz.load(build(Qwen3NextConfig(**sizes(**EXPERTS), **HYBRID)))
    prepared = vlm.prepare([cat], "what is this?")
    check_generate(vlm, prepared, plan_of(place, prepared.asked.layout.n))
    trace = vlm.answer([cat], "what is this?", tokviz.plan("fastv", keep=12), 2)
    assert np.isnan(trace["attention"]).all((0, 2)).tolist() == [True, False, True, False]


def test_a_cache_without_keys_of_each_head_is_left_whole_with_a_sentence(cat):
    """DeepSeek-V3 stores one narrow state per token, of which it makes keys and values."""
    vlm = tokviz.load(build(DeepseekV3Config(**sizes(**LATENT))))
    prepared = vlm.prepare([cat], "what?")
    check_generate(vlm, prepared, plan_of("language_model", prepared.asked.layout.n))
    for name, said in (
        ("snapkv", "cannot be shortened"),
        ("pact", "one matrix for queries and keys"),
    ):
        with pytest.raises(TokvizError, match=said):
            vlm.answer([cat], "what?", tokviz.plan(name, keep=12), 1)


def test_a_tower_whose_attention_needs_more_than_states_is_not_reduced_inside(cat):
    vlm = tokviz.load(build(tower=MLCDVisionConfig(intermediate_size=64, **SIDE)))
    with pytest.raises(TokvizError, match="made of MLCDEncoderLayer, inside which no method can"):
        vlm.answer([cat], "what?", tokviz.plan("tome", keep=18), 1)


@pytest.mark.parametrize("place", ["nowhere", "before"])
def test_with_another_tower_keeping_every_token_equals_generate(tower, cat, place):
    prepared = tower.prepare([cat, cat], "what is this?")
    check_generate(tower, prepared, plan_of(place, prepared.asked.layout.n))


def test_with_another_tower_every_box_is_where_its_token_looks(tower):
    prove(tower, [Image.new("RGB", (131, 97), GREY)], 0)


@pytest.mark.weekly
def test_every_method_behind_another_tower_runs_or_says_why_not(tower, cat, tmp_path):
    before = [name for name, entry in METHODS.items() if entry.place != "language_model"]
    plans = [tokviz.plan(name, keep=12) for name in before]
    *_, lanes = tower.in_turn([cat], "what is this?", plans, 1)
    for name, lane in zip(before, lanes, strict=True):
        assert lane.error or lane.trace.reduction.m >= 1, name
    trace = tower.answer([cat], "what is this?", max_new_tokens=1)
    trace.save(tmp_path / "run.safetensors")
    assert tokviz.open_trace(tmp_path / "run.safetensors").n == trace.n


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_part_that_cannot_be_looked_into_is_named_when_the_model_is_loaded(name):
    text, tower = (config and config() for config in REFUSED[name])
    with pytest.raises(ModelError, match=f"this model cannot be used: {NAMED[name]}"):
        tokviz.load(build(text, tower))


def test_anyres_around_a_tower_whose_first_patch_would_be_dropped_is_refused():
    _, processor = tiny.llava_next()
    model, _ = tiny.granite()
    model.config.vision_feature_select_strategy = "default"
    with pytest.raises(ModelError, match="'default' does not fit its vision tower Siglip"):
        tokviz.load((model, processor))


def compiled_whole(model):
    return torch.compile(model, backend="eager")


def compiled_inside(model):
    model.model.language_model = torch.compile(model.model.language_model, backend="eager")
    return model


def compiled_in_place(model):
    model.model.vision_tower.compile(backend="eager")
    return model


def compiled_forward(model):
    model.forward = torch.compile(model.forward, backend="eager")
    return model


def test_a_compiled_model_is_used_as_it_was_before(cat):
    model, processor = build()
    plain = tokviz.load((model, processor)).answer([cat], "what?", max_new_tokens=3)
    wrapped = tokviz.load((compiled_whole(model), processor))
    assert wrapped.answer([cat], "what?", max_new_tokens=3).answer == plain.answer


@pytest.mark.parametrize("compile_", [compiled_inside, compiled_in_place, compiled_forward])
def test_a_part_that_is_compiled_is_said(compile_):
    model, processor = build()
    with pytest.raises(ModelError, match="was compiled with torch.compile"):
        tokviz.load((compile_(model), processor))


def test_an_error_of_the_models_own_code_is_one_sentence_and_its_traceback_is_logged(cat, caplog):
    model, processor = build()
    vlm = tokviz.load((model, processor))
    processor.image_processor.crop_size = {"height": 40, "width": 40}
    with pytest.raises(ModelError, match="transformers could not run this model .*40.40"):
        vlm.answer([cat], "what?", max_new_tokens=1)
    assert any(record.exc_info for record in caplog.records)


def test_an_error_of_ours_inside_the_models_code_keeps_its_name(cat, monkeypatch):
    vlm = tokviz.load(build())

    def fails(self, call):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("tokviz.models.decoder.lane.Lane._read_call", fails)
    with pytest.raises(ZeroDivisionError):
        vlm.answer([cat], "what?", max_new_tokens=1)
    assert not issubclass(ZeroDivisionError, TokvizError)
    assert transformers.__version__
