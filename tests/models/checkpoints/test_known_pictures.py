"""A model that knows what its pictures look like says when one is unlike them."""

import shutil

import numpy as np
import pytest
import torch
from skimage import data

import tokviz
from components.answering.answering import end_message
from components.runs.models import Models
from components.runs.runs import KeptRun
from embedded.habit_exam import held_out
from tokviz.errors import ModelError
from tokviz.models.checkpoints.known_pictures import FILE, KnownPictures
from tokviz.models.checkpoints.loading import EMBEDDED
from tokviz.trace.unlike_pictures import says_unlike, unlike_sentence


@pytest.fixture(scope="module")
def vlm(shipped_model):
    return shipped_model


def scenes(count):
    return [view.image for view in held_out(count, 3_000_000)]


def test_a_picture_with_one_strange_quarter_is_unknown():
    known = KnownPictures(torch.zeros(2), torch.eye(2), 2.0, "things")
    patches = torch.zeros(3, 4, 5, 2)
    patches[1, 2:, 2:, 0] = 3.0
    patches[2, 0, 0, 1] = 4.0  # one patch of four in its quarter
    assert known.distance(patches).tolist() == [0.0, 3.0, 1.0]
    assert known.knows(patches).tolist() == [True, False, True]


@pytest.mark.parametrize("photograph", ["astronaut", "cat", "coins", "rocket"])
def test_a_photograph_is_said_to_be_unlike_what_the_model_learned_from(vlm, photograph):
    trace = vlm.answer(getattr(data, photograph)(), "what is this ?", max_new_tokens=1)
    assert says_unlike(trace.notes)
    run = KeptRun(None, "what is this ?", "embedded", {0: trace})
    text, kind = end_message(Models(("embedded", "a/b")), vlm, run, stopped=False)
    assert "choose another model" in text
    assert kind == "warn"


def test_scenes_are_known_and_nothing_is_said_of_them(vlm):
    traces = [vlm.answer(view, "is there a dog ?", max_new_tokens=1) for view in scenes(6)]
    assert sum(says_unlike(trace.notes) for trace in traces) <= 1
    run = KeptRun(None, "is there a dog ?", "embedded", {0: traces[0]})
    assert end_message(Models(), vlm, run, stopped=False) == ("", "")


def test_the_picture_is_named_where_there_are_several(vlm):
    shown, photograph = scenes(1)[0], data.astronaut()
    trace = vlm.answer([shown, photograph], "is there a dog ?", max_new_tokens=1)
    (note,) = [note for note in trace.notes if says_unlike([note])]
    assert note.startswith("Picture 2 is unlike the small rendered scenes")
    assert unlike_sentence([1, 3], 3, "scenes").startswith("Pictures 1, 3 are unlike the scenes")


def test_a_folder_without_the_file_is_never_judged(tmp_path):
    folder = shutil.copytree(EMBEDDED, tmp_path / "model", ignore=shutil.ignore_patterns(FILE))
    assert tokviz.load(folder).known_pictures is None


@pytest.mark.parametrize("held", [b"no zip", {"mean": np.zeros(3)}, {}])
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path, held):
    folder = shutil.copytree(EMBEDDED, tmp_path / "model")
    if isinstance(held, bytes):
        (folder / FILE).write_bytes(held)
    else:
        np.savez(folder / FILE, **held)
    with pytest.raises(ModelError, match=r"its known_pictures\.npz cannot be used .*remove"):
        tokviz.load(folder)
