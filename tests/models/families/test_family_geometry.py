"""The box of every visual token, and the patches it came from, proven on every family.

No weights are needed: attention is made to give nothing, so that no patch looks at another. Then a
square of the original picture is changed, and the token that moves must be the one whose box holds
the square. In the same way one output of the tower is changed at a time.
"""

from functools import partial

import numpy as np
import torch
from PIL import Image

from tokviz.models.hooks import hooked
from tokviz.testing.geometry import GREY, PROBES, RED, features, inner
from tokviz.trace.layout import PATCH

BLUR = 6
"Pixels; resizing mixes the edge of what is seen with what lies just outside."


def expected(layout, tile, square):
    """The token of a tile in whose middle the square lies; None near an edge, or outside."""
    x, y = (square[0] + square[2]) / 2, (square[1] + square[3]) / 2
    x0, y0, x1, y1 = layout.box.T
    here = (layout.tile == tile) & (layout.kind == PATCH)
    edge_x, edge_y = 0.25 * (x1 - x0), 0.25 * (y1 - y0)
    inside = (x > x0 + edge_x) & (x < x1 - edge_x) & (y > y0 + edge_y) & (y < y1 - edge_y)
    found = np.flatnonzero(here & inside)
    return int(found[0]) if len(found) else None


def prove(vlm, images, number):
    """Change squares of one of the images, and see that the tokens with these boxes move."""
    base, size = images[number], images[number].size
    before, prepared = features(vlm, images)
    layout = prepared.asked.layout
    assert len(before) == layout.n
    candidates = np.flatnonzero((layout.kind == PATCH) & (layout.image == number))
    proven = 0
    for token in np.random.default_rng(0).permutation(candidates)[: 4 * PROBES]:
        square = inner(layout.box[token], size)
        if square is None or proven == PROBES:
            continue
        spot = base.copy()
        spot.paste(RED, square)
        changed = [*images[:number], spot, *images[number + 1 :]]
        moved = (features(vlm, changed)[0] - before).abs().sum(1).numpy()
        for tile in np.unique(layout.tile[candidates]):
            target = expected(layout, tile, square)
            if target is not None:
                own = np.where(layout.tile == tile, moved, 0)
                assert int(own.argmax()) == target, (size, tile, square)
                proven += target == token
        assert not moved[layout.kind != PATCH].any()
        assert not moved[layout.image != number].any()
    assert proven == PROBES, size


def test_the_token_whose_box_holds_a_changed_square_is_the_one_that_moves(model, tiny):
    for size in tiny.sizes:
        prove(model, [Image.new("RGB", size, GREY)], 0)


def test_so_it_is_in_the_second_of_two_pictures_of_different_shape(model, tiny):
    """OneVision pads several pictures instead of cutting them; others cut each on its own."""
    pair = [Image.new("RGB", size, GREY) for size in tiny.sizes[1:3]]
    for number in (0, 1) if len(pair) == 2 else ():
        prove(model, pair, number)


def test_newlines_have_no_box_and_patches_have_one(model, tiny):
    pictures = [Image.new("RGB", size, GREY) for size in tiny.sizes]
    for shown in (*pictures, pictures[:3]):
        layout = model.prepare(shown, "what?").asked.layout
        patch = layout.kind == PATCH
        assert np.isfinite(layout.box[patch]).all()
        assert np.isnan(layout.box[~patch]).all()
        assert (layout.row[~patch] == -1).all()
        assert (np.diff(layout.position) > 0).all()
        for tile, one in enumerate(layout.tiles):
            inside = patch & (layout.tile == tile)
            cells = set(zip(layout.row[inside].tolist(), layout.col[inside].tolist(), strict=True))
            assert cells == {(r, c) for r in range(one.rows) for c in range(one.cols)}


def test_what_no_token_sees_is_marked_and_moves_nothing(model, tiny):
    for size in tiny.sizes:
        base = Image.new("RGB", size, GREY)
        before, prepared = features(model, base)
        strips = prepared.asked.layout.unseen(0)
        assert len(strips) == 2 or model.family.name != "llava" or max(size) < 2 * min(size)
        for strip in strips:
            if min(strip[2] - strip[0], strip[3] - strip[1]) < BLUR:
                continue
            square = inner(strip, size, part=0.7)
            spot = base.copy()
            spot.paste(RED, square)
            assert torch.equal(features(model, spot)[0], before), (size, strip)


def test_a_token_moves_when_and_only_when_one_of_its_sources_does(model, tiny):
    size = max(tiny.sizes, key=lambda s: max(s) / min(s))
    images = [Image.new("RGB", size, GREY), Image.new("RGB", size[::-1], GREY)]
    before, prepared = features(model, images)
    sources = model.family.sources(model.model, prepared.inputs, prepared.asked.layout)
    skip = int(model.family.has_cls(model.model))
    blocks = model.family.tower_layers(model.model)
    patches = np.random.default_rng(1).permutation(sources.rows * sources.patches)[:PROBES]
    for patch in patches:
        row, place = divmod(int(patch), sources.patches)

        def push(module, args, output, row=row, place=place):
            given = args if output is None else output
            state = (given[0] if isinstance(given, tuple) else given).clone()
            one = state if state.ndim == 2 else state[row]
            one[skip + place] += torch.linspace(-3, 3, one.shape[-1])
            return (state, *given[1:]) if isinstance(given, tuple) else state

        if len(blocks):
            # before the hook with which transformers records hidden states
            block = blocks[model.family.feature_layer(model.model)]
            hook = block.register_forward_hook(push, prepend=True)
        else:  # a convolutional tower: its map, where it enters the projector
            projector = model.family.projector(model.model)
            hook = projector.register_forward_pre_hook(partial(push, output=None))
        with hooked([hook]):
            after, _ = features(model, images)
        moved = np.flatnonzero((after - before).abs().sum(1).numpy())
        assert moved.tolist() == np.flatnonzero((sources.index == patch).any(1)).tolist()
