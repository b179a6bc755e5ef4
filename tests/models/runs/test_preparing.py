"""What the tower records: every layer where the page looks, else those that a method reads."""

import numpy as np
import pytest

import tokviz
from tokviz.capture import Capture
from tokviz.models.runs.preparing import asked_layers, own_words
from tokviz.models.tower.watch import TOWER_SIGNALS
from tokviz.plans import Step
from tokviz.reduction import METHODS

PROMPT = "what is this?"
READERS = sorted(
    name
    for name, entry in METHODS.items()
    if entry.place == "before"
    and {*entry.needs, *entry.optional, *entry.fallbacks.values()} & set(TOWER_SIGNALS)
)


@pytest.fixture
def words():
    """A tokenizer for which every letter is a token."""

    def tokenize(text, add_special_tokens):
        return {"input_ids": [ord(letter) for letter in text]}

    return tokenize


@pytest.mark.parametrize(
    ("prompt", "whole", "visual", "found"),
    [
        ("is it", "##User:is it A:", (0, 1), "is it"),
        ("a", "a:##a b", (2, 3), "a"),
        ("what", "##User:is it A:", (0, 1), "User:is it A:"),
        ("it", "it##it it", (2, 3), "it"),
    ],
    ids=["in a chat", "also before the image", "not there", "twice"],
)
def test_the_users_words_are_found_behind_the_image(words, prompt, whole, visual, found):
    ids = np.array([ord(letter) for letter in whole])
    rows = own_words(words, prompt, ids, np.array(visual))
    assert "".join(whole[row] for row in rows) == found
    assert int(rows[0]) == whole.index(found, visual[-1] + 1)


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
@pytest.mark.matrix
def test_a_method_decides_the_same_whether_or_not_other_layers_were_recorded(
    checkpoint, cat, family
):
    vlm = tokviz.load(checkpoint(family))
    compared = 0
    for name in READERS:
        plan = tokviz.plan(name, keep=12)
        try:
            full = vlm.answer(cat, PROMPT, plan, 1)
        except tokviz.InputError:
            continue  # needs tiles
        except tokviz.MissingSignal:
            continue  # needs [CLS]
        alone = vlm.answer(cat, PROMPT, plan, 1, Capture.nothing())
        assert (alone.reduction.matrix() == full.reduction.matrix()).all(), name
        compared += 1
    assert compared > 10


def test_received_attention_is_summed_in_the_layer_that_is_read_only(checkpoint, cat):
    """Over all patches of a large image, a layer's column sums cost more than the layer."""
    vlm = tokviz.load(checkpoint("qwen2_vl"))
    prepared = vlm.prepare(cat, PROMPT)
    shared = vlm.encode(prepared, [tokviz.plan("fastervlm", keep=9)], Capture.nothing())
    assert set(shared.layers["recv_attn"]) == {len(vlm.family.tower_layers(vlm.model)) - 2}
    asked = asked_layers(vlm, [tokviz.plan("mctf", keep=9)], Capture.nothing())
    assert asked == {}


def test_a_layer_that_is_not_there_is_an_error_and_not_another_layer(vlm, cat):
    plan = tokviz.plans.Plan((Step("fastervlm", 9, {"layer": 40}),))
    with pytest.raises(tokviz.MissingSignal, match="was not given for layer 40"):
        vlm.answer(cat, PROMPT, plan, 1, Capture.nothing())
