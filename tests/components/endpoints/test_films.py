"""The endpoints take the frames of a film that are asked for, and several pictures in order."""

import base64
import json

import pytest
from gradio_client import Client, handle_file

from tests.components.endpoints.conftest import call_tool
from tests.films import clock, number_of, write_animation, write_film
from tests.serving import PATIENT
from tokviz.film import Film


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """name -> path of a film of 2 seconds, an animation, and three pictures."""
    home = tmp_path_factory.mktemp("sent")
    write_film(home / "film.mp4", clock(20))
    write_animation(home / "film.gif", clock(5))
    for number, frame in enumerate(clock(3)):
        frame.save(home / f"{number}.png")
    return {path.name: path for path in home.iterdir()}


@pytest.fixture(scope="module")
def client(tools):
    return Client(tools.url, verbose=False, httpx_kwargs=PATIENT)


def numbers(shown):
    """The numbers of the frames or pictures that the model was asked about."""
    return [number_of(one) for one in (shown.frames if isinstance(shown, Film) else shown)]


@pytest.mark.parametrize(
    ("name", "asked", "seen"),
    [
        ("film.mp4", {}, 8),
        ("film.mp4", {"frames": 3}, [0, 10, 19]),
        ("film.mp4", {"rate": 2}, [0, 5, 10, 15]),
        ("film.mp4", {"times": [0, 1.0]}, [0, 10]),
        ("film.gif", {"frames": 2}, [0, 4]),
        ("0.png", {}, [0]),
    ],
)
def test_a_film_shows_the_frames_that_are_asked_for(tools, client, files, name, asked, seen):
    given = {"image": handle_file(files[name]), "prompt": "what ?", **asked}
    got = client.predict(**given, api_name="/answer")
    assert got["full"]["answer"]
    found = numbers(tools.vlm.shown)
    assert isinstance(tools.vlm.shown, Film) is name.startswith("film")
    assert found == seen or len(found) == seen


def test_further_pictures_come_after_the_first(tools, client, files):
    more = [handle_file(files["0.png"]), handle_file(files["1.png"])]
    given = {"image": handle_file(files["2.png"]), "prompt": "what ?", "more": more}
    parts = list(client.submit(**given, api_name="/answer_stream"))
    assert parts[-1]["done"]
    assert parts[-1]["full"]["answer"]
    assert numbers(tools.vlm.shown) == [2, 0, 1]


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("film.mp4", {"frames": 33}, "Frames must be 1 to 32"),
        ("film.mp4", {"frames": -1}, "Frames must be 1 to 32"),
        ("film.mp4", {"frames": 2.5}, "Frames must be 1 to 32"),
        ("film.mp4", {"frames": 2, "rate": 1}, "one of frames, rate and times"),
        ("film.mp4", {"rate": -1}, "Rate must be a number from 0.001 to 1000"),
        ("film.mp4", {"times": [1] * 33}, "Times must be 1 to 32 numbers of seconds"),
        ("film.mp4", {"times": [-1]}, "Each of times must be a number from 0"),
        ("film.mp4", {"times": ["zebra-49152"]}, "Each of times must be a number from 0"),
        ("film.mp4", {"times": {"a": [1]}}, "Times must be 1 to 32 numbers of seconds"),
        ("film.mp4", {"times": 5}, "Times must be 1 to 32 numbers of seconds"),
        ("0.png", {"frames": 3}, "not a film"),
        ("film.mp4", {"more": ["0.png"]}, "a film must come alone"),
        ("film.mp4", {"frames": 2, "more": ["0.png"]}, "a film must come alone"),
        ("0.png", {"more": ["1.png"] * 8}, "at most 8 pictures"),
    ],
)
def test_frames_that_cannot_be_chosen_are_a_sentence(tools, client, files, name, asked, said):
    before = tools.vlm.steps_taken
    given = {"image": handle_file(files[name]), "prompt": "what ?", **asked}
    if "more" in asked:
        given["more"] = [handle_file(files[one]) for one in asked["more"]]
    got = client.predict(**given, api_name="/answer")
    assert list(got) == ["error"]
    assert said.lower() in got["error"].lower()
    assert "zebra" not in got["error"]
    assert tools.vlm.steps_taken == before


def in_base64(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_a_tool_takes_frames_and_several_pictures(tools, files):
    film = {"image": in_base64(files["film.mp4"]), "prompt": "what ?", "times": [0, 1]}
    wrong, text = call_tool(tools.url, "answer", **film)
    assert not wrong, text
    assert json.loads(text)["full"]["answer"]
    assert numbers(tools.vlm.shown) == [0, 10]
    more = [in_base64(files["2.png"])]
    wrong, text = call_tool(
        tools.url, "answer", image=in_base64(files["1.png"]), prompt="what ?", more=more
    )
    assert not wrong, text
    assert numbers(tools.vlm.shown) == [1, 2]


@pytest.mark.parametrize(
    "asked",
    [
        {"frames": 33}, {"frames": "x"}, {"rate": float("nan")}, {"times": ["x"]},
        {"times": [1] * 33}, {"times": 5}, {"more": "x"}, {"more": [5]}, {"more": ["#"] * 8},
        {"more": ["/etc/passwd"]},
    ],
)  # fmt: skip
def test_a_tool_refuses_wrong_frames_and_files_in_a_sentence(tools, files, asked):
    before = tools.vlm.steps_taken
    given = {"image": in_base64(files["film.mp4"]), "prompt": "what ?", **asked}
    wrong, text = call_tool(tools.url, "answer", **given)
    assert wrong
    assert text.endswith(".")
    assert "our side" not in text
    assert "passwd" not in text
    assert tools.vlm.steps_taken == before
