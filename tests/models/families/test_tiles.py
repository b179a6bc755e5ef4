"""What is special about families with tiles, and those whose prompt attends in both directions."""

import numpy as np
import pytest
import torch
from PIL import Image

import tokviz
from tests.models import test_promises as promises
from tests.models.families import test_family_capture as capture
from tests.models.families import test_family_geometry as geometry
from tests.models.runs import test_extra_forwards as extra_forwards
from tests.models.test_promises import asked  # noqa: F401
from tests.models.tiny_tiles import TINY_FORMS, TINY_KIN
from tokviz.capture import Capture
from tokviz.models.families.idefics3 import PlaceholderRun, tiled_layout
from tokviz.models.families.processors import still_images
from tokviz.testing.on_families import check_generate, plan_of, run_plan

pytestmark = pytest.mark.matrix

PROMPT = "what is this?"
KIN = TINY_KIN | TINY_FORMS


@pytest.fixture(scope="module", params=sorted(KIN))
def kin(request, checkpoint):
    """A model whose code is mostly that of another family."""
    return request.param, tokviz.load(checkpoint(request.param))


# -- the promises on models that share a family file ---------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        "nowhere",
        pytest.param("before", marks=pytest.mark.weekly),
        "tower",
        pytest.param("language_model", marks=pytest.mark.weekly),
    ],
)
def test_keeping_every_token_of_a_kindred_model_equals_generate(kin, cat, place):
    prepared = kin[1].prepare(promises.pictures(cat, 2), PROMPT)
    plan = plan_of(place, prepared.asked.layout.n)
    check_generate(kin[1], prepared, plan, Capture())


@pytest.mark.weekly
def test_removal_and_untouched_and_boxes_of_a_kindred_model(kin, cat, asked):  # noqa: F811
    name, vlm = kin
    promises.test_removing_before_the_language_model_equals_masking(vlm, asked, 0.5, 2, True)
    inside = promises.test_removing_inside_the_language_model_equals_masking_from_that_layer
    inside(vlm, asked, 1, True)
    promises.test_the_model_is_untouched_afterwards(vlm, cat, promises.UNTOUCHED[0])
    promises.test_users_in_three_threads_never_change_each_others_answers(vlm, cat)
    square = geometry.test_the_token_whose_box_holds_a_changed_square_is_the_one_that_moves
    square(vlm, KIN[name])


@pytest.mark.weekly
def test_a_kindred_model_keeps_the_promises_in_bfloat16(kin, checkpoint, cat, asked):  # noqa: F811
    half = tokviz.load(checkpoint(kin[0]), dtype="bfloat16")
    prepared = asked(half, 2, True)
    for place in ("before", "tower", "language_model", "cache"):
        check_generate(half, prepared, plan_of(place, prepared.asked.layout.n))
    within = promises.test_in_bfloat16_removing_equals_masking_within_its_rounding
    for place in ("before", "language_model"):
        within(half, asked, place)


def test_a_padded_prompt_of_a_kindred_model_gives_eager_rows(kin, checkpoint, cat, monkeypatch):
    eager = capture.writing_down(checkpoint(kin[0]), monkeypatch)
    capture.test_rows_of_a_padded_prompt_equal_eager_ones(kin[1], cat, eager)


@pytest.mark.weekly
def test_further_runs_of_a_kindred_model_agree_with_each_other(kin, cat):
    """Soft caps, windows that a prefix is exempt from, tiles."""
    runs = extra_forwards.further(kin[1], cat)
    extra_forwards.test_all_tokens_give_the_run_again(runs)
    extra_forwards.test_the_score_of_some_tokens_is_that_of_a_run_on_them(runs)
    extra_forwards.test_leaving_before_the_first_layer_is_having_no_image(runs)
    extra_forwards.test_cutting_the_text_off_to_the_last_layer_equals_leaving(runs)
    extra_forwards.test_maps_hold_the_rows_that_were_captured(runs)
    extra_forwards.test_the_differentiable_forward_gives_the_score_and_its_slope(runs)


# -- Idefics3 and SmolVLM -------------------------------------------------------------------------


def test_tiles_come_in_rows_and_the_whole_image_last(checkpoint):
    """A picture twice as wide as high, then one that fits a single tile in both directions."""
    vlm = tokviz.load(checkpoint("idefics3"))
    wide = Image.new("RGB", (288, 144))
    layout = vlm.prepare([wide, wide.resize((144, 288))], PROMPT).asked.layout
    boxes = [tile.box for tile in layout.tiles if tile.image == 0]
    assert boxes[:3] == [(0, 0, 96, 72), (96, 0, 192, 72), (192, 0, 288, 72)]
    assert boxes[3] == (0, 72, 96, 144)
    assert boxes[6] == (0, 0, 288, 144)
    assert [tile.role for tile in layout.tiles] == (["tile"] * 6 + ["thumbnail"]) * 2
    assert [tile.box[:2] for tile in layout.tiles if tile.image == 1][:3] == [
        (0, 0), (72, 0), (0, 96),
    ]  # fmt: skip


def test_text_between_tiles_is_never_a_visual_token(checkpoint, cat):
    """The words that name a tile survive whatever is removed."""
    vlm = tokviz.load(checkpoint("idefics3"))
    trace = vlm.answer(cat, PROMPT, tokviz.plan("divprune", keep=3), 4)
    names = [t for t in trace.prompt_tokens if t.startswith("<row_")]
    assert names == [f"<row_{r}_col_{c}>" for r in (1, 2) for c in (1, 2, 3)]
    assert trace.kv_lengths[0] == len(trace.prompt_tokens) - trace.layout.n + 3 + trace.t - 1


def test_an_image_in_one_piece_is_whole():
    layout = tiled_layout([PlaceholderRun(16, None)] * 2, np.arange(32), [(40, 30), (9, 9)])
    assert [tile.role for tile in layout.tiles] == ["whole", "whole"]
    assert layout.tiles[0].box == (0, 0, 40, 30)
    assert layout.image.tolist() == [0] * 16 + [1] * 16


def test_a_processor_that_insists_on_videos_keeps_its_settings_without_them(checkpoint):
    """SmolVLM's takes no default for its video half, and transformers reads its argument names."""
    vlm = tokviz.load(checkpoint("smolvlm"))
    assert vlm.processor.image_seq_len == 16
    assert type(vlm.processor).__name__ == "SmolVLMProcessor"
    assert still_images(type(vlm.processor)).get_attributes() == ["image_processor", "tokenizer"]


# -- PaliGemma ------------------------------------------------------------------------------------


def test_paligemma_reads_images_then_bos_then_words(checkpoint, cat):
    vlm = tokviz.load(checkpoint("paligemma"))
    prepared = vlm.prepare([cat, cat], PROMPT)
    written = vlm.tokenizer.decode(prepared.asked.prompt_ids)
    assert written == "<image>" * 72 + f"<s>{PROMPT}\n"
    assert "labels" not in prepared.inputs
    assert prepared.positions[0, :3].tolist() == [1, 2, 3]
    own = prepared.asked.prompt_ids[prepared.asked.own_rows]
    assert vlm.tokenizer.decode(own) == PROMPT


def test_in_paligemma_the_first_image_token_sees_the_last_word(checkpoint, cat):
    """The prompt is a prefix that attends in both directions."""
    vlm = tokviz.load(checkpoint("paligemma"))
    one, two = (vlm.prepare(cat, f"what is {word}?") for word in ("this", "that"))
    states = []
    for prepared in (one, two):
        with torch.inference_mode():
            output = vlm.model(
                **prepared.inputs, position_ids=prepared.positions, output_hidden_states=True
            )
        states.append(output.hidden_states[1][0, 0])
    assert not torch.equal(*states)


# -- Gemma 3 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (101, 100)])
def test_pan_and_scan_gives_the_whole_image_first_and_then_its_crops(checkpoint, size):
    vlm = tokviz.load(checkpoint("gemma3"))
    vlm.processor.images_kwargs = {
        **vlm.processor.images_kwargs,
        "do_pan_and_scan": True,
        "pan_and_scan_min_crop_size": 40,
    }
    layout = vlm.prepare(Image.new("RGB", size), PROMPT).asked.layout
    long, short = max(size), min(size)
    if long / short < 1.2:
        assert [tile.role for tile in layout.tiles] == ["whole"]
        return
    assert [tile.role for tile in layout.tiles] == ["thumbnail", "tile", "tile", "tile"]
    axis = 0 if size[0] > size[1] else 1
    assert [tile.box[axis] for tile in layout.tiles] == [0, 0, 100, 200]
    square = geometry.test_the_token_whose_box_holds_a_changed_square_is_the_one_that_moves
    square(vlm, type(TINY_KIN["smolvlm"])(None, (size,)))


def test_gemma3_sees_an_image_in_both_directions_after_removal_too(checkpoint, cat):
    """The rows left of an image still see each other: their types are shortened with them."""
    vlm = tokviz.load(checkpoint("gemma3"))
    prepared = vlm.prepare(promises.pictures(cat, 2), PROMPT)
    n = prepared.asked.layout.n
    kept = np.arange(0, n, 4)
    _, run = run_plan(vlm, prepared, promises.chosen(promises.Reduction.select(kept, n)))
    types = run.prefill_input.row_inputs["token_type_ids"][0]
    ids = run.prefill_input.input_ids[0]
    assert types.tolist() == (ids == vlm.family.image_token_id(vlm.model)).int().tolist()
