"""On every family, what is captured equals eager attention, in the tower and in the decoder."""

import sys

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.models.test_promises import pictures
from tokviz.capture import Capture
from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall
from tokviz.models.families.layer_kinds import attending_layers, by_kind, layers_without_attention
from tokviz.models.tower.vision import encode

PROMPT = "what is this?"


@pytest.fixture
def eager(family, checkpoint, monkeypatch):
    """A second copy of the model that writes down its maps."""
    return writing_down(checkpoint(family), monkeypatch)


def writing_down(folder, monkeypatch):
    """A copy of a model whose eager attention writes down its maps, module by module.

    Some towers do not return their maps (they return the attention's output in that place).
    """
    copy = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager")
    seen = {}
    for place in {type(module).__module__ for module in copy.modules()}:
        module = sys.modules[place]
        plain = getattr(module, "eager_attention_forward", None)
        if plain is None:
            continue

        def recording(own, *args, plain=plain, **kwargs):
            output, maps = plain(own, *args, **kwargs)
            seen.setdefault(id(own), []).append(maps.detach())
            return output, maps

        monkeypatch.setattr(module, "eager_attention_forward", recording)
    return copy, seen


def maps_of(seen, layer):
    """The maps that one layer's attention wrote down, in order."""
    return next(seen[id(module)] for module in layer.modules() if id(module) in seen)


def whole_map(maps):
    """One map [b, h, patches, patches] of what a layer attended to, image by image or by window."""
    if len(maps) == 1:
        return maps[0]
    heads = zip(*(one[0] for one in maps), strict=True)
    return torch.stack([torch.block_diag(*own) for own in heads])[None]


def test_tower_signals_equal_eager_maps(model, cat, eager):
    prepared = model.prepare(pictures(cat, 2), PROMPT)
    family = model.family
    with model.guarded():
        wanted = dict.fromkeys(("recv_attn", "cls_attn", "full_attn"))
        vision = encode(family, model.model, prepared.inputs, prepared.asked.layout, wanted)
        copy, seen = eager
        family.image_features(copy, prepared.inputs)
    skip = int(family.has_cls(copy))
    spans = torch.tensor(family.image_patches(copy, prepared.inputs) or [], dtype=torch.long)
    queries = spans.repeat_interleave(spans)
    assert bool(vision.layers["cls_attn"]) == bool(skip)
    for number, layer in enumerate(family.tower_layers(copy)):
        maps = maps_of(seen, layer)
        full = whole_map(maps)
        assert (vision.layers["full_attn"][number] - full).abs().max() < 1e-5
        counted = (full > 0).any(1).any(1).float()  # what no query sees is padding
        total = (full * counted[:, None, :, None]).sum(2).mean(1)
        received = (total / (queries if len(spans) else counted.sum(1, keepdim=True)))[:, skip:]
        assert (vision.layers["recv_attn"][number] - received).abs().max() < 1e-5
        if skip:
            cls = vision.layers["cls_attn"][number]
            assert (cls - full[:, :, 0, 1:]).abs().max() < 1e-5


def test_rows_that_chose_the_answer_equal_eager_maps(model, cat, eager):
    images = pictures(cat, 2)
    trace = model.answer(images, PROMPT, None, 4)
    prepared = model.prepare(images, PROMPT)
    copy, seen = eager
    with torch.inference_mode():
        copy(**prepared.inputs, position_ids=prepared.positions)
    gaps = layers_without_attention(model.family.decoder(copy))
    assert trace.model.get("without_attention", {}) == by_kind(gaps)
    for number, layer in enumerate(model.family.decoder(copy).layers):
        if number in gaps:
            assert np.isnan(trace["attention"][:, number]).all()
            assert np.isnan(trace["mass"][:, number]).all()
            continue
        row = maps_of(seen, layer)[0][0, :, -1].numpy()
        captured = trace["attention"][0, number].astype(np.float32)
        assert np.abs(captured - row.mean(0)[trace.layout.position]).max() < 1e-3
    shares = np.delete(trace["mass"], list(gaps), 1).astype(np.float32).sum(-1)
    assert np.abs(shares - 1).max() < 4e-3


def test_what_the_tower_shows_per_token_adds_up(model, cat):
    """One [CLS] row (or the received attention) per tower row, dealt out to the tokens."""
    if not model.info["tower_layers"]:
        pytest.skip("its tower is convolutional: no attention and no norms by layer")
    prepared = model.prepare(pictures(cat, 2), PROMPT)
    layout = prepared.asked.layout
    with model.guarded():
        vision = model.encode(prepared, [None], Capture())
    name = "cls_attn" if model.family.has_cls(model.model) else "recv_attn"
    used = np.unique(vision.sources.index[vision.sources.index >= 0])
    for value in vision.layers[name].values():
        per_token = vision.sources.share(value)
        assert per_token.shape[-1] == layout.n
        flat = value.movedim(0, -2).flatten(-2)
        assert torch.allclose(per_token.sum(-1), flat[..., used].sum(-1), atol=1e-4)
    trace = model.answer(pictures(cat, 2), PROMPT, None, 2)
    assert not trace["feature_norm"][:, layout.kind != 0].any()
    assert (trace["feature_norm"][:, layout.kind == 0] > 0).all()


def test_rows_of_a_padded_prompt_equal_eager_ones(model, cat, eager):
    """Two questions of different length in one batch; rows of padding are not compared."""
    copy, seen = eager
    texts = [model.render(question, 1) for question in (PROMPT, "what is to be seen on the left?")]
    side = model.tokenizer.padding_side
    model.tokenizer.padding_side = "left"
    try:
        batch = model.processor(
            text=texts, images=[[cat], [cat]], padding=True, return_tensors="pt"
        )
    finally:
        model.tokenizer.padding_side = side
    batch.pop("labels", None)
    calls = {}

    def keep(call):
        if getattr(call.module, "layer_idx", None) is not None:
            calls[id(call.module)] = call.rows(torch.arange(call.query.shape[2]))

    with model.guarded():
        with observed(keep):
            model.model(**batch)
        copy(**batch)
    real = batch["attention_mask"].bool()
    assert not real.all()
    decoders = [model.family.decoder(one) for one in (model.model, copy)]
    for layer in attending_layers(decoders[0]):
        own, other = (one.layers[layer] for one in decoders)
        ours = next(calls[id(module)] for module in own.modules() if id(module) in calls)
        theirs = maps_of(seen, other)[0]
        ours, theirs = (maps.movedim(1, 2)[real] for maps in (ours, theirs))
        assert (ours - theirs).abs().max() < 1e-4


def test_attention_received_in_sixteen_bits_is_that_of_float32_maps():
    """Summed without float32 maps; queries that share keys, more of them than one chunk."""
    torch.manual_seed(0)
    query, key = (torch.randn(2, heads, 150, 8).bfloat16() for heads in (4, 2))
    half = AttentionCall(torch.nn.Identity(), query, key, key, None, None, causal=False)
    whole = AttentionCall(half.module, query.float(), key.float(), key, None, None, causal=False)
    assert (half.received() * 150 - whole.received() * 150).abs().max() < 0.02
    assert half.received().dtype == torch.float32
