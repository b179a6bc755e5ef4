"""Crops, as the engine tells methods about them: roles, places on the canvas, padding."""

import numpy as np

from tokviz.models.before.crops import crop_signals, crops
from tokviz.reduction import reduce
from tokviz.trace.layout import PATCH, Layout, Tile

G = 2


def tiled_layout():
    """A second image of 80 x 40 pixels, padded below: a thumbnail, and two tiles side by side."""
    tiles = (
        Tile(0, G, G, (0, 0, 10, 10)),
        Tile(1, G, G, (0, 0, 80, 80), "thumbnail"),
        Tile(1, G, G, (0, 0, 40, 40), "tile"),
        Tile(1, G, G, (40, 0, 80, 40), "tile"),
    )
    row, col = np.divmod(np.arange(G * G, dtype=np.int16), np.int16(G))
    n = len(tiles) * G * G
    return Layout(
        sizes=((10, 10), (80, 40)),
        tiles=tiles,
        tile=np.repeat(np.arange(len(tiles), dtype=np.int16), G * G),
        row=np.tile(row, len(tiles)),
        col=np.tile(col, len(tiles)),
        kind=np.full(n, PATCH, np.uint8),
        position=np.arange(n, dtype=np.int32),
    )


def test_tiles_lie_side_by_side_on_the_canvas():
    found = crops(list(tiled_layout().tiles[1:]))
    assert [(c.role, c.row0, c.col0) for c in found] == [
        ("thumbnail", 0, 0), ("tile", 0, 0), ("tile", 0, 2),
    ]  # fmt: skip


def test_tokens_are_counted_within_their_image_and_crop():
    signals = crop_signals(tiled_layout(), [1], np.array([4, 7, 9, 15]))
    assert signals["tile"].tolist() == [0, 0, 1, 2]
    assert signals["cell"].tolist() == [0, 3, 1, 3]


def test_padding_is_known():
    """The thumbnail's lower row shows nothing of an image that is half as high as wide."""
    mask = crop_signals(tiled_layout(), [1], np.arange(4, 16))["unpad_mask"]
    assert mask.tolist() == [1, 1, 0, 0] + [1] * 8


def test_methods_that_share_a_budget_out_take_it_from_there():
    rng = np.random.default_rng(0)
    known = crop_signals(tiled_layout(), [1], np.arange(4, 16))
    scores = {
        "cls_attn": {i: rng.random((2, 12), np.float32) for i in range(3)},
        "cls_logits": {i: rng.standard_normal((2, 12)) for i in range(3)},
        "num_layers": 3,
    }
    hired = reduce("hired", known | scores, 6)
    assert (hired.kept < 4).sum() == 3
    assert reduce("globalcom2", known | scores, 6).m <= 6
