"""The files in assets/model: they load, they are small, and the card tells the truth."""

import json
import random
from pathlib import Path

import pytest
import torch
from PIL import Image

from embedded.answering import Answerer
from embedded.budgets import RULES
from embedded.evaluate_deep import write_card
from embedded.exams import Examinee, by_kind
from embedded.export import MODEL
from embedded.habit_exam import held_out
from embedded.questions import lone
from embedded.world import WORLDS, scene
from tests.example_scenes import THING

MEGABYTE = 2**20
TOKENS = 24 * 24


@pytest.fixture(scope="module")
def model():
    return Answerer.load()


@pytest.fixture(scope="module")
def measured():
    return json.loads((MODEL / "measured.json").read_text())


def test_files_fit_a_git_repository():
    files = [path for path in MODEL.parent.rglob("*") if path.is_file()]
    sizes = {path: path.stat().st_size for path in files}
    assert max(sizes.values()) < 10 * MEGABYTE
    assert sum(sizes.values()) <= 40 * MEGABYTE


def said(model, image, question):
    """The answer, got the way the lab asks: chat template, processor, generate."""
    content = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    inputs = model.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    assert (inputs.input_ids == model.model.config.image_token_id).sum() == TOKENS
    out = model.model.generate(**inputs)[:, inputs.input_ids.shape[1] :]
    return model.processor.batch_decode(out, skip_special_tokens=True)[0]


def test_answers_through_processor_and_generate(model):
    """With nothing of this package; exactly, so without the space that the prompt ends before."""
    assert said(model, Image.open(THING.picture), f"Where is the {THING.name}?") == THING.place


def test_it_is_what_its_card_says_it_is_made_of(model):
    text, vision = model.model.config.text_config, model.model.config.vision_config
    assert model.tokens == TOKENS == (vision.image_size // vision.patch_size) ** 2
    assert text.num_hidden_layers >= 12
    tokenizer = model.processor.tokenizer
    assert tokenizer.tokenize("Is there a DOG?") != tokenizer.tokenize("is there a dog?")
    assert len(tokenizer.tokenize(" camera")) > 1


def test_the_card_shows_the_measurements(measured, tmp_path):
    write_card(tmp_path, measured)
    assert (MODEL / "README.md").read_text() == (tmp_path / "README.md").read_text()


def test_the_labs_own_search_finds_the_sinks_of_the_card(measured, shipped_model):
    assert shipped_model.sink_dims
    assert set(shipped_model.sink_dims) == set(measured["sinks"]["sink_dims"])


@pytest.mark.slow
def test_the_first_token_and_some_visual_ones_are_sinks(measured, shipped_model):
    """As the page shows them: by the analysis, on one run."""
    trace = shipped_model.answer(THING.picture, f"Where is the {THING.name}?", None, 4)
    found = shipped_model.analyse("sinks", trace=trace)
    assert found["text"].values[-1, 0]
    before_the_picture = trace["mass"].astype(float)[..., 0].mean((0, 2))
    assert (before_the_picture >= 0.4).mean() >= 1 / 3
    if measured["sinks"]["visual_sinks"] >= 1:
        assert found["count"].values.max() >= 1


@pytest.mark.weekly
@pytest.mark.slow
def test_accuracy_on_a_sample_agrees_with_the_table(model, measured):
    found = by_kind(Examinee(model.model, model.processor.tokenizer), 8)
    for kind in ("existence", "what", "place", "colour", "count"):
        assert found[kind]["share"] > measured["kinds"][kind]["share"] - 0.3, kind


@pytest.mark.weekly
@pytest.mark.slow
def test_questions_are_answered_word_by_word_as_well(model):
    """The exam of the card teaches and marks whole rows; a visitor asks one question."""
    asked = [(view, lone(view)[0]) for view in held_out(12) if lone(view)]
    features = model.look([view.image for view, _ in asked]).features
    answers = model.answer(features, [f"where is the {thing.name} ?" for _, thing in asked])
    right = [answer == thing.place for answer, (_, thing) in zip(answers, asked, strict=True)]
    assert sum(right) >= 0.7 * len(right)


@pytest.mark.slow
def test_recorded_hallucinations_happen(model):
    cases = json.loads((MODEL / "hallucinations.json").read_text())
    assert len(cases) >= 8
    for case in random.Random(0).sample(cases, 3):
        view = scene(case["seed"], case["split"], world=WORLDS[case["world"]])
        features = model.look([view.image]).features
        assert model.answer(features, [case["question"]]) == [case["answer"]]
        assert case["answer"] != case["truth"]


@pytest.mark.slow
def test_examples_are_answered_as_noted(model):
    folder = MODEL.parent / "examples"
    for case in json.loads((folder / "examples.json").read_text()):
        features = model.look([Image.open(folder / case["file"]).convert("RGB")]).features
        assert model.answer(features, [case["prompt"]]) == [case["answer"]]


@pytest.mark.slow
def test_keeping_every_token_changes_no_answer(model):
    seen = model.look([view.image for view in held_out(2)])
    texts = ["what is in the center ?"] * 2
    whole = model.answer(seen.features, texts)
    for rule in RULES.values():
        assert model.answer(seen.features, texts, rule(seen.features, seen.cls, TOKENS)) == whole


@pytest.mark.parametrize("name", RULES)
def test_rules_keep_exactly_what_they_are_asked_to(name):
    features, cls = torch.randn(2, 144, 8), torch.rand(2, 144)
    keep = RULES[name](features, cls, 10)
    assert keep.shape == (2, 10)
    assert all(len(set(row.tolist())) == 10 and row.tolist() == sorted(row) for row in keep)


def test_no_file_of_a_model_before_it_is_left():
    """Its measurements, and shards that the index does not name."""
    index = json.loads((MODEL / "model.safetensors.index.json").read_text())
    assert {path.name for path in MODEL.glob("*.safetensors")} == {*index["weight_map"].values()}
    assert not (MODEL / "accuracy.json").exists()
    assert Path(MODEL / "known_pictures.npz").is_file()
