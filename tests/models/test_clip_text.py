"""CLIP's text side beside a model: the embeddings are those of transformers' own classes."""

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
)

import tokviz
from tests.models.tiny import byte_tokenizer, clip, shake
from tokviz.capture import Capture
from tokviz.errors import ModelError
from tokviz.models.clip_text import named_clip
from tokviz.reduction import reduce

QUESTION = "what is this? " * 4
"56 letters; with the tiny model's limit of 20 tokens that is three stretches."


def save_clip(folder, **vision):
    torch.manual_seed(1)
    text = CLIPTextConfig(
        vocab_size=300, hidden_size=24, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=20, projection_dim=16,
        bos_token_id=1, eos_token_id=2, pad_token_id=3,
    )  # fmt: skip
    config = CLIPConfig(
        text_config=text, vision_config=clip(projection_dim=16, **vision), projection_dim=16
    )
    model = shake(CLIPModel(config))
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def beside(folder, clip_folder):
    return tokviz.load(folder, clip=clip_folder)


def official(vlm, folder, prepared):
    """CDPruner's embeddings, by the steps of its code and the classes that it uses."""
    tower = CLIPVisionModelWithProjection.from_pretrained(folder)
    text = CLIPTextModelWithProjection.from_pretrained(folder)
    ids = vlm.clip.text.tokenizer(text=[QUESTION], return_tensors="pt")
    count = -(-ids.input_ids.shape[1] // 20)
    pad = 20 * count - ids.input_ids.shape[1]
    given = {
        k: torch.cat([v, v.new_zeros(1, pad)], 1).reshape(-1, 20)
        for k, v in ids.items()
        if k in ("input_ids", "attention_mask")
    }
    states = vlm.model.model.vision_tower(
        prepared.inputs["pixel_values"], output_hidden_states=True
    ).hidden_states[-2][:, 1:]
    images = tower.visual_projection(tower.vision_model.post_layernorm(states))
    return images[0].detach(), text(**given).text_embeds.detach()


def test_cdpruner_decides_by_relevance_in_clips_joint_space(beside, clip_folder, cat):
    trace = beside.answer(cat, QUESTION, tokviz.plan("cdpruner", keep=9), 1)
    assert trace.model["status"][0]["word"] == "run as published"
    prepared = beside.prepare(cat, QUESTION)
    images, texts = official(beside, clip_folder, prepared)
    assert len(texts) == 3
    clip_text = beside.clip.text
    torch.testing.assert_close(clip_text.text(QUESTION), texts, atol=1e-5, rtol=1e-4)
    vision = beside.encode(prepared, [None], Capture.nothing())
    torch.testing.assert_close(clip_text.patches(vision.pre), images, atol=1e-4, rtol=1e-4)
    signals = {"feats_post": vision.features.tokens, "text_clip": texts, "img_clip": images}
    assert trace.reduction.kept.tolist() == reduce("cdpruner", signals, 9).kept.tolist()


@pytest.mark.parametrize("name", ["hiprune_plus", "recoverable"])
def test_the_others_read_it_too(beside, vlm, cat, name):
    trace = beside.answer(cat, QUESTION, tokviz.plan(name, keep=9), 1)
    without = vlm.answer(cat, QUESTION, tokviz.plan(name, keep=9), 1)
    assert trace.model["status"][0]["word"] != "stand-in"
    assert without.model["status"][0]["word"] == "stand-in"
    assert any("the checkpoint names no CLIP model; give one" in n for n in without.notes)
    assert not any("CLIP" in note for note in trace.notes)


def test_a_clip_of_another_tower_is_refused_in_a_sentence(folder, tmp_path):
    other = save_clip(tmp_path / "other", patch_size=16)
    with pytest.raises(ModelError, match="its tower has patch_size 16, the model's has 8"):
        tokviz.load(folder, clip=other)
    with pytest.raises(ModelError, match="cannot be used: "):
        tokviz.load(folder, clip=tmp_path / "nowhere")


def test_a_tower_that_is_not_clips_has_no_text_side(checkpoint, clip_folder):
    with pytest.raises(ModelError, match="the model's vision tower is not CLIP's"):
        tokviz.load(checkpoint("qwen2_vl"), clip=clip_folder)


def test_the_checkpoint_that_a_config_names_is_found(vlm, clip_folder, cat):
    config = vlm.model.config
    assert named_clip(config) == ""
    config.mm_vision_tower = str(clip_folder)
    try:
        assert named_clip(config) == str(clip_folder)
        again = tokviz.load((vlm.model, vlm.processor))
        trace = again.answer(cat, QUESTION, tokviz.plan("cdpruner", keep=9), 1)
        assert trace.model["status"][0]["word"] == "run as published"
        config.mm_vision_tower = "nobody/no-such-clip"
        again = tokviz.load((vlm.model, vlm.processor))
        trace = again.answer(cat, QUESTION, tokviz.plan("cdpruner", keep=9), 1)
        assert trace.model["status"][0]["word"] == "stand-in"
        assert any("'nobody/no-such-clip' cannot be used" in note for note in trace.notes)
    finally:
        del config.mm_vision_tower
