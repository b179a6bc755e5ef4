import numpy as np
import pytest

from tokviz.reduction import reduce

CROPS = [("thumbnail", 2, 2, 0, 0), ("tile", 2, 2, 0, 0), ("tile", 2, 2, 0, 2)]
EARLY = [0.5, 0.1, 0.2, 0.15]
FULL = [0.1, 0.4, 0.3, 0.2]
TILES = [[0.1, 0.2, 0.6, 0.1], [0.35, 0.25, 0.1, 0.2]]


@pytest.fixture
def three():
    return {
        "crops": CROPS,
        "num_layers": 3,
        "thumb_cls_attn": {0: EARLY, 1: FULL},
        "crop_cls_attn": {0: np.full((2, 4), 0.25), 1: TILES},
    }


def test_worked_example_of_the_code(three):
    reduction = reduce("hired", three, 6)
    assert list(reduction.kept) == [1, 2, 3, 4 + 2, 8 + 0]


def test_worked_example_of_the_paper(three):
    reduction = reduce("hired", three, 6, variant="paper")
    assert list(reduction.kept) == [1, 2, 3, 4 + 1, 4 + 2]


def test_single_image_keeps_its_best_tokens(t9):
    assert list(reduce("hired", t9, 4).kept) == list(reduce("fastervlm", t9, 4).kept)


def test_crops_can_be_read_from_one_map_over_all_tokens(three):
    whole = {
        layer: np.concatenate([three["thumb_cls_attn"][layer], *three["crop_cls_attn"][layer]])
        for layer in (0, 1)
    }
    signals = {"crops": CROPS, "num_layers": 3, "cls_attn": whole}
    assert list(reduce("hired", signals, 6).kept) == list(reduce("hired", three, 6).kept)


def test_tokens_in_another_order_give_the_same_cells(three):
    tile = np.array([0] * 4 + [1, 1, 2, 2, 1, 1, 2, 2])
    cell = np.array([0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3])
    kept = reduce("hired", {**three, "tile": tile, "cell": cell}, 6).kept
    assert {(tile[i], cell[i]) for i in kept} == {(0, 1), (0, 2), (0, 3), (1, 2), (2, 0)}


def test_padding_that_is_not_there_is_never_kept(three):
    tile, cell = np.array([0, 0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 3, 0, 1, 0, 1])
    reduction = reduce("hired", {**three, "tile": tile, "cell": cell}, 6)
    assert list(reduction.kept) == [1, 2, 3, 5, 6]
