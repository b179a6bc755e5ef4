"""Several pictures or a film in place of one picture: what is shown, in which order, refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from components.ask.opening import pictures_of
from components.ask.several import SeveralHandlers, sent_of
from components.runs.pictures import (
    MAX_PICTURES,
    Pictures,
    Sent,
    as_list,
    given,
)
from components.runs.stored_examples import StoredExamples
from tests.films import clock, write_animation, write_film
from tokviz.errors import InputError
from tokviz.film import Film
from tokviz.film.choice import read_choice
from tokviz.images import preview_jpeg

SENT, GALLERY = 0, 1
NO = Path()
"No folder of examples."


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """name -> path: three pictures, a film, an animation, and a GIF of one frame."""
    folder = tmp_path_factory.mktemp("uploads")
    found = {"film.mp4": str(write_film(folder / "film.mp4", clock(20)))}
    found["film.gif"] = str(write_animation(folder / "film.gif", clock(5)))
    for i in range(3):
        path = folder / f"{i}.png"
        Image.new("RGB", (20 + i, 20)).save(path)
        found[path.name] = str(path)
    Image.new("RGB", (9, 9)).save(folder / "still.gif")
    return found | {"still.gif": str(folder / "still.gif")}


@pytest.fixture
def handlers():
    site = SimpleNamespace(pictures=Pictures(), run=lambda session: None, stored=StoredExamples(NO))
    return SeveralHandlers(site)


def choice(how, text):
    return SimpleNamespace(_data={"how": how, "text": text})


def order(numbers):
    return SimpleNamespace(_data={"order": numbers})


def test_pictures_keep_the_order_in_which_they_were_sent_and_can_be_moved(handlers, files):
    _, sent, gallery, said = handlers.upload([files[f"{i}.png"] for i in (2, 0, 1)])
    assert [item["name"] for item in gallery["items"]] == ["2.png", "0.png", "1.png"]
    assert "3 pictures" in said["text"]
    moved = handlers.arrange(sent, order([1, 2, 0]))
    assert [item["name"] for item in moved[GALLERY]["items"]] == ["0.png", "1.png", "2.png"]
    assert [picture.width for picture in Pictures().open(moved[SENT])] == [20, 21, 22]
    assert handlers.arrange(sent, order([]))[SENT] == Sent()


@pytest.mark.parametrize("numbers", [[3], [-1], [0, 0], ["0"], [True], None, {"a": 1}, [[0]]])
def test_an_order_that_is_none_changes_nothing(handlers, files, numbers):
    sent = Sent((files["0.png"], files["1.png"]))
    assert all(value == {"__type__": "update"} for value in handlers.arrange(sent, order(numbers)))


def test_a_film_shows_the_frames_that_are_asked_for(handlers, files):
    for name, total in (("film.mp4", 20), ("film.gif", 5)):
        _, sent, gallery, _ = handlers.upload([files[name]])
        assert (sent.film, gallery["film"]) == (True, True)
        assert len(gallery["items"]) == min(8, total)
        fewer = handlers.sample(sent, "", choice("frames", "3"))
        assert fewer[SENT].frames == len(fewer[GALLERY]["items"]) == 3
        film = Pictures().open(fewer[SENT])
        assert isinstance(film, Film)
        assert given(film) is film
        assert len(as_list(film)) == 3


@pytest.mark.parametrize(
    ("how", "text", "seconds", "written"),
    [
        ("frames", "2", (0, 1.9), {"frames": 2}),
        ("rate", "2", (0, 0.5, 1, 1.5), {"rate": 2.0}),
        ("times", "0.5, 1.2;0", (0, 0.5, 1.2), {"times": (0.5, 1.2, 0.0)}),
    ],
)
def test_frames_are_chosen_by_number_by_rate_or_by_times(
    handlers, files, how, text, seconds, written
):
    """The way chosen before is forgotten, and what the form then shows is what was typed."""
    sent = Sent((files["film.mp4"],), True, frames=5)
    new, gallery, said = handlers.sample(sent, "", choice(how, text))
    assert new == Sent((files["film.mp4"],), True, **written)
    assert Pictures().open(new).times == pytest.approx(seconds)
    assert [item["name"] for item in gallery["items"]] == [f"{one:.1f} s" for one in seconds]
    assert gallery["choice"][0] == how
    assert read_choice(dict([gallery["choice"]])) == written
    assert not said["text"]


def test_another_way_of_choosing_begins_with_about_the_same_frames(handlers, files):
    _, sent, gallery, _ = handlers.upload([files["film.mp4"]])
    before = Pictures().open(sent)
    assert gallery["choice"] == ["frames", "8"]
    for how, text in gallery["others"].items():
        after = Pictures().open(handlers.sample(sent, "", choice(how, text))[SENT])
        assert len(after) == 8, how
        if how != "rate":
            assert after.numbers == before.numbers


@pytest.mark.parametrize(
    ("how", "text", "words"),
    [
        ("frames", "33", "frames must be 1 to 32"),
        ("frames", "2.5", "frames must be 1 to 32"),
        ("rate", "99", "at most 32 are allowed"),
        ("rate", "nan", "rate must be a number"),
        ("times", "7", "ends at 2.0 s"),
        ("times", "now", "each of times must be a number"),
        ("times", "1 " * 33, "times must be 1 to 32 numbers"),
        ("times", "", "say which frames"),
        ("paths", "/etc/passwd", "say which frames"),
        ("frames", {"a": 1}, "frames must be 1 to 32"),
    ],
)
def test_frames_that_cannot_be_had_are_a_sentence_and_the_old_ones_stay(
    handlers, files, how, text, words
):
    sent = Sent((files["film.mp4"],), True)
    new, gallery, said = handlers.sample(sent, "", choice(how, text))
    assert new == gallery == {"__type__": "update"}
    assert said["kind"] == "bad"
    assert words in said["text"].lower()


def test_uploads_that_cannot_be_asked_about_are_refused_in_a_sentence(handlers, files):
    pictures = [files["0.png"]]
    for paths, words in (
        ([files["film.mp4"], *pictures], "a film must come alone"),
        (pictures * (MAX_PICTURES + 1), "at most 8 pictures"),
    ):
        with pytest.raises(InputError, match=words):
            sent_of(paths)
        assert handlers.upload(paths)[-1]["kind"] == "bad"
    assert sent_of([files["still.gif"]]) == Sent((files["still.gif"],))


def test_a_film_file_is_a_film_wherever_a_picture_is_asked_for(files):
    """The endpoint has one field for both."""
    assert isinstance(Pictures().open(files["film.mp4"]), Film)
    assert isinstance(Pictures().open(files["film.gif"]), Image.Image)


def test_the_pictures_of_a_trace_can_be_asked_about_again_its_frames_cannot():
    site = SimpleNamespace(pictures=Pictures())
    jpegs = [preview_jpeg(frame) for frame in clock(2)]
    layout = SimpleNamespace(is_film=False)
    assert len(pictures_of(site, SimpleNamespace(images=tuple(jpegs), layout=layout))) == 2
    layout.is_film = True
    assert pictures_of(site, SimpleNamespace(images=tuple(jpegs), layout=layout)) is None
