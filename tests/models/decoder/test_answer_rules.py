"""Generation settings of a checkpoint: every lane takes the tokens that greedy generate() takes."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

import tokviz
from tests.models import tiny, tiny_tiles
from tokviz.capture import Capture
from tokviz.errors import ModelError
from tokviz.models.runs.measured import measure

pytestmark = pytest.mark.matrix

NEW = 8
PROMPT = "what is this?"
BUILDS = {
    "idefics3": tiny_tiles.idefics3,
    "qwen2_5_vl": tiny.qwen2_5_vl,
    "paligemma2": tiny_tiles.paligemma2,
}


def settings(first, third):
    """Setting -> value, for a model that writes these tokens first and third."""
    return {
        "repetition_penalty": 1.3,
        "encoder_repetition_penalty": 0.6,
        "no_repeat_ngram_size": 1,
        "encoder_no_repeat_ngram_size": 1,
        "bad_words_ids": [[first], [third, first]],
        "sequence_bias": [[[first], -30.0]],
        "suppress_tokens": [first],
        "begin_suppress_tokens": [first],
        "min_new_tokens": 6,
        "min_length": 10_000,
        "forced_eos_token_id": 7,
        "exponential_decay_length_penalty": (1, 3.0),
    }


NAMES = list(settings(0, 0))


@pytest.fixture(scope="module", params=sorted(BUILDS))
def plain(request):
    torch.manual_seed(0)
    model, processor = BUILDS[request.param]()
    tiny.shake(model)
    model.generation_config.eos_token_id = None
    return tokviz.load((model, processor))


@pytest.fixture
def vlm(plain):
    """The model, its generation settings put back afterwards."""
    before = plain.model.generation_config.to_dict()
    yield plain
    for name, value in before.items():
        setattr(plain.model.generation_config, name, value)
    for name in settings(0, 0):
        setattr(plain.model.generation_config, name, before.get(name))


def generated(vlm, prepared):
    inputs = {k: v for k, v in prepared.inputs.items() if k != "labels"}
    with vlm.guarded():
        out = vlm.model.generate(
            **inputs, max_new_tokens=NEW, do_sample=False, return_dict_in_generate=True,
            output_logits=True,
        )  # fmt: skip
    ids = out.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    return ids, torch.stack([step[0] for step in out.logits]).float().log_softmax(-1)


def set_one(vlm, prepared, name):
    ids, _ = generated(vlm, prepared)
    config = vlm.model.generation_config
    setattr(config, name, settings(ids[0], ids[2])[name])
    if name in ("min_new_tokens", "min_length", "exponential_decay_length_penalty"):
        config.eos_token_id = ids[2]


@pytest.mark.parametrize("name", NAMES)
def test_the_full_lane_equals_generate_bit_for_bit(vlm, cat, name):
    prepared = vlm.prepare(cat, PROMPT)
    set_one(vlm, prepared, name)
    ids, logs = generated(vlm, prepared)
    end = vlm.model.generation_config.eos_token_id
    trace = vlm.answer(cat, PROMPT, max_new_tokens=NEW)
    ours = trace["answer_ids"].tolist()
    assert ours == (ids[:-1] if ids[-1] == end else ids)
    if vlm.family.name != "paligemma":  # counts positions from another number than generate()
        own = [float(logs[i, token].exp()) for i, token in enumerate(ours)]
        assert trace["answer_prob"].tolist() == [np.float32(value) for value in own]
    assert any(name in note for note in trace.notes)


@pytest.mark.parametrize("name", ["no_repeat_ngram_size", "suppress_tokens"])
def test_reduced_batched_contrasted_and_measured_lanes_keep_the_rules(vlm, cat, name):
    prepared = vlm.prepare(cat, PROMPT)
    set_one(vlm, prepared, name)
    forbidden = vlm.model.generation_config.suppress_tokens or []
    plans = [
        None,
        tokviz.plan("random", keep=4),
        tokviz.plan("fastv", keep=4),
        tokviz.plan("random", keep=4, mitigation="vcd"),
    ]
    *_, views = vlm.stream(cat, PROMPT, plans, NEW, strict=True, together_after=1)
    prompt = prepared.asked.prompt_ids.tolist()
    for view, plan in zip(views, plans, strict=True):
        ids = view.trace["answer_ids"].tolist()
        assert not set(ids) & set(forbidden)
        if name == "no_repeat_ngram_size":
            assert len(set(ids)) == len(ids)
            assert not set(ids) & set(prompt)
        assert any(name in note for note in view.trace.notes)
        if plan is not None and plan.mitigation is None:
            shared = vlm.encode(prepared, [plan], Capture.nothing())
            assert list(measure(vlm, prepared, shared, plan, NEW).ids) == ids


def test_answers_after_real_removal_keep_the_rules(vlm, cat):
    """What leave-out and counterfactual search write is the answer of the same settings."""
    prepared = vlm.prepare(cat, PROMPT)
    set_one(vlm, prepared, "no_repeat_ngram_size")
    trace = vlm.answer(cat, PROMPT, max_new_tokens=NEW)
    runs = vlm.further_runs(cat, PROMPT, trace, NEW)
    every = np.arange(trace.n)
    assert runs.answers([every, every])[1] == trace.answer


def test_a_setting_that_no_lane_can_have_is_named_in_every_run(vlm, cat):
    vlm.model.generation_config.num_beams = 4
    vlm.model.generation_config.guidance_scale = 1.5
    trace = vlm.answer(cat, PROMPT, tokviz.plan("random", keep=4), 1)
    assert any("num_beams = 4" in n and "guidance_scale = 1.5" in n for n in trace.notes)
    vlm.model.generation_config.guidance_scale = None


def test_settings_that_transformers_cannot_use_are_an_error_to_read(vlm, cat):
    vlm.model.generation_config.suppress_tokens = None
    vlm.model.generation_config.bad_words_ids = [["a"]]
    with pytest.raises(ModelError, match="generation settings"):
        vlm.answer(cat, PROMPT, max_new_tokens=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("forced_eos_token_id", 10**9), ("suppress_tokens", [None]), ("repetition_penalty", -1),
     ("eos_token_id", "x"), ("eos_token_id", [1, 1.5]), ("eos_token_id", True)],
)  # fmt: skip
def test_a_setting_of_a_wrong_type_is_named_and_not_the_picture(vlm, cat, name, value):
    """eos_token_id = "x" was a ValueError; a forced token too large sent for another picture."""
    setattr(vlm.model.generation_config, name, value)
    with pytest.raises(ModelError, match="generation_config"):
        vlm.answer(cat, PROMPT, max_new_tokens=1)


def test_an_end_token_beyond_the_vocabulary_is_told(vlm, cat):
    vlm.model.generation_config.eos_token_id = [-1, 10**9]
    notes = vlm.answer(cat, PROMPT, max_new_tokens=1).notes
    assert any("No answer of this model ends by itself" in note for note in notes)


@pytest.mark.parametrize("where", ["generation_config", "config"])
def test_an_answer_ends_at_any_of_several_end_tokens_of_a_folder(checkpoint, cat, tmp_path, where):
    """generation_config.json comes first; without it, what config.json says of the text decoder."""
    ids = tokviz.load(checkpoint("llava")).answer(cat, PROMPT, max_new_tokens=4)["answer_ids"]
    end, folder = int(ids[2]), tmp_path / "model"
    shutil.copytree(checkpoint("llava"), folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if where == "generation_config":
        GenerationConfig(eos_token_id=[290, end]).save_pretrained(folder)
    else:
        config = json.loads((folder / "config.json").read_text())
        config["eos_token_id"] = config["text_config"]["eos_token_id"] = [290, end]
        (folder / "config.json").write_text(json.dumps(config))
    vlm = tokviz.load(folder)
    trace, inputs = vlm.answer(cat, PROMPT, max_new_tokens=4), vlm.prepare(cat, PROMPT).inputs
    with vlm.guarded():
        theirs = vlm.model.generate(**inputs, max_new_tokens=4, do_sample=False)
    theirs = theirs[0, inputs["input_ids"].shape[1] :].tolist()
    assert trace.finish == "end"
    assert [*trace["answer_ids"].tolist(), end] == theirs
