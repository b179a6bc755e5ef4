"""With tiles, soft caps, windows or two-way prompts, what is captured is what eager gives."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

import tokviz
from tests.models.decoder.test_windows import continued
from tests.models.tiny_tiles import TILES
from tokviz.capture import Capture
from tokviz.errors import InputError, MissingSignal
from tokviz.reduction import METHODS

PROMPT = "what is this?"


@pytest.fixture(scope="module", params=["gemma3", "idefics3", "paligemma", "paligemma2"])
def pair(request, checkpoint):
    """A model, and a second copy of it with eager attention."""
    folder = checkpoint(request.param)
    eager = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager")
    return tokviz.load(folder), eager.eval()


@pytest.fixture(scope="module")
def seen(pair, cat):
    """Trace, prepared prompt, and one eager pass over prompt and answer."""
    vlm, eager = pair
    images = [cat, cat.resize((90, 200))]
    prepared, trace = (
        vlm.prepare(images, PROMPT),
        vlm.answer(images, PROMPT, None, 5, Capture(tower_layers=True)),
    )
    inputs, positions = continued(vlm, prepared, trace["answer_ids"].tolist())
    with torch.inference_mode():
        output = eager(
            **inputs,
            attention_mask=torch.ones_like(inputs["input_ids"]),
            position_ids=positions,
            output_attentions=True,
        )
    return trace, prepared, output


def test_attention_of_the_answer_equals_eager_attentions(seen):
    trace, _, output = seen
    first = len(trace.prompt_tokens) - 1
    maps = torch.stack(output.attentions)[:, 0]
    rows = maps[:, :, first : first + trace.t].permute(2, 0, 1, 3).numpy()
    heads = rows[..., trace.layout.position]
    assert np.abs(trace["attention_heads"] - heads).max() < 1e-3  # stored in half precision
    assert heads.max() > 0.05


def test_names_of_tiles_and_marks_of_images_are_a_block_of_their_own(seen):
    """What the processor writes around visual tokens is no text after the image."""
    trace, _, output = seen
    tokens = np.array(trace.prompt_tokens)
    marks = np.isin(tokens, [*TILES, "<start_of_image>", "<end_of_image>"])
    visual = trace.layout.position
    marks[visual[0] : visual[-1]] |= tokens[visual[0] : visual[-1]] != "<image>"
    assert np.flatnonzero(marks).tolist() == list(trace.arrays.get("mark_rows", []))
    assert marks.any() == (set(tokens) & {"<global-img>", "<end_of_image>"} != set())
    s = len(tokens)
    block = np.full(s, 2)
    block[: visual[0]], block[visual], block[marks] = 0, 1, 4
    maps = torch.stack(output.attentions)[:, 0, :, s - 1 : s - 1 + trace.t].permute(2, 0, 1, 3)
    assert trace["mass"].shape[-1] == (5 if marks.any() else 4)
    for number in range(trace["mass"].shape[-1]):
        there = block == number if number != 3 else np.zeros(s, bool)
        keys = np.concatenate([there, np.full(maps.shape[-1] - s, number == 3)])
        expected = maps[..., torch.as_tensor(keys)].sum(-1).numpy()
        assert np.abs(trace["mass"][..., number] - expected).max() < 2e-3, number


def test_readout_and_probabilities_are_those_of_the_capped_logits(seen):
    trace, _, output = seen
    words = trace["readout_ids"].astype(int)
    logits = output.logits[0, : len(trace["readout"])].numpy()
    assert np.abs(trace["readout"] - logits[:, words]).max() < 1e-3
    chosen = output.logits[0, len(trace.prompt_tokens) - 1 :].softmax(-1)
    probability = chosen[torch.arange(trace.t), trace["answer_ids"].astype(int)]
    assert np.allclose(trace["answer_prob"], probability.numpy(), atol=1e-4)


def test_tower_maps_equal_eager_ones(pair, seen):
    """Every token has the sum of what its patches receive, tile by tile."""
    (vlm, eager), (trace, prepared, _) = pair, seen
    run = eager.model.get_image_features
    names = ("pixel_values", "pixel_attention_mask")
    pixels = {name: prepared.inputs[name] for name in names if name in prepared.inputs}
    with torch.inference_mode():
        maps = run(**pixels, output_attentions=True, return_dict=True).attentions
    sources = vlm.family.sources(vlm.model, prepared.inputs, prepared.asked.layout)
    received = [layer.mean((1, 2)).flatten().numpy()[sources.index].sum(1) for layer in maps]
    assert np.abs(trace["received_attention"] - np.stack(received)).max() < 1e-3
    assert "cls_attention" not in trace


def test_a_soft_cap_gives_what_the_librarys_own_attention_gives_to_the_bit(checkpoint, cat):
    folder = checkpoint("paligemma2")
    vlm, own = tokviz.load(folder), AutoModelForImageTextToText.from_pretrained(folder).eval()
    assert own.config.text_config._attn_implementation == "eager"
    inputs = vlm.prepare(cat, PROMPT).inputs
    ours, theirs = (
        one.generate(**inputs, max_new_tokens=6, do_sample=False, output_logits=True,
                     return_dict_in_generate=True).logits
        for one in (vlm.model, own)
    )  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.weekly
@pytest.mark.parametrize(
    ("name", "few"),
    [
        ("gemma3", {"fastvggt"}),
        pytest.param("idefics3", {"fastvggt", "tomesd"}, marks=pytest.mark.weekly),
    ],
)
@pytest.mark.matrix
def test_every_method_removes_for_real_or_says_why_it_cannot(checkpoint, cat, name, few):
    """`few`: methods for which there are too few tokens in a tile, or too few frames."""
    vlm = tokviz.load(checkpoint(name))
    full = vlm.answer(cat, PROMPT, None, 1, Capture.nothing())
    said = {}
    for method in METHODS:
        try:
            trace = vlm.answer(cat, PROMPT, tokviz.plan(method, keep=16), 1, Capture.nothing())
        except (MissingSignal, InputError) as error:
            said[method] = str(error)
            continue
        assert trace.stages, method
        fewer = trace.reduction.m < trace.n and not METHODS[method].unmerged_by
        # the last layer's sliding window (Gemma 3) is as full as before
        late = trace.stages[0].layer == len(full.kv_lengths) - 1
        if fewer and not late and all(stage.removes for stage in trace.stages):
            assert sum(trace.kv_lengths) < sum(full.kv_lengths), method
    frames = {name for name in METHODS if METHODS[name].frames}
    assert set(said) - {"dc2"} == {
        "globalcom2", "hired", "downsample", "visiontrim", "ficoco_v", *few, *frames,
    }  # fmt: skip
    assert "has no [CLS] token" in said["hired"]
    assert "single frame" in said["fastvggt"] or len(few) > 1
    assert all("keep must be" in said[method] for method in few if len(few) > 1)
