"""The box of every visual token, proven by changing pixels and watching which token moves."""

import numpy as np
import pytest
import torch
from PIL import Image

from tokviz.layout import Layout
from tokviz.models.llava import covered, seen_box

SIZES = [(96, 96), (240, 96), (96, 240), (131, 97), (400, 100)]


def features_without_mixing(vlm, image):
    """Tower features when no patch can look at another: each depends on its own pixels only."""
    prepared = vlm.prepare(image, "what?")
    blocks = vlm.family.tower_layers(vlm.model)
    handles = [
        block.self_attn.register_forward_hook(lambda m, a, out: (torch.zeros_like(out[0]), None))
        for block in blocks
    ]
    try:
        with torch.inference_mode():
            return vlm.family.image_features(vlm.model, prepared.inputs).tokens, prepared
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("size", SIZES)
def test_the_token_whose_box_holds_a_changed_square_is_the_one_that_moves(vlm, size):
    width, height = size
    base = Image.new("RGB", size, (90, 120, 150))
    before, prepared = features_without_mixing(vlm, base)
    layout: Layout = prepared.asked.layout
    x0, y0, x1, y1 = layout.tiles[0].box
    for token in (0, 5, 14, 21, 30, 35):
        left, top, right, bottom = layout.box[token]
        inset_x, inset_y = (right - left) * 0.3, (bottom - top) * 0.3
        spot = base.copy()
        spot.paste(
            (255, 0, 0),
            (int(left + inset_x), int(top + inset_y), int(right - inset_x), int(bottom - inset_y)),
        )
        after, _ = features_without_mixing(vlm, spot)
        moved = (after - before).abs().sum(1)
        assert int(moved.argmax()) == token
    assert min(x0, y0) >= -1
    assert x1 <= width + 1
    assert y1 <= height + 1


@pytest.mark.parametrize("size", [(400, 100), (100, 400)])
def test_what_the_centre_crop_cuts_off_is_marked_unseen_and_moves_nothing(vlm, size):
    base = Image.new("RGB", size, (90, 120, 150))
    before, prepared = features_without_mixing(vlm, base)
    strips = prepared.asked.layout.unseen(0)
    assert len(strips) == 2
    for strip in strips:
        x0, y0, x1, y1 = strip
        spot = base.copy()
        inner = (int(x0), int(y0), int(x1 - 0.1 * (x1 - x0)), int(y1 - 0.1 * (y1 - y0)))
        if x0 or y0:
            inner = (int(x0 + 0.1 * (x1 - x0)) + 1, int(y0 + 0.1 * (y1 - y0)), int(x1), int(y1))
            inner = inner if size[0] > size[1] else (int(x0), inner[1] + 1, int(x1), int(y1))
        spot.paste((255, 0, 0), inner)
        after, _ = features_without_mixing(vlm, spot)
        assert torch.equal(after, before)


def test_padding_to_a_square_puts_the_box_outside_the_image():
    class Pads:
        do_pad = True

    assert seen_box(Pads(), (40, 20)) == (0.0, -10.0, 40.0, 30.0)
    assert seen_box(Pads(), (20, 40)) == (-10.0, 0.0, 30.0, 40.0)


def test_several_images_have_one_tile_each_and_their_tokens_in_order(vlm, cat):
    layout = vlm.prepare([cat, cat.resize((60, 60))], "which is larger?").asked.layout
    assert [tile.image for tile in layout.tiles] == [0, 1]
    assert np.bincount(layout.image).tolist() == [36, 36]
    assert (np.diff(layout.position) > 0).all()


def test_pixels_that_fill_no_whole_patch_are_outside_the_box():
    """SigLIP at 384 pixels has 27 patches of 14: six pixels at the far edges are never read."""
    assert covered((0.0, 0.0, 384.0, 768.0), 27 * 14 / 384) == (0.0, 0.0, 378.0, 756.0)
    assert covered((-0.1, 0.0, 30.3, 30.3), 1.0) == (-0.1, 0.0, 30.3, 30.3)
