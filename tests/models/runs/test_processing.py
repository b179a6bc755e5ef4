"""Chat templates and processors of other people's checkpoints: used, or told in a sentence."""

import numpy as np
import pytest
from PIL import Image

import tokviz
from tests.conftest import FOUR_KINDS
from tests.models import tiny
from tests.models.conftest import TINY
from tokviz.errors import ModelError
from tokviz.testing.on_families import check_generate
from tokviz.trace.layout import PATCH

pytestmark = pytest.mark.matrix

IMAGE_ONLY = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<image>{% endif %}"
    "{% endfor %}{% endfor %}"
)
TEMPLATES = {
    "joins strings": ("{{ messages[0]['content'] + 'A:' }}", "can only concatenate list"),
    "prints the list": ("{{ messages[0].content }}", "it writes no place for a picture .<image>."),
    "wants a system turn": ("{{ raise_exception('system first') }}", "system first"),
    "several, no default": ({"vqa": "x", "caption": "y"}, "there are several .caption, vqa., and"),
    "a mistake": ("{% for m in %}", "Expected an expression"),
    "an unknown name": ("{{ messages[0].content[9].text.x }}", "UndefinedError|has no"),
    "no question": (IMAGE_ONLY, "it leaves the question out"),
}
SETTINGS = {
    "additional tokens": (
        "llava", {"num_additional_image_tokens": 0},
        "writes 35 placeholders .* and the model makes 36 .num_additional_image_tokens is 0 in the",
    ),
    "no patch size": ("llava", {"patch_size": None}, "patch_size is None in the processor and 8"),
    "no strategy": (
        "llava", {"vision_feature_select_strategy": None}, "is None in the processor and 'default'",
    ),
    "other patch size": ("llava_next", {"patch_size": 16}, "patch_size is 16 in the processor"),
    "other canvases": (
        "llava_next", {"image_grid_pinpoints": [[48, 96], [96, 48]]},
        "a canvas of 96 x 48 pixels, and the model's config 96 x 96",
    ),
    "other limit of tiles": (
        "llava_onevision", {"vision_aspect_ratio": "anyres_max_4"},
        "vision_aspect_ratio is 'anyres_max_4' in the processor and 'anyres_max_9' by the model",
    ),
    "other tokens of a tile": ("llava_onevision", {"num_image_tokens": 9}, "num_image_tokens is 9"),
    "internvl": ("internvl", {"image_seq_length": 4}, "it writes .* placeholders"),
    "gemma3": ("gemma3", {"full_image_sequence": "<image>" * 4}, "do not fit together: it writes"),
    "paligemma": ("paligemma", {"image_seq_length": 9}, "do not fit together: it writes 9"),
}  # fmt: skip
IN_PIXELS = ("image_grid_pinpoints",)


@pytest.fixture
def own(checkpoint):
    """name -> a model of a family that a test may spoil."""
    return lambda name: tokviz.load(checkpoint(name))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_chat_template_that_cannot_be_used_says_so(own, cat, name):
    template, why = TEMPLATES[name]
    vlm = own("llava")
    vlm.processor.chat_template = template
    with pytest.raises(ModelError, match=f"the chat template .* cannot be used: .*(?:{why})"):
        vlm.answer([cat], "where is the dog?", max_new_tokens=1)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_processor_that_does_not_fit_its_model_is_told_with_both_numbers(own, name):
    kind, changes, why = SETTINGS[name]
    vlm = own(kind)
    for key, value in changes.items():
        place = vlm.processor.image_processor if key in IN_PIXELS else vlm.processor
        setattr(place, key, value)
    with pytest.raises(ModelError, match=why):
        vlm.answer([Image.new("RGB", (131, 97))], "what?", max_new_tokens=1)


NARROW = ((300, 3), (3, 300), (900, 11), (11, 900))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.weekly] * (n not in FOUR_KINDS)) for n in sorted(TINY)],
)
def test_very_narrow_pictures_run_as_generate_does_or_are_refused(checkpoint, name):
    vlm = tokviz.load(checkpoint(name))
    for size in NARROW:
        noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        try:
            prepared = vlm.prepare([Image.fromarray(noise)], "what?")
        except ModelError:
            assert name not in ("llava", "llava_next", "llava_onevision")
            continue
        check_generate(vlm, prepared, None)
        assert np.isfinite(prepared.asked.layout.box[prepared.asked.layout.kind == 0]).all()


@pytest.mark.parametrize("name", ["llava_next", "llava_onevision"])
def test_a_narrow_picture_can_be_reduced_like_any_other(checkpoint, name):
    vlm = tokviz.load(checkpoint(name))
    for size in NARROW:
        for method in ("fastervlm", "norm", "fastv", "tome"):
            if method == "fastervlm" and not vlm.info["has_cls"]:
                continue
            trace = vlm.answer([Image.new("RGB", size)], "what?", tokviz.plan(method, keep=8), 1)
            left = trace.reduction.position
            # inside the language model newlines count, before it they follow their rows
            patches = (trace.layout.kind[left] == PATCH).sum()
            assert 8 in (trace.reduction.m, patches), method


CROPS = {
    "no resize": {"do_resize": False},
    "a fixed size": {"size": {"height": 64, "width": 64}},
    "a fixed size that is not square": {"size": {"height": 96, "width": 56}},
    "larger than the picture": {"do_resize": False, "size": {"height": 9, "width": 9}},
    "a longest edge": {"size": {"shortest_edge": 60, "longest_edge": 100}},
    "no crop": {"do_center_crop": False, "size": {"height": 48, "width": 48}},
}


@pytest.mark.parametrize("name", CROPS)
def test_boxes_follow_whatever_the_processor_resizes_and_crops(name):
    from tests.models.families.test_family_geometry import GREY, prove  # noqa: PLC0415

    model, processor = tiny.llava()
    tiny.shake(model)
    for key, value in CROPS[name].items():
        setattr(processor.image_processor, key, value)
    size = (40, 30) if name.startswith("larger") else (200, 90)
    prove(tokviz.load((model, processor)), [Image.new("RGB", size, GREY)], 0)
