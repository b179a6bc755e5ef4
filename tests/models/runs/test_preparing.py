"""What the tower records: every layer where the page looks, else those that a method reads."""

import pytest
from tokenizers import AddedToken

import tokviz
from tokviz.capture import Capture
from tokviz.models.answer_text import special_tokens
from tokviz.models.runs.preparing import asked_layers
from tokviz.models.tower.record_signals import TOWER_SIGNALS
from tokviz.plans import Step
from tokviz.reduction import METHODS

PROMPT = "what is this?"
READERS = sorted(
    name
    for name, entry in METHODS.items()
    if entry.place == "before"
    and {*entry.needs, *entry.optional, *entry.fallbacks.values()} & set(TOWER_SIGNALS)
)


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


def test_every_special_token_of_a_tokenizer_is_refused_in_a_prompt(checkpoint, cat):
    """Pixtral's names none but begin and end; [IMG] is one that it was given beside them."""
    vlm = tokviz.load(checkpoint("llava"))
    vlm.tokenizer.add_tokens(
        [AddedToken("[IMG]", special=True), AddedToken("[WORD]")], special_tokens=False
    )
    assert "[IMG]" not in vlm.tokenizer.all_special_tokens
    with pytest.raises(tokviz.InputError, match=r"\[IMG\]"):
        vlm.prepare(cat, "what is [IMG]?")
    assert "[WORD]" not in special_tokens(vlm.tokenizer).values()
    assert vlm.prepare(cat, "what is [WORD]?").asked.layout.n == 36


def test_a_layer_that_is_not_there_is_an_error_and_not_another_layer(vlm, cat):
    plan = tokviz.plans.Plan((Step("fastervlm", 9, {"layer": 40}),))
    with pytest.raises(tokviz.InputError, match="layer must be -4 to 3 here.*got 40"):
        vlm.answer(cat, PROMPT, plan, 1, Capture.nothing())
