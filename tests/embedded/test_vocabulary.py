"""The tokenizer knows every word of the world, and gives answers back as they were written."""

import random

import pytest

from embedded import easyvqa
from embedded.labels import scene_example
from embedded.packing import LENGTH, pack, scene_turns
from embedded.questions import KINDS, questions, templates
from embedded.things import NAMES, plural
from embedded.vocabulary import build_tokenizer
from embedded.world import scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_no_question_or_answer_needs_an_unknown_word(tokenizer):
    for seed in range(100):
        for asked in questions(scene(seed), random.Random(seed)):
            ids = tokenizer(f"USER: <image> {asked.text} {asked.answer} ASSISTANT:").input_ids
            assert tokenizer.unk_token_id not in ids


def test_every_wording_and_name_is_known(tokenizer):
    texts = [t.format(x="dog", xs="dogs", p="top left") for t in templates()]
    for text in (*texts, *NAMES, *map(plural, NAMES)):
        assert tokenizer.unk_token not in tokenizer.tokenize(text), text


def test_easyvqa_test_questions_are_known(tokenizer):
    turns = {turn for picture in easyvqa.pictures("test") for turn in picture.questions}
    assert all(tokenizer.unk_token not in tokenizer.tokenize(" ".join(t)) for t in turns)


def test_case_and_missing_spaces_do_not_matter(tokenizer):
    assert tokenizer("Is there a Dog?").input_ids == tokenizer("is there a dog ?").input_ids
    assert tokenizer.tokenize("a zebra") == ["a", "<unk>"]


def test_answers_come_back_as_written(tokenizer):
    for seed in range(50):
        for asked in questions(scene(seed), random.Random(seed)):
            ids = tokenizer(asked.answer).input_ids
            assert tokenizer.decode(ids, skip_special_tokens=True) == asked.answer


def test_a_packed_turn_is_the_prompt_that_generation_sees(tokenizer):
    view = scene(1)
    rng = random.Random(0)
    weights = dict.fromkeys(KINDS, 1.0)
    row, kinds = pack(scene_turns(view, scene_example(view), weights, rng), tokenizer, rng)
    assert len(kinds) > 5
    assert len(row["ids"]) == LENGTH
    text = tokenizer.decode(row["ids"][row["turn"] == 1])
    assert " assistant : " in text
    assert text.endswith("</s>")
    assert row["positions"][row["turn"] == 2][0] == row["positions"][row["turn"] == 1][0]
