"""Gemma 3n around timm's real MobileNetV5, where the extra `timm` is installed."""

import numpy as np
import pytest
from PIL import Image
from transformers.utils import is_timm_available

import tokviz
from tests.models.test_promises import PROMPT
from tests.models.tiny import Tiny, save
from tests.models.tiny_gemma3n import gemma3n
from tokviz.matrix import Reduction
from tokviz.plans import chosen
from tokviz.testing.geometry import GREY, RED, features
from tokviz.testing.on_families import check_generate, run_plan, without

pytestmark = pytest.mark.skipif(
    not is_timm_available(), reason="the extra timm brings the real tower; it needs torchvision"
)
NARROW = {"architecture": "mobilenetv5_300m_enc", "hidden_size": 2048}
NARROW |= {"model_args": {"channel_multiplier": 0.1}}
"""All of its layers, with a tenth of the channels."""


def narrow() -> tuple:
    """16 x 16 tokens of pictures of 256 pixels."""
    model, processor = gemma3n(tower=NARROW, side=16)
    processor.image_processor.size = {"height": 256, "width": 256}
    return model, processor


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The model, loaded from its folder."""
    return tokviz.load(save(Tiny(narrow, ()), tmp_path_factory.mktemp("mobilenet")))


def test_keeping_every_token_equals_generate(real, cat):
    for shown in (cat, [cat, cat.rotate(90)]):
        prepared = real.prepare(shown, PROMPT)
        n = prepared.asked.layout.n
        assert n % 256 == 0
        check_generate(real, prepared, chosen(Reduction.identity(n)))


def test_removing_equals_masking(real, cat):
    prepared = real.prepare(cat, PROMPT)
    left = np.arange(0, 256, 3)
    (ours, *_), _ = run_plan(real, prepared, chosen(Reduction.select(left, 256)))
    assert np.allclose(ours, without(real, prepared, left), atol=1e-4)


def test_what_changes_in_the_picture_moves_tokens_around_its_place(tmp_path, cat):
    """With timm's own random weights a convolution sees further than its token."""
    model, processor = narrow()
    model.eval().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    vlm = tokviz.load(tmp_path)
    for width, height in ((256, 256), (600, 300)):
        base = Image.new("RGB", (width, height), GREY)
        before, prepared = features(vlm, base)
        layout = prepared.asked.layout
        for row, col in ((4, 9), (11, 5)):
            box = layout.box[(layout.row == row - 1) & (layout.col == col - 1)][0, :2]
            end = layout.box[(layout.row == row + 1) & (layout.col == col + 1)][0, 2:]
            changed = base.copy()
            changed.paste(RED, tuple(map(int, (*box, *end))))
            moved = (features(vlm, changed)[0] - before).square().sum(1).numpy()
            weight = moved / moved.sum()
            assert (weight * layout.row).sum() == pytest.approx(row, abs=1.5)
            assert (weight * layout.col).sum() == pytest.approx(col, abs=1.5)
