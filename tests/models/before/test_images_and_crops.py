"""Each method meets several images, and several crops, as it declares, and never in silence."""

import numpy as np
import pytest

import tokviz
from tokviz.models.before.part_by_part import split_budget
from tokviz.reduction import METHODS
from tokviz.reduction.method import IMAGES, TILES
from tokviz.trace.layout import PATCH

PROMPT = "what is this?"


@pytest.fixture(scope="module")
def tiled(checkpoint):
    return tokviz.load(checkpoint("idefics3"))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_declares_how_it_meets_images_and_crops(name):
    assert METHODS[name].images in IMAGES
    assert METHODS[name].tiles in TILES
    if METHODS[name].place == "before":
        together = METHODS[name].frames or name in {"fastvggt", "hawk", "quota"}
        assert METHODS[name].images != "together" or together


@pytest.mark.parametrize("name", [n for n in sorted(METHODS) if METHODS[n].images == "one"])
def test_a_method_for_one_image_refuses_two_and_names_another_way(vlm, cat, name):
    title = METHODS[name].title
    with pytest.raises(tokviz.InputError, match=f"{title} is defined for one image.*has 2.*catp"):
        vlm.answer([cat, cat], PROMPT, tokviz.plan(name, keep=10), 2)


def test_a_ranking_inside_the_language_model_takes_all_images_together(vlm, cat):
    trace = vlm.answer([cat, cat.rotate(180)], PROMPT, tokviz.plan("fastv", keep=10), 2)
    score = trace.stages[0].reduction.score
    best = np.sort(np.argsort(-score, kind="stable")[:10])
    assert trace.reduction.kept.tolist() == best.tolist()
    assert any("all images together" in note for note in trace.notes)


def test_official_equal_shares_per_crop_and_a_decision_over_all_crops(tiled, cat):
    """VisionZip treats every crop alike; DivPrune lets the tokens of all crops compete."""
    crops = len(tiled.prepare(cat, PROMPT).asked.layout.tiles)
    assert crops > 2
    alike = tiled.answer(cat, PROMPT, tokviz.plan("fastervlm", keep=3 * crops), 2)
    assert np.bincount(alike.layout.tile[alike.reduction.kept]).tolist() == [3] * crops
    assert any("from each crop separately" in note for note in alike.notes)
    free = tiled.answer(cat, PROMPT, tokviz.plan("divprune", keep=3 * crops), 2)
    assert len(set(np.bincount(free.layout.tile[free.reduction.kept]).tolist())) > 1


@pytest.mark.parametrize("first", [None, "divprune"])
def test_newlines_are_no_tokens_of_a_crop(checkpoint, cat, first):
    """A newline lies in the tile of the token before it; the tower says nothing of it."""
    vlm = tokviz.load(checkpoint("llava_next"))
    layout = vlm.prepare(cat, PROMPT).asked.layout
    patch = layout.kind == PATCH
    assert 0 < patch.sum() < layout.n
    plan = tokviz.plan("fastervlm", keep=12)
    plan = tokviz.plan(first, keep=40).then(plan) if first else plan
    *before, stage = vlm.answer(cat, PROMPT, plan, 1).stages
    tokens = before[0].reduction.position if before else np.arange(layout.n)
    assert np.isnan(stage.reduction.score[~patch[tokens]]).all()
    assert patch[tokens[stage.reduction.position]].sum() == 12


def test_a_crop_is_decided_as_if_it_were_alone(tiled, cat):
    """FasterVLM's tokens of a crop are the best of that crop, whatever the others hold."""
    layout = tiled.prepare(cat, PROMPT).asked.layout
    crops = len(layout.tiles)
    trace = tiled.answer(cat, PROMPT, tokviz.plan("fastervlm", keep=2 * crops), 2)
    score = trace.stages[0].reduction.score
    for crop in range(crops):
        own = np.flatnonzero(layout.tile == crop)
        best = own[np.argsort(-score[own], kind="stable")[:2]]
        assert set(best) == set(trace.reduction.kept) & set(own)


def test_fewer_tokens_than_crops_are_refused_in_words(tiled, cat):
    with pytest.raises(tokviz.InputError, match="at least one token per crop"):
        tiled.answer(cat, PROMPT, tokviz.plan("fastervlm", keep=1), 2)


def test_a_small_crop_keeps_one_token_beside_large_ones():
    """By proportion it would get none, and the plan was refused though the budget was enough."""
    assert split_budget(12, [63, 63, 9], "image") == [6, 5, 1]
    assert split_budget(9, [36, 36], "image") == [5, 4]
    assert split_budget(3, [1, 500, 1], "crop") == [1, 1, 1]
    assert split_budget(10, [1, 5, 5], "crop") == [1, 5, 4]
    with pytest.raises(tokviz.InputError, match=r"one token per crop \(3\), got 2"):
        split_budget(2, [9, 9, 9], "crop")


def test_frames_merge_into_the_first_image_and_into_a_token_per_cell(vlm, cat):
    """FastVGGT's partition meets all images at once; nothing of the first one leaves."""
    pictures = [cat, cat.rotate(90), cat.rotate(180)]
    trace = vlm.answer(pictures, PROMPT, tokviz.plan("fastvggt", keep=54), 2)
    n = int((trace.layout.image == 0).sum())
    done = trace.stages[0].reduction
    assert (n, done.m) == (36, 54)  # 36 patches, and one per 2 x 2 cell of the other two
    assert np.bincount(trace.layout.image[done.roles["destination"]]).tolist() == [36, 9, 9]
    assert trace.layout.image[done.roles["merged away"]].min() == 1
    assert any("all images together" in note for note in trace.notes)


def test_the_crops_of_one_image_are_frames_too(tiled, cat):
    layout = tiled.prepare(cat, PROMPT).asked.layout
    first = int((layout.tile == 0).sum())
    with pytest.raises(tokviz.InputError, match="never merges its") as refused:
        tiled.answer(cat, PROMPT, tokviz.plan("fastvggt", keep=1), 2)
    keep = int(str(refused.value).split("keep must be ")[1].split()[0])
    assert first < keep < layout.n
    trace = tiled.answer(cat, PROMPT, tokviz.plan("fastvggt", keep=keep), 2)
    assert (
        np.bincount(trace.layout.tile[trace.stages[0].reduction.roles["destination"]])[0] == first
    )
