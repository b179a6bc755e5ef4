"""Mitigations on every family: M-RoPE, tiles, sliding windows and deepstack features included."""

import pytest
import torch

import tokviz
from tests.models.decoder.test_mitigating import differ, lane_logits
from tokviz.capture import Capture
from tokviz.mitigation import MITIGATIONS, AttentionEdit, Recipe, mitigation
from tokviz.models.families.family import Features
from tokviz.models.families.layer_kinds import attending_layers, layers_without_attention
from tokviz.plans import plan

pytestmark = pytest.mark.matrix

PROMPT = "what is this?"


@pytest.fixture
def same():
    """A mitigation that puts the softmax of all rows back, so that nothing may change."""

    @mitigation("same", title="Same", kinds=("attention",))
    def same() -> Recipe:
        """Change nothing."""
        change = AttentionEdit(lambda logits, place: logits.softmax(-1), "all", 0)
        return Recipe(change)

    yield
    MITIGATIONS.remove("same")


def test_edited_rows_are_the_models_own_in_every_family(model, cat, same):
    prepared = model.prepare(cat, PROMPT)
    plain, _ = lane_logits(model, prepared, None, new=3)
    ours, run = lane_logits(model, prepared, plan(mitigation="same"), new=3)
    assert differ(ours, plain) < 2e-3 * max(float(step.abs().max()) for step in plain)
    assert set(run.lane.editing.memory) == set(attending_layers(run.lane.decoder))


@pytest.mark.parametrize(
    "name", ["pai", "vcd", "damro", "cmai", "sid", "avisc", "memvr", "middle_heads", "cai"]
)
def test_mitigations_run_on_what_pruning_left_in_every_family(model, cat, name):
    n = model.prepare(cat, PROMPT).asked.layout.n
    options = {"top": 1} if name == "damro" else {}
    chosen = plan("uniform", keep=max(n // 2, 1)).mitigated(name, **options)
    if name == "damro" and not model.info["has_cls"]:
        with pytest.raises(tokviz.MissingSignal, match=r"needs a vision tower with a \[CLS\]"):
            model.answer(cat, PROMPT, chosen, 2)
        return
    if name == "sid" and layers_without_attention(model.family.decoder(model.model)):
        with pytest.raises(tokviz.MissingSignal, match="hides tokens from attention"):
            model.answer(cat, PROMPT, chosen, 2)
        return
    trace = model.answer(cat, PROMPT, chosen, 2, Capture(tower=False))
    assert trace.mitigation.name == name
    assert torch.isfinite(torch.as_tensor(trace["answer_prob"])).all()


def test_without_its_image_the_prompt_is_plain_text_in_every_family(model, cat):
    """In Ovis 2 the marks around an image stay what they are with one: visual words."""
    prepared = model.prepare(cat, PROMPT)
    _, run = lane_logits(model, prepared, plan(mitigation="m3id"), new=1)
    ids = prepared.inputs["input_ids"]
    alone = ids[ids != model.family.image_token_id(model.model)][None]
    mask, positions = torch.ones_like(alone), run.contrast.lane.positions
    with torch.inference_mode():
        nothing = Features(torch.zeros(0, model.info["hidden_size"]))
        read = model.model(
            input_ids=alone,
            attention_mask=mask,
            position_ids=positions,
            mm_encoder_outputs=model.family.shown(model.model, alone, nothing),
        )
    theirs = read.logits[0, -1]
    torch.testing.assert_close(run.contrast.lane.logits, theirs.float(), atol=1e-3, rtol=1e-3)
