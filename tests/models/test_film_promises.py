"""The three promises and the places of tokens, for a film on every family, time axis included."""

import numpy as np
import pytest
import torch
from PIL import Image

import tokviz
from tests.films import film_of, noise_film
from tests.models.families.test_family_geometry import expected
from tests.models.test_promises import PROMPT, answered_or_refused, without_from_layer
from tests.models.tiny import TINY
from tests.models.tiny_tiles import TINY_KIN
from tokviz.capture import Capture
from tokviz.matrix import Reduction
from tokviz.plans import chosen
from tokviz.testing.geometry import GREY, RED, features, inner
from tokviz.testing.on_families import (
    check_generate,
    generated,
    hooks_of,
    plan_of,
    run_plan,
    without,
)
from tokviz.trace.layout import PATCH

pytestmark = pytest.mark.matrix

FRAMES = 5
"Odd: the last of Qwen's pairs has one frame."
TAKES_FILM = {"internvl", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"}
TAKES_FILM |= {"qwen3_5", "qwen3_5_moe", "smolvlm"}


FAMILIES = [
    pytest.param(name, marks=() if name in TAKES_FILM | {"llava"} else pytest.mark.weekly)
    for name in sorted(TINY | TINY_KIN)
]
"""Families that get frames as pictures are tried on one of them, and all by `make test-all`."""


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, checkpoint):
    """A tiny model of each family in turn."""
    return tokviz.load(checkpoint(request.param))


@pytest.fixture(scope="module")
def film():
    """Five frames of noise, two per second."""
    return noise_film(FRAMES)


@pytest.fixture(scope="module")
def asked(model, film):
    """The question about the film, ready for the model of each family in turn."""
    return model.prepare(film, PROMPT)


@pytest.mark.parametrize("place", ["nowhere", "before", "tower", "language_model"])
def test_keeping_every_token_of_a_film_equals_generate(model, asked, place):
    check_generate(model, asked, plan_of(place, asked.asked.layout.n))


def test_removing_before_the_language_model_equals_masking(model, asked):
    n = asked.asked.layout.n
    kept = np.sort(np.random.default_rng(1).permutation(n)[: n // 2])
    logits, run = run_plan(model, asked, chosen(Reduction.select(kept, n)))
    assert torch.allclose(logits[0], without(model, asked, kept), atol=1e-4)
    assert run.lane.length == len(asked.asked.prompt_ids) - n + len(kept)


def test_removing_inside_the_language_model_equals_masking_from_that_layer(model, asked):
    logits, run = run_plan(model, asked, tokviz.plan("fastv", keep=8, positions="keep"))
    (layer, done, _), *_ = run.lane.stages.done
    reference = without_from_layer(model, asked, done.kept, layer)
    assert torch.allclose(logits[0], reference, atol=1e-4)


@pytest.mark.parametrize("method", ["tome", pytest.param("relevance", marks=pytest.mark.weekly)])
def test_the_model_is_untouched_after_a_film(model, asked, film, method):
    modules = {key: id(module) for key, module in model.model.named_modules()}
    before, at_rest = generated(model, asked).logits, hooks_of(model)
    plan = tokviz.plan(method, keep="50%").mitigated("vcd")
    trace = answered_or_refused(model, film, plan, 3)
    assert trace is None or trace.layout.is_film
    assert {key: id(module) for key, module in model.model.named_modules()} == modules
    assert hooks_of(model) == at_rest
    for ours, theirs in zip(before, generated(model, asked).logits, strict=True):
        assert torch.equal(ours, theirs)


def test_every_image_of_the_layout_has_the_times_of_its_frames(model, asked, film):
    layout, step = asked.asked.layout, model.family.frames_per_image(model.model)
    assert step == (2 if model.family.name.startswith("qwen") else 1)
    images = -(-FRAMES // step)
    assert len(layout.sizes) == len(asked.asked.images) == images
    for tile in layout.tiles:
        own = film.times[tile.image * step : (tile.image + 1) * step]
        assert tile.time == (own[0], own[-1])
    cut = {tile.role for tile in layout.tiles}
    assert "frame" in cut or cut == {"thumbnail", "tile"}
    taken = model.family.film_pixels is not None
    assert taken == (model.family.name in TAKES_FILM)
    assert taken != any("takes no film" in note for note in asked.asked.notes)


def test_the_users_words_are_found_and_times_in_the_prompt_are_marks(model, asked):
    ids, own, marks = asked.asked.prompt_ids, asked.asked.own_rows, asked.asked.mark_rows
    assert model.tokenizer.decode(ids[own]).strip() == PROMPT
    assert not set(own) & set(marks)
    said = model.tokenizer.decode(ids[marks])
    timed = ("qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe")
    written = dict.fromkeys(timed, "<0.2 seconds>")
    written |= {"internvl": "Frame1:", "smolvlm": "You are provided"}
    assert said.startswith(written.get(model.family.name, ""))


def test_a_square_in_one_frame_moves_its_token_in_the_tile_of_that_time(model):
    frames = [Image.new("RGB", (96, 96), GREY)] * FRAMES
    before, prepared = features(model, film_of(frames))
    layout, step = prepared.asked.layout, model.family.frames_per_image(model.model)
    assert len(before) == layout.n
    for number in range(FRAMES):
        candidates = np.flatnonzero((layout.kind == PATCH) & (layout.image == number // step))
        for token in np.random.default_rng(number).permutation(candidates)[:3]:
            square = inner(layout.box[token], (96, 96))
            if square is None:
                continue
            spot = frames[number].copy()
            spot.paste(RED, square)
            changed = [*frames[:number], spot, *frames[number + 1 :]]
            moved = (features(model, film_of(changed))[0] - before).abs().sum(1).numpy()
            assert not moved[layout.image != number // step].any()
            for tile in np.unique(layout.tile[candidates]):
                target = expected(layout, tile, square)
                if target is not None:
                    assert int(np.where(layout.tile == tile, moved, 0).argmax()) == target


def test_control_images_of_a_film_are_films_too(model, film):
    capture = Capture.holding(("control_prob",))
    trace = model.answer(film, PROMPT, None, 2, capture)
    assert trace["control_prob"].shape[1] == trace.t


def test_a_trace_of_a_film_reads_back_with_its_times(model, film):
    trace = model.answer(film, PROMPT, tokviz.plan("divprune", keep=9), 2)
    again = tokviz.open_trace(trace.to_bytes())
    assert again.layout.tiles == trace.layout.tiles
    assert again.layout.is_film
    assert len(again.images) == len(again.layout.sizes)
