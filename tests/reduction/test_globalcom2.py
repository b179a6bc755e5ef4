import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction import reduce
from tokviz.reduction.globalcom2 import combined, crop_ratios, region_sums, resized
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.signals import Signals

CROPS = [("thumbnail", 2, 2, 0, 0), ("tile", 2, 2, 0, 0), ("tile", 2, 2, 0, 2)]
THUMB = [8.0, 1.0, 3.0, 2.0]
TILES = [[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]]


@pytest.fixture
def three():
    return {"crops": CROPS, "thumb_cls_logits": THUMB, "crop_cls_logits": TILES}


def test_worked_example(three):
    layout = CropLayout.of(Signals(three))
    sums = region_sums(np.array(THUMB), layout)
    assert list(sums) == [11, 3]
    ratio = crop_ratios(sums, 0.5)
    assert np.allclose(ratio, [0.595, 0.405], atol=1e-3)
    assert [int(4 * r) for r in ratio] == [2, 1]
    reduction = reduce("globalcom2", three, 6)
    assert list(reduction.order[:2]) == [0, 2]
    assert len(set(reduction.order[2:]) & {4, 5, 6, 7}) == 2
    assert len(set(reduction.order[2:]) & {8, 9, 10, 11}) == 1


def test_worked_example_of_the_choice_inside_a_crop():
    both = combined(np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 2, 1.5]))
    assert np.allclose(both, [0.8981, 0.9018, 0.9055, 0.9986], atol=1e-4)
    assert set(np.argsort(-both)[:2]) == {2, 3}


def test_thumbnail_is_stretched_over_the_canvas(three):
    layout = CropLayout.of(Signals(three))
    seen = resized(np.array(THUMB, np.float32), layout, np.arange(4, 12))
    assert np.allclose(seen[[4, 6]], [8, 3])
    assert np.allclose(seen[[9, 11]], [1, 2])
    assert 1 < seen[5] < 8


def test_code_places_the_tokens_of_a_padded_image_wrongly():
    tile = [0, 0, 0, 0, 1, 2, 1, 2]
    cell = [0, 1, 2, 3, 1, 0, 3, 2]
    signals = {"crops": CROPS, "thumb_cls_logits": THUMB, "tile": tile, "cell": cell,
               "crop_cls_logits": TILES}  # fmt: skip
    right, wrong = (reduce("globalcom2", signals, 8, variant=v) for v in ("paper", "code"))
    assert set(right.order) == set(wrong.order)
    assert list(right.order[len(right.order) // 2 :]) == sorted(
        right.order[len(right.order) // 2 :]
    )
    assert list(right.order) != list(wrong.order)


def test_without_padding_both_variants_agree():
    tile = [0] * 4 + [1, 1, 2, 2, 1, 1, 2, 2]
    cell = [0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3]
    signals = {"crops": CROPS, "thumb_cls_logits": THUMB, "tile": tile, "cell": cell,
               "crop_cls_logits": TILES}  # fmt: skip
    right, wrong = (reduce("globalcom2", signals, 8, variant=v) for v in ("paper", "code"))
    assert list(right.order) == list(wrong.order)


def test_padding_tokens_are_never_kept(three):
    three["unpad_mask"] = [1] * 4 + [1, 0, 1, 0, 1, 1, 1, 1]
    assert not {5, 7} & set(reduce("globalcom2", three, 11).kept)


def test_image_without_crops_is_refused(t9):
    signals = {"crops": [("whole", 3, 3, 0, 0)], "cls_logits": np.ones(9)}
    with pytest.raises(InputError, match="thumbnail"):
        reduce("globalcom2", signals, 4)
