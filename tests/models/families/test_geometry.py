"""Boxes of LLaVA's tokens, worked by hand; test_family_geometry.py proves them on pixels."""

import numpy as np

from tokviz.models.families.llava import covered, seen_box


def test_padding_to_a_square_puts_the_box_outside_the_image():
    class Pads:
        do_pad, size = True, {"height": 8, "width": 8}

        def pad_to_square(self):
            """LLaVA's own processor has this; others pad a batch, behind everything."""

    assert seen_box(Pads(), (40, 20)) == (0.0, -10.0, 40.0, 30.0)
    assert seen_box(Pads(), (20, 40)) == (-10.0, 0.0, 30.0, 40.0)


def test_several_images_have_one_tile_each_and_their_tokens_in_order(vlm, cat):
    layout = vlm.prepare([cat, cat.resize((60, 60))], "which is larger?").asked.layout
    assert [tile.image for tile in layout.tiles] == [0, 1]
    assert np.bincount(layout.image).tolist() == [36, 36]
    assert (np.diff(layout.position) > 0).all()


def test_pixels_that_fill_no_whole_patch_are_outside_the_box():
    """SigLIP at 384 pixels has 27 patches of 14: six pixels at the far edges are never read."""
    assert covered((0.0, 0.0, 384.0, 768.0), 1.0, 27 * 14 / 384) == (0.0, 0.0, 384.0, 756.0)
    assert covered((-0.1, 0.0, 30.3, 30.3), 1.0, 1.0) == (-0.1, 0.0, 30.3, 30.3)
