"""DeepSeek-VL 7B: SAM's states beside SigLIP's, place by place."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image

import tokviz
from tests.models.test_promises import PROMPT, pictures
from tests.models.tower.test_tower import encoded, first_two, tiles_of  # noqa: F401
from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.interruption import Interrupted
from tokviz.matrix import Reduction
from tokviz.models.hooks import hooked
from tokviz.plans import chosen
from tokviz.testing.geometry import GREY, RED, inner
from tokviz.testing.on_families import check_generate, plan_of, run_plan, without

pytestmark = pytest.mark.matrix


@pytest.fixture
def hybrid(checkpoint):
    return tokviz.load(checkpoint("deepseek_vl_hybrid"))


def sam_states(vlm, picture):
    """SAM's states [n, d] of every token, without attention among its patches; the layout."""
    prepared = vlm.prepare(picture, PROMPT)
    layers = vlm.model.model.high_res_vision_model.vision_encoder.layers
    none = (
        layer.attn.register_forward_hook(lambda _, args, made: (0 * made[0], None))
        for layer in layers
    )
    with hooked(none):
        shared = vlm.encode(prepared, [], Capture())
    return vlm.family.tower_beside(vlm.model, shared.pre), prepared.asked.layout


@pytest.mark.parametrize("size", [(96, 96), (240, 96), (97, 240)])
def test_sams_half_of_a_token_is_of_the_same_place(hybrid, size):
    """Its convolutions reach two tokens ahead and one back: nothing moves that they do not reach.

    Rows and columns swapped, or another padding, would move tokens elsewhere.
    """
    base = Image.new("RGB", size, GREY)
    before, layout = sam_states(hybrid, base)
    inside = (layout.box[:, :2] >= 0).all(1) & (layout.box[:, 2:] <= size).all(1)
    proven = 0
    for token in np.random.default_rng(0).permutation(np.flatnonzero(inside))[:8]:
        spot = base.copy()
        spot.paste(RED, inner(layout.box[token], size))
        after, _ = sam_states(hybrid, spot)
        moved = np.flatnonzero((after - before).abs().amax(1).numpy() > 1e-4)
        assert token in moved
        for place in (layout.row, layout.col):
            away = place[moved].astype(int) - place[token]
            assert set(away) <= {-1, 0, 1, 2}
        proven += 1
    assert proven >= 5


def test_a_token_merged_in_the_tower_has_the_mean_of_sams_states(hybrid, cat, first_two):  # noqa: F811
    prepared = hybrid.prepare(pictures(cat, 2), PROMPT)
    shared = hybrid.encode(prepared, [], Capture())
    tiles = [(tokens, keep - 1) for tokens, keep in tiles_of(prepared)]
    merged = encoded(hybrid, prepared, first_two, tiles, shared)
    width = hybrid.model.config.vision_config.hidden_size
    for tile, (tokens, _) in enumerate(tiles):
        own = shared.pre[torch.as_tensor(tokens), width:]
        found = merged.pre[tile * 35 :][:35, width:]
        assert torch.allclose(found[0], own[:2].mean(0), atol=1e-5)
        assert torch.equal(found[1:], own[2:])


def test_vcd_noises_the_pixels_of_both_towers(hybrid, cat):
    seen, model = [], hybrid.model.model
    hooks = [
        tower.register_forward_pre_hook(
            lambda _, args, given: seen.append(args[0] if args else given["pixel_values"]),
            with_kwargs=True,
        )
        for tower in (model.vision_model, model.high_res_vision_model)
    ]
    with hooked(hooks):
        hybrid.answer(cat, PROMPT, tokviz.plan(mitigation="vcd"), 2)
    assert [one.shape[-1] for one in seen] == [48, 96, 48, 96]
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[1], seen[3])


def test_a_stop_ends_sam_within_a_layer(hybrid, cat):
    layers, stop = hybrid.model.model.high_res_vision_model.vision_encoder.layers, threading.Event()
    later = []
    hooks = [layers[0].register_forward_hook(lambda *_: stop.set())]
    hooks += [layer.register_forward_hook(lambda *_: later.append(1)) for layer in layers[1:]]
    with hooked(hooks), pytest.raises(Interrupted):
        hybrid.answer(cat, PROMPT, None, 2, stop=stop)
    assert not later
    assert not any(layer._forward_pre_hooks for layer in layers)


def test_a_question_with_the_mark_of_a_picture_is_refused_in_words(hybrid, cat):
    with pytest.raises(InputError, match="<image>"):
        hybrid.answer(cat, "what does <image> mean?", None, 2)


def test_a_photograph_of_12_megapixels_in_bfloat16(checkpoint, cat):
    vlm = tokviz.load(checkpoint("deepseek_vl_hybrid"), dtype="bfloat16")
    prepared = vlm.prepare(cat.resize((4000, 3000)), "what is in the picture? naïve café, 日本語")
    n = prepared.asked.layout.n
    for place in ("nowhere", "before", "tower", "language_model", "cache"):
        check_generate(vlm, prepared, plan_of(place, n))
    logits, run = run_plan(vlm, prepared, tokviz.plan("tome", keep=n // 3))
    assert run.lane.length == len(prepared.asked.prompt_ids) - n + n // 3
    kept = np.arange(0, n, 4)
    logits, _ = run_plan(vlm, prepared, chosen(Reduction.select(kept, n)))
    reference = without(vlm, prepared, kept)
    assert (logits[0] - reference).abs().max() < 0.1 * reference.std()
