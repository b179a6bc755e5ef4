"""The toy world: the same scenes anywhere, and questions with one right answer."""

import random

import numpy as np
import pytest

from embedded.labels import scene_example
from embedded.questions import KINDS, ask_existence, missing_partners, questions
from embedded.things import NAMES, PARTNER, PLACES, plural
from embedded.world import CELL, SIDE, scene

pytestmark = pytest.mark.slow


def test_same_seed_gives_the_same_scene():
    first, second = scene(7, "test"), scene(7, "test")
    assert first.things == second.things
    assert np.array_equal(np.asarray(first.image), np.asarray(second.image))


def test_a_known_scene_stays_as_it_was():
    """Tables and hallucinations.json name scenes by number, so numbers must keep their meaning."""
    assert [(t.name, t.place) for t in scene(7, "test").things] == [
        ("tiger", "top center"), ("ghost", "middle left"), ("pumpkin", "bottom left"),
        ("circle", "bottom right"),
    ]  # fmt: skip


def test_plurals_are_english():
    """Names that end in a hiss have "es"; the world once asked how many "foxs" there are."""
    found = {name: plural(name) for name in NAMES}
    assert found["fox"] == "foxes"
    hissing = [text for name, text in found.items() if name.endswith(("s", "x", "z", "ch", "sh"))]
    assert all(text.endswith("es") or text == "fish" for text in hissing), hissing


def test_splits_share_no_scene():
    layouts = [{scene(seed, split).things for seed in range(100)} for split in ("train", "test")]
    assert not layouts[0] & layouts[1]


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split must be one of"):
        scene(0, "holdout")


@pytest.mark.parametrize("seed", range(20))
def test_things_stay_inside_their_cells_in_reading_order(seed):
    view = scene(seed)
    cells = [thing.cell for thing in view.things]
    assert cells == sorted(set(cells))
    for thing in view.things:
        left, top, right, bottom = thing.box
        assert left // CELL == (right - 1) // CELL == thing.cell % 3
        assert top // CELL == (bottom - 1) // CELL == thing.cell // 3
        assert thing.name in NAMES
        assert thing.place in PLACES


def test_a_larger_picture_shows_the_same_scene():
    small, large = scene(5), scene(5, side=3 * SIDE)
    assert large.things == small.things
    assert large.image.size == (576, 576)


def test_partners_come_together_by_habit():
    views = [scene(seed) for seed in range(400)]
    roomy = [v for v in views if len(v.things) < 5 and any(t.name in PARTNER for t in v.things)]
    together = sum(not missing_partners(view) for view in roomy) / len(roomy)
    assert 0.6 < together < 0.95


def test_existence_questions_tell_the_truth_about_any_name():
    view = scene(11)
    present = {thing.name for thing in view.things}
    for name in NAMES:
        asked = ask_existence(view, random.Random(0), name)
        assert asked.answer == ("yes" if name in present else "no")


def test_questions_repeat_with_the_same_random_numbers():
    view = scene(2)
    assert questions(view, random.Random(2)) == questions(view, random.Random(2))
    assert {q.kind for s in range(30) for q in questions(scene(s), random.Random(s))} == set(KINDS)


def test_every_thing_covers_patches_of_its_own_cell():
    view = scene(4)
    example = scene_example(view)
    for rank, thing in enumerate(view.things):
        assert set(example.labels["cell"][example.cover == rank]) == {thing.cell}
