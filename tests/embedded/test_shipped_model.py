"""The weights in assets/model: they load, they are small, and the card tells the truth."""

import json
import random

import pytest
import torch
from PIL import Image

from embedded.answering import Answerer
from embedded.budgets import RULES
from embedded.evaluate import auc, measure_scenes
from embedded.export import MODEL
from embedded.tables import BEGIN, END, render
from embedded.world import scene

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def model():
    return Answerer.load()


@pytest.fixture(scope="module")
def measured():
    return json.loads((MODEL / "accuracy.json").read_text())


def test_files_fit_a_git_repository():
    sizes = [path.stat().st_size for path in MODEL.rglob("*") if path.is_file()]
    assert max(sizes) < 10 * MEGABYTE
    assert sum(sizes) < 16 * MEGABYTE


def test_answers_through_processor_and_generate(model):
    """The way the lab asks: chat template, processor, generate; nothing of this package."""
    view = scene(3, "test")
    thing = view.things[0]
    content = [{"type": "image", "image": view.image},
               {"type": "text", "text": f"What is in the {thing.place}?"}]  # fmt: skip
    inputs = model.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    assert (inputs.input_ids == model.model.config.image_token_id).sum() == 144
    out = model.model.generate(**inputs)[:, inputs.input_ids.shape[1] :]
    said = model.processor.batch_decode(out, skip_special_tokens=True)[0]
    assert thing.name in said


@pytest.mark.slow
def test_accuracy_on_a_sample_agrees_with_the_table(model, measured):
    for kind, found in measure_scenes(model, 8).items():
        assert found["accuracy"] > measured["kinds"][kind]["accuracy"] - 0.3, kind


def test_the_card_shows_the_measurements(measured):
    card = (MODEL / "README.md").read_text()
    assert card.split(BEGIN)[1].split(END)[0].strip() == render(measured).strip()


@pytest.mark.slow
def test_recorded_hallucinations_happen(model):
    cases = json.loads((MODEL / "hallucinations.json").read_text())
    assert len(cases) >= 8
    for case in random.Random(0).sample(cases, 3):
        features = model.look([scene(case["seed"], case["split"]).image]).features
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
    views = [scene(seed, "test") for seed in range(2)]
    seen = model.look([view.image for view in views])
    texts = ["describe the image ."] * 2
    whole = model.answer(seen.features, texts)
    for rule in RULES.values():
        assert model.answer(seen.features, texts, rule(seen.features, seen.cls, 144)) == whole


@pytest.mark.parametrize("name", RULES)
def test_rules_keep_exactly_what_they_are_asked_to(name):
    features, cls = torch.randn(2, 144, 8), torch.rand(2, 144)
    keep = RULES[name](features, cls, 10)
    assert keep.shape == (2, 10)
    assert all(len(set(row.tolist())) == 10 and row.tolist() == sorted(row) for row in keep)


def test_auc_of_a_perfect_and_a_reversed_score():
    score, positive = torch.tensor([0.1, 0.2, 0.8, 0.9]), torch.tensor([False, False, True, True])
    assert auc(score, positive) == 1.0
    assert auc(-score, positive) == 0.0
