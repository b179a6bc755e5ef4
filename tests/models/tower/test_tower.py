"""Reduction inside the vision tower: the tower run by hand, removal and merging of whole tokens."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AttentionInterface

import tokviz
from tests.models.test_promises import PROMPT, pictures
from tokviz.capture import Capture
from tokviz.matrix import Reduction
from tokviz.models.attention import NAME, attention_forward
from tokviz.models.tower.reduce import encode_reduced
from tokviz.models.tower.vision import hooked
from tokviz.plans import Plan, Step
from tokviz.reduction import METHODS, Stage, method
from tokviz.testing.on_families import run_plan
from tokviz.trace.layout import NEWLINE, PATCH

pytestmark = pytest.mark.matrix

LAYER = 1


@pytest.fixture
def every_third():
    """A method inside the tower whose choice depends on nothing: it drops all but every third."""

    def decide(signals, keep):
        return Reduction.select(np.arange(0, signals.n, 3)[:keep], signals.n)

    method(
        "every-third-patch",
        title="Every third",
        place="tower",
        needs=("hidden",),
        schedule=lambda n, keep, layers: [Stage(LAYER, keep)],
    )(decide)
    yield Step("every-third-patch", 1)
    METHODS.remove("every-third-patch")


@pytest.fixture
def first_two():
    """A method inside the tower that merges the first two tokens before the second layer."""

    def decide(signals, keep):
        n = signals.n
        return Reduction.from_groups([[0, 1], *([i] for i in range(2, n))], n)

    method(
        "first-two",
        title="First two",
        place="tower",
        needs=("hidden",),
        schedule=lambda n, keep, layers: [Stage(0, keep)],
    )(decide)
    yield Step("first-two", 1)
    METHODS.remove("first-two")


@pytest.fixture(autouse=True)
def layers_of_tokens(request):
    """Skip families whose tower has no layers in which a method could act."""
    if "family" in request.fixturenames:
        vlm = request.getfixturevalue("model")
        if not vlm.info["tower_layers"]:
            pytest.skip("its tower is convolutional: no layers of tokens")


def tiles_of(prepared):
    """Per tile, its patch tokens and how many to leave: all."""
    layout = prepared.asked.layout
    own = [
        np.flatnonzero((layout.tile == i) & (layout.kind == PATCH))
        for i in range(len(layout.tiles))
    ]
    return [(tokens, len(tokens)) for tokens in own]


def encoded(vlm, prepared, step, tiles, shared):
    """What a step leaves of the tokens of a run on all of them."""
    with vlm.guarded():
        return encode_reduced(
            vlm.family, vlm.model, prepared.inputs, shared, prepared.asked.layout, tiles, step
        )


@pytest.mark.parametrize("count", [1, 3])
def test_the_tower_run_by_hand_is_the_librarys(model, cat, count):
    """Bit for bit with one image; several tiles, a window order and deepstack included.

    Gemma 4 averages patches by a product of matrices, which sums in an order of its own; in Ovis 2
    the states lie in memory channels first, by which sums round differently.
    """
    prepared = model.prepare(pictures(cat, count), PROMPT)
    tiles = tiles_of(prepared)
    shared = model.encode(prepared, [], Capture())
    done = encoded(model, prepared, Step("tome", 1), tiles, shared)
    order = np.concatenate([tokens for tokens, _ in tiles])
    assert [one.tolist() for one in done.kept] == [list(range(len(t))) for t, _ in tiles]
    pairs = zip(
        (done.features.tokens, *done.features.extra),
        (shared.features.tokens, *shared.features.extra),
        strict=True,
    )
    for ours, theirs in pairs:
        rounded = count > 1 or model.family.name in ("gemma4", "ovis2")
        rounded = rounded or padding_of(model, prepared)
        assert torch.equal(ours, theirs[order]) or rounded
        assert torch.allclose(ours, theirs[order], atol=1e-5)


def hiding(vlm, dead):
    """Our attention, but patches that are dead are hidden in tower layers after LAYER.

    Args:
        vlm: the model.
        dead: per tower row, bool [tokens, CLS included].
    """
    blocks = vlm.family.tower_layers(vlm.model)
    layer_of = {id(m): i for i, block in enumerate(blocks) for m in block.modules()}
    seen = dict.fromkeys(range(len(blocks)), 0)
    joint = torch.cat(dead)

    def attend(module, query, key, value, attention_mask, **more):
        layer = layer_of.get(id(module), -1)
        if layer > LAYER:
            tokens = key.shape[0] * key.shape[2]
            part = joint[seen[layer] : seen[layer] + tokens]
            seen[layer] += tokens
            sees = ~part.view(len(key), 1, 1, -1)
            sees = sees | ~sees.any(-1, keepdim=True)  # a window of dead ones only
            if attention_mask is not None:  # pictures of one sequence, or padding
                given = attention_mask
                sees = sees & (given if given.dtype == torch.bool else given == 0)
            attention_mask = sees
        return attention_forward(module, query, key, value, attention_mask, **more)

    return attend


def padding_of(vlm, prepared):
    """The patches of each tower row that are no padding, where the tower hides padding."""
    return vlm.family.tower_lengths(vlm.model, prepared.inputs)


def hidden_with(vlm, prepared, full, stay):
    """Per tower row, bool [tokens, CLS included]: the patches of visual tokens that do not stay."""
    sources, skip = full.sources, int(vlm.family.has_cls(vlm.model))
    patch = prepared.asked.layout.kind == PATCH
    patch[stay] = False
    dead = torch.zeros(sources.rows, skip + sources.patches, dtype=torch.bool)
    gone = sources.leaving(np.flatnonzero(patch)).flatten()
    dead[gone // sources.patches, skip + gone % sources.patches] = True
    for row, length in enumerate(padding_of(vlm, prepared) or ()):
        dead[row, skip + length :] = True
    return dead


@pytest.mark.parametrize("count", [1, 3])
def test_removing_inside_the_tower_equals_masking_from_that_layer(
    model, cat, count, every_third, monkeypatch
):
    """Newlines, and [CLS] states that are visual tokens, are what they are in the masked run."""
    prepared = model.prepare(pictures(cat, count), PROMPT)
    keep = sum(len(tokens) // 3 for tokens, _ in tiles_of(prepared))
    full = model.encode(prepared, [], Capture())
    _, run = run_plan(model, prepared, Plan((replace(every_third, keep=keep),)))
    stay, entering = run.prefill_input.prompt_rows.before.position, run.prefill_input.features
    dead = hidden_with(model, prepared, full, stay)
    padded = padding_of(model, prepared)
    assert 0.5 < dead.float().mean() < 0.75 or padded or model.family.name.startswith("llava")
    monkeypatch.setitem(AttentionInterface._global_mapping, NAME, hiding(model, list(dead)))
    with model.guarded():
        masked = model.family.image_features(model.model, prepared.inputs)
    assert torch.allclose(entering.tokens, masked.tokens[stay], atol=1e-4)
    for ours, theirs in zip(entering.extra, masked.extra, strict=True):
        assert torch.allclose(ours, theirs[stay], atol=1e-4)
    assert not torch.allclose(masked.tokens[stay], full.features.tokens[stay], atol=1e-2)


def test_in_bfloat16_removing_inside_the_tower_equals_masking_within_its_rounding(
    half_model, cat, every_third, monkeypatch
):
    prepared = half_model.prepare(pictures(cat, 2), PROMPT)
    keep = sum(len(tokens) // 3 for tokens, _ in tiles_of(prepared))
    full = half_model.encode(prepared, [], Capture())
    _, run = run_plan(half_model, prepared, Plan((replace(every_third, keep=keep),)))
    stay = run.prefill_input.prompt_rows.before.position
    dead = hidden_with(half_model, prepared, full, stay)
    monkeypatch.setitem(AttentionInterface._global_mapping, NAME, hiding(half_model, list(dead)))
    with half_model.guarded():
        masked = half_model.family.image_features(half_model.model, prepared.inputs).tokens[stay]
    off = (run.prefill_input.features.tokens - masked).float()
    assert off.square().mean().sqrt() < 0.03 * masked.float().std()


@pytest.mark.parametrize("name", ["granite_vision", "llava_full", "paligemma2", "smolvlm"])
def test_so_it_does_where_several_layers_or_the_cls_state_are_features(
    checkpoint, cat, name, every_third, monkeypatch
):
    vlm = tokviz.load(checkpoint(name))
    test_the_tower_run_by_hand_is_the_librarys(vlm, cat, 2)
    test_a_method_inside_the_tower_runs_on_every_tile_of_every_family(vlm, cat, "mctf")
    removing = test_removing_inside_the_tower_equals_masking_from_that_layer
    removing(vlm, cat, 2, every_third, monkeypatch)


@pytest.fixture
def scaled(checkpoint, cat):
    """A model, and a picture whose tokens it scales down after the tower."""
    vlm = tokviz.load(checkpoint("llava_onevision"))
    picture = cat.resize((140, 136))
    prepared = vlm.prepare(picture, PROMPT)
    assert vlm.family.sources(vlm.model, prepared.inputs, prepared.asked.layout).weight is not None
    return vlm, picture, prepared


def of_patches(vlm, prepared, change):
    """Features where the projector's output [rows, patches, d] was changed."""
    hook = vlm.family.projector(vlm.model).register_forward_hook(
        lambda module, args, output: change(output)
    )
    with vlm.guarded(), hooked([hook]):
        return vlm.family.image_features(vlm.model, prepared.inputs).tokens


def test_a_token_blended_of_patches_is_blended_of_those_left_in_the_tower(
    scaled, every_third, monkeypatch
):
    """Reference: the library scales features with zeros for what left, and ones likewise."""
    vlm, _, prepared = scaled
    tiles = tiles_of(prepared)
    full = vlm.encode(prepared, [], Capture())
    done = encoded(vlm, prepared, Step("tome", 1), tiles, full)
    order = np.concatenate([tokens for tokens, _ in tiles])
    assert torch.allclose(done.features.tokens, full.features.tokens[order], atol=1e-4)
    assert torch.allclose(done.pre, full.pre[order], atol=1e-4)
    keep = sum(len(tokens) // 3 for tokens, _ in tiles)
    _, run = run_plan(vlm, prepared, Plan((replace(every_third, keep=keep),)))
    stay = run.prefill_input.prompt_rows.before.position
    dead = hidden_with(vlm, prepared, full, stay)
    changes = (lambda out: out, torch.ones_like)
    parts, whole = [], []
    for change, found in zip(changes, (parts, whole), strict=True):
        hide = hiding(vlm, list(dead))
        monkeypatch.setitem(AttentionInterface._global_mapping, NAME, hide)
        found += of_patches(vlm, prepared, lambda out, c=change: c(out) * ~dead[..., None])[stay]
    parts, whole = torch.stack(parts), torch.stack(whole)
    patch = prepared.asked.layout.kind[stay] == PATCH
    assert (whole[patch] < 0.99).any()
    ours = run.prefill_input.features.tokens
    assert torch.allclose(ours[patch], (parts / whole)[patch], atol=1e-4)
    assert torch.equal(ours[~patch], full.features.tokens[stay][~patch])


@pytest.mark.parametrize("name", ["flowcut", "mctf", "tomesd", "tome"])
def test_a_method_inside_the_tower_runs_on_a_picture_that_is_scaled_down(scaled, name):
    """The budget is met to the token, and a note says what became of the blends."""
    vlm, picture, prepared = scaled
    patches = int((prepared.asked.layout.kind == PATCH).sum())
    trace = vlm.answer(picture, PROMPT, tokviz.plan(name, keep=patches // 2), 2)
    left = trace.layout.kind[trace.reduction.position] == PATCH
    assert left.sum() == patches // 2
    assert any("blends of neighbouring patches" in note for note in trace.notes)


def test_a_merged_twin_weighs_as_much_as_both(model, cat, first_two):
    """Of two equal tokens one is merged away: with a key bias of log 2 no other token notices.

    In rotary towers both are given the angles of the first, beside another tower its states too.
    """
    prepared = model.prepare(cat, PROMPT)
    tiles = tiles_of(prepared)
    shared = model.encode(prepared, [], Capture())
    states, given = shared.entered
    states, skip = states.clone(), int(model.family.has_cls(model.model))
    shared.pre = shared.pre.clone()
    angles = tuple(one.clone() for one in given.get("position_embeddings") or ())
    index, patches = shared.sources.index, shared.sources.patches
    for tokens, _ in tiles:
        row, twins = index[tokens[0], 0] // patches, index[tokens[:2]] % patches
        for values, ahead in [(states, skip), *((one, 0) for one in angles)]:
            own = values if values.ndim == 2 else values[row]
            own[ahead + twins[1]] = own[ahead + twins[0]]
        shared.pre[int(tokens[1])] = shared.pre[int(tokens[0])]
    shared.entered = (states, given | ({"position_embeddings": angles} if angles else {}))
    fewer = [(tokens, keep - 1) for tokens, keep in tiles]
    merged = encoded(model, prepared, first_two, fewer, shared).features.tokens
    alone = encoded(model, prepared, Step("tome", 1), tiles, shared).features.tokens
    twins = np.cumsum([0, *(len(tokens) for tokens, _ in tiles)])[:-1] + 1
    assert torch.allclose(merged, alone[np.delete(np.arange(len(alone)), twins)], atol=1e-4)


@pytest.mark.parametrize("name", ["flowcut", "mctf", "tomesd"])
def test_a_method_inside_the_tower_runs_on_every_tile_of_every_family(model, cat, name):
    """Half of each tile is left, with the newlines of its rows; the answer is written on it."""
    prepared = model.prepare(pictures(cat, 2), PROMPT)
    layout = prepared.asked.layout
    patches = int((layout.kind == PATCH).sum())
    keep = sum(len(tokens) // 2 for tokens, _ in tiles_of(prepared))
    _, run = run_plan(model, prepared, Plan((Step(name, keep),)))
    stage = run.prefill_input.records[0]
    fates = stage.reduction.matrix() != 0
    assert fates.any(0)[layout.kind == PATCH].all() or name == "flowcut"
    if name == "tomesd":
        assert run.prefill_input.prompt_rows.before.m == layout.n
        return
    left = run.prefill_input.prompt_rows.before.position
    assert (layout.kind[left] == PATCH).sum() == keep < patches
    assert len(run.prefill_input.features.tokens) == len(left)
    rows = stage.reduction.position[stage.reduction.rows]
    assert (layout.tile[rows] == layout.tile[stage.reduction.cols]).all()
    assert (layout.kind[left] == NEWLINE).any() == (layout.kind == NEWLINE).any()
