"""What a run says of how close it came to its publications: in trace, JSON, rows and file."""

import json
from dataclasses import replace

import pytest
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
)

import tokviz
from tests.models import tiny
from tokviz.errors import TraceError
from tokviz.reduction.run_status import AS_PUBLISHED, RUN_DIFFERS, STAND_IN
from tokviz.trace import export, open_trace
from tokviz.view.lanes import statuses


def words(trace):
    return {entry["name"]: entry["word"] for entry in trace.model["status"]}


@pytest.fixture(scope="module")
def ask(vlm, cat):
    def answer(*steps, **more):
        return vlm.answer(cat, "what is this?", tokviz.plan(*steps, **more), 2)

    return answer


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("fastervlm", AS_PUBLISHED),
        ("tome", AS_PUBLISHED),
        ("pyramiddrop", AS_PUBLISHED),
        ("fastv", RUN_DIFFERS),
        ("gemfilter", RUN_DIFFERS),
        ("cdpruner", STAND_IN),
        ("fopru", STAND_IN),
    ],
)
def test_the_word_follows_from_the_run(ask, name, word):
    trace = ask(name, keep=16)
    title = tokviz.METHODS[name].title
    assert words(trace) == {title: word}
    assert any(note.startswith(f"{title}: {word}") for note in trace.notes)


def test_a_count_of_its_own_is_told_from_one_that_the_budget_cut(ask):
    """PruMerge keeps the outliers of the [CLS] attention: few, or as many as the budget allows."""
    (own,) = ask("prumerge", keep="100%").model["status"]
    (cut,) = ask("prumerge", keep=1).model["status"]
    assert not any("was reached" in why for why in own["why"])
    assert "its budget of 1 was reached, published: the image decides how many stay" in cut["why"]


def test_baselines_and_untouched_runs_claim_nothing(ask, vlm, cat):
    assert ask("uniform", keep=16).model["status"] == []
    assert vlm.answer(cat, "what is this?", None, 2).model["status"] == []


def test_a_layer_published_for_another_depth_is_named(ask, vlm):
    layers = vlm.model.config.text_config.num_hidden_layers
    (found,) = ask("fastv", keep=16).model["status"]
    assert found["why"] == [f"it decides at layer 2 of {layers}, published: 2 of 32"]
    (found,) = ask(mitigation="pai").model["status"]
    assert f"it acts from layer 2 of {layers} on, published: of 32" in found["why"]


@pytest.mark.parametrize("name", ["memvr", "middle_heads", "sid"])
def test_layers_of_a_mitigation_on_another_depth_make_the_run_differ(ask, vlm, name):
    layers = vlm.model.config.text_config.num_hidden_layers
    (found,) = ask(mitigation=name).model["status"]
    assert found["word"] == RUN_DIFFERS
    assert found["why"] == [f"its layers are meant for 32, this model has {layers}"]


def test_a_mitigations_own_settings_and_the_methods_beside_it_are_told(ask):
    (found,) = ask(mitigation="damro").model["status"]
    assert found["word"] == AS_PUBLISHED
    (found,) = ask(mitigation="damro", alpha=1.5).model["status"]  # published for CHAIR
    assert found["word"] == AS_PUBLISHED
    (found,) = ask(mitigation="damro", alpha=3.0, top=4).model["status"]
    assert found["word"] == RUN_DIFFERS
    assert found["why"] == [
        "alpha = 3.0, published: 0.5 or 1.5 or 2.0",
        "top = 4, published: 10",
    ]
    found = ask("fastervlm", keep=16, mitigation="damro").model["status"][-1]
    assert found["why"] == ["it acted on what FasterVLM had left"]


def with_28_heads(name):
    """A tiny Qwen-VL whose language model has as many heads in a layer as the 7B model."""
    text = {"hidden_size": 224, "num_attention_heads": 28, "num_key_value_heads": 4}
    if name == "qwen2_vl":
        vision = {"embed_dim": 32, "hidden_size": 224, "mlp_ratio": 2}
        parts = (Qwen2VLForConditionalGeneration, Qwen2VLConfig, Qwen2VLProcessor)
    else:
        vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 224}
        vision |= {"window_size": 32, "fullatt_block_indexes": [2]}
        parts = (Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig, Qwen2_5_VLProcessor)
    return tokviz.load(tiny.qwen(*parts, text, vision, None))


@pytest.mark.parametrize(
    ("name", "word"), [("qwen2_5_vl", AS_PUBLISHED), ("qwen2_vl", RUN_DIFFERS)]
)
def test_hawk_is_run_as_published_on_the_model_its_head_weights_are_for(cat, name, word):
    """Its clause was fixed: "on other models than Qwen2.5-VL-7B", on that model too."""
    plan = tokviz.plan("hawk", keep=4)
    assert words(with_28_heads(name).answer(cat, "what is this?", plan, 1)) == {"HAWK": word}


def test_hawk_on_another_number_of_heads_says_so(ask):
    (found,) = ask("hawk", keep=16).model["status"]
    assert found["word"] == RUN_DIFFERS
    assert "this model is llava with " in found["why"][0]


def test_position_ids_and_a_mitigation_are_told(ask):
    trace = ask("fastervlm", keep=16, positions="keep", mitigation="m3id")
    assert words(trace) == {"FasterVLM": RUN_DIFFERS, "M3ID": STAND_IN}


def test_it_is_in_the_file_the_json_and_the_page(ask):
    trace = ask("cdpruner", keep=16)
    again = open_trace(trace.to_bytes())
    assert again.model["status"] == trace.model["status"]
    assert json.loads(json.dumps(export.answer_record(again)))["status"] == trace.model["status"]
    assert statuses(again)[0].startswith("CDPruner: stand-in: text_llm was read in place of")


@pytest.mark.parametrize(
    "status", ["text", [3], [{"name": "a"}], [{"name": "a", "word": 3, "why": []}],
               [{"name": "a", "word": "b", "why": "c"}], [{"name": "a", "word": "b", "why": [1]}]]
)  # fmt: skip
def test_a_hostile_status_is_refused(ask, status):
    trace = ask("uniform", keep=16)
    with pytest.raises(TraceError):
        open_trace(replace(trace, model={**trace.model, "status": status}).to_bytes())
