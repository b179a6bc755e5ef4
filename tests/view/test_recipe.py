"""The Python that makes a view runs, and gives the numbers that the page shows."""

from dataclasses import replace

import numpy as np
import pytest

import tokviz
from tests.films import clock, write_animation
from tests.view.fakes import fake_trace, pruned, stage, tiled_trace
from tokviz.view.recipe import recipe

EVIL = '"); import os; os.abort() #\n{}\\'


class Answers:
    """Stands for a loaded model: hands out a trace and notes what it was asked."""

    def __init__(self, trace):
        self.trace, self.asked = trace, None

    def answer(self, picture, prompt, plan):
        self.asked = (picture, prompt, plan)
        return self.trace


def run(trace, view, tmp_path, monkeypatch, **more):
    vlm = Answers(trace)
    monkeypatch.setattr(tokviz, "load", lambda name: vlm)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(recipe(trace, view, **more), names)
    assert (tmp_path / "view.png").is_file()
    return vlm, names["values"]


VIEWS = {
    "all words": ({"map": "attention", "layer": 2}, lambda t: t["attention"][[0, 1, 2], 2].mean(0)),
    "words": (
        {"map": "attention", "layer": 1, "words": [0, 2]},
        lambda t: t["attention"][[0, 2], 1].sum(0),
    ),
    "head": (
        {"map": "attention", "layer": 1, "head": 1, "words": [1]},
        lambda t: t["attention_heads"][1, 1, 1],
    ),
    "tower": ({"map": "tower", "layer": 2}, lambda t: t["cls_attention"][2]),
    "phi": ({"map": "phi", "layer": 3}, lambda t: t["sink_phi"][3, t["token_position"]]),
    "score": ({"map": "score"}, lambda t: t.stages[0].reduction.score),
}


@pytest.mark.parametrize("name", VIEWS)
def test_it_gives_the_numbers_of_the_view(name, tmp_path, monkeypatch):
    view, expected = VIEWS[name]
    trace = fake_trace(6, 6, stages=(stage(pruned(36, 9)),))
    vlm, values = run(trace, view, tmp_path, monkeypatch)
    numbers = np.asarray(expected(trace), np.float32)
    np.testing.assert_allclose(values, numbers, rtol=2e-3)
    assert (vlm.asked[2].steps[0].method, vlm.asked[2].steps[0].keep) == ("fastervlm", 9)


def test_a_choice_by_hand_is_written_out(tmp_path, monkeypatch):
    trace, lane = fake_trace(stages=(stage(pruned(6, 2)),)), {"tokens": [4, 1]}
    vlm, _ = run(trace, {}, tmp_path, monkeypatch, lane=lane)
    assert vlm.asked[2].steps[0].reduction.kept.tolist() == [1, 4]


def test_hostile_texts_stay_texts(tmp_path, monkeypatch):
    trace = fake_trace(prompt=EVIL, words=(EVIL,))
    vlm, _ = run(trace, {}, tmp_path, monkeypatch, picture=EVIL)
    assert vlm.asked == (EVIL, EVIL, None)


def test_several_pictures_are_asked_about_together(tmp_path, monkeypatch):
    vlm, _ = run(fake_trace(), {}, tmp_path, monkeypatch, picture=["b.png", EVIL])
    assert vlm.asked[0] == ["b.png", EVIL]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "numbers"),
    [
        ({"frames": 2}, (0, 9)),
        ({"rate": 5.0}, (0, 2, 4, 6, 8)),
        ({"times": (0.0, 0.31)}, (0, 3)),
        (None, (0, 2, 5)),
    ],
)
def test_a_film_is_asked_about_with_the_same_frames(tmp_path, monkeypatch, frames, numbers):
    """Without the choice, as from a file, the times of the frames are in the trace."""
    film = str(write_animation(tmp_path / "film.gif", clock(10)))
    trace = tiled_trace()
    trace = replace(trace, layout=trace.layout.timed([(0.0, 0.2), (0.5, 0.5)]))
    vlm, _ = run(trace, {}, tmp_path, monkeypatch, picture=film, frames=frames)
    assert vlm.asked[0].numbers == numbers


def renamed(trace, **model):
    return replace(trace, model={**trace.model, **model})


def test_a_run_that_no_code_makes_again_says_why():
    trace = fake_trace(6, 6, stages=(stage(pruned(36, 9)),))
    for odd, why in (
        (renamed(trace, imported="CoViPAL"), "the decisions of CoViPAL were imported, and no"),
        (renamed(trace, reason="as given"), "its model was given as an object"),
        (replace(trace, stages=(stage(pruned(36, 9), "mine"),)), "there is no method 'mine' here"),
    ):
        with pytest.raises(tokviz.InputError, match=why):
            recipe(odd)


def test_several_methods_are_written_in_their_order(tmp_path, monkeypatch):
    both = (stage(pruned(36, 20), "tome"), stage(pruned(20, 9), "fastervlm"))
    vlm, _ = run(fake_trace(6, 6, stages=both), {}, tmp_path, monkeypatch)
    steps = [(step.method, step.keep) for step in vlm.asked[2].steps]
    assert steps == [("tome", 20), ("fastervlm", 9)]
