"""PPE on M-RoPE models: a merged token's frequencies follow several of its members."""

import numpy as np
import pytest
import torch

import tokviz
from tokviz.models.decoder.member_positions import frequency_rows
from tokviz.reduction.ppe import position_hypotheses

PROMPT = "what is this?"


@pytest.mark.parametrize(("sections", "count"), [((16, 24, 24), 8), ((2, 1, 1), 8), ((4, 2, 2), 2)])
def test_frequencies_follow_the_official_rows(sections, count):
    """The official code: cat([m[i % len(m)] for i, m in enumerate(cos.split(sections))])."""
    rows = 3 * count
    uneven = any(section % count for section in sections)
    parts = [1] * sum(sections) if uneven else [s // count for s in sections for _ in range(count)]
    cos = torch.arange(rows)[:, None].expand(rows, sum(sections))
    theirs = torch.cat([m[i % rows] for i, m in enumerate(cos.split(parts, dim=-1))])
    assert frequency_rows(sections, count).tolist() == theirs.tolist()


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl"])
def test_the_rotation_of_each_merged_token_is_the_official_one(checkpoint, cat, name):
    vlm = tokviz.load(checkpoint(name))
    rotary = vlm.family.decoder(vlm.model).rotary_emb
    trace = vlm.answer(cat, PROMPT, tokviz.plan("ppe", keep=5), 1)
    assert trace.model["status"][0]["word"] == "run as published"
    done, prepared = trace.stages[0].reduction, vlm.prepare(cat, PROMPT)
    layout = prepared.asked.layout
    places = layout.position[position_hypotheses(done)].astype(np.int64)
    own = prepared.positions[1:, 0][:, places]  # [3, m, k]
    rows = own.permute(0, 2, 1).reshape(-1, done.m)  # [3 k, m], axis by axis
    cos = (rows[..., None].float() * rotary.inv_freq).cos()  # [3 k, m, d / 2]
    parts = enumerate(cos.split([1] * cos.shape[-1], -1))  # sections of 2, 1, 1 cannot be split
    official = torch.cat([part[i % len(rows)] for i, part in parts], -1)
    first = int(layout.position[0])
    ours = rotated(vlm, cat, tokviz.plan("ppe", keep=5))[0][first : first + done.m]
    torch.testing.assert_close(ours, torch.cat([official, official], -1))


def rotated(vlm, cat, plan):
    """The cos and sin that reach the first decoder layer, [rows, d] each."""
    found = []
    layer = vlm.family.decoder(vlm.model).layers[0]

    def see(module, args, kwargs):
        found.append([part[0] for part in kwargs["position_embeddings"]])

    handle = layer.register_forward_pre_hook(see, with_kwargs=True)
    vlm.answer(cat, PROMPT, plan, 1)
    handle.remove()
    return found[-1]  # the first answer of a model also searches for its sinks


def test_the_text_is_rotated_as_before(checkpoint, cat):
    vlm = tokviz.load(checkpoint("qwen2_vl"))
    layout = vlm.prepare(cat, PROMPT).asked.layout
    first = int(layout.position[0])
    with_members = rotated(vlm, cat, tokviz.plan("ppe", keep=5))
    kept = tokviz.plan("divprune", keep=5, positions="keep")
    without = rotated(vlm, cat, kept)
    for ours, theirs in zip(with_members, without, strict=True):
        torch.testing.assert_close(ours[:first], theirs[:first])
        torch.testing.assert_close(ours[first + 5 :], theirs[first + 5 :])
        assert not torch.allclose(ours[first : first + 5], theirs[first : first + 5])


@pytest.mark.parametrize("name", ["llava", "qwen3_vl"])
def test_without_sections_the_run_says_what_it_did(checkpoint, cat, name):
    trace = tokviz.load(checkpoint(name)).answer(cat, PROMPT, tokviz.plan("ppe", keep=5), 1)
    told = trace.model["status"][0]
    assert told["word"] == "decision as published, run differs"
    assert any("its centre's position" in reason for reason in told["why"])


def test_a_later_method_leaves_each_merged_token_its_own_members(checkpoint, cat):
    vlm = tokviz.load(checkpoint("qwen2_vl"))
    first = int(vlm.prepare(cat, PROMPT).asked.layout.position[0])
    merged = tokviz.plan("ppe", keep=8)
    both = merged.then(tokviz.plan("divprune", keep=5, positions="keep"))
    kept = vlm.answer(cat, PROMPT, both, 1).stages[1].reduction.position
    assert kept.tolist() != list(range(5))
    for ours, before in zip(rotated(vlm, cat, both), rotated(vlm, cat, merged), strict=True):
        torch.testing.assert_close(ours[first : first + 5], before[first + kept])
