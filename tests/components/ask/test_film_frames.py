"""The frames of an example film: chosen on the page, and carried by what comes of the run."""

import json
from base64 import b64decode
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from components.answering.links import read_query
from components.ask.opening import LANES_AT, OpenHandlers
from components.ask.panel import AskHandlers
from components.ask.several import EMPTY, SeveralHandlers
from components.compare.panel import CompareHandlers
from components.look.saving import server_functions
from components.runs.models import Models
from components.runs.pictures import Sent
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.components.fake_vlm import FakeVLM
from tests.films import clock, write_animation
from tests.view.fakes import fake_trace
from tokviz.film import Film

PROMPT = "what moves ?"


@pytest.fixture(scope="module")
def vlm():
    return FakeVLM()


@pytest.fixture(scope="module")
def site(tmp_path_factory, vlm):
    """A film of two seconds, stored with three of its twenty frames, and a picture."""
    home = tmp_path_factory.mktemp("assets")
    (home / "traces").mkdir()
    write_animation(home / "film.gif", clock(20))
    timed(fake_trace(prompt=PROMPT)).save(home / "traces/film.safetensors")
    fake_trace().save(home / "traces/picture.safetensors")
    listed = [{"name": "film", "file": "film.gif", "frames": 3}]
    (home / "traces/index.json").write_text(json.dumps(listed))
    return Site(Settings(), StoredExamples(home), Models(load=lambda name: vlm))


def timed(trace):
    """A trace whose one picture is a frame."""
    return replace(trace, layout=trace.layout.timed([(0.0, 0.0)]))


def event(**data):
    return SimpleNamespace(_data=data)


def request(**query):
    return SimpleNamespace(session_hash="tab", query_params=query)


def session_of(site, name="film"):
    return site.stored.all[name].run.name


def sampled(site, how, text, sent=None, session=None):
    given = sent or Sent(), session_of(site) if session is None else session
    return SeveralHandlers(site).sample(*given, event(how=how, text=text))


def asked(site, sent, session="", prompt=PROMPT):
    *_, last = AskHandlers(site).ask(None, sent, prompt, "embedded", session, request())
    return last


def link_of(overlay):
    return {name: value for name, value in overlay["link"].items() if value is not None}


def test_an_example_film_shows_how_its_frames_were_chosen(site):
    handlers = SeveralHandlers(site)
    sent, gallery = handlers.picked(event(example="film"))
    assert not sent
    assert (gallery["film"], gallery["choice"], gallery["items"]) == (True, ["frames", "3"], [])
    assert handlers.opened(request()) == (sent, gallery)
    for name in ("picture", "nothing", None):
        assert handlers.picked(event(example=name)) == (Sent(), EMPTY)
    assert handlers.opened(request(example="picture")) == (Sent(), EMPTY)


def test_other_frames_of_an_example_film_are_asked_about(site, vlm):
    sent, gallery, _ = sampled(site, "times", "0, 0.5")
    assert [item["name"] for item in gallery["items"]] == ["0.0 s", "0.5 s"]
    asked(site, sent)
    assert isinstance(vlm.shown, Film)
    assert vlm.shown.times == (0.0, 0.5)
    none = sampled(site, "times", "0, 0.5", session=session_of(site, "picture"))
    assert all(value == {"__type__": "update"} for value in none)


@pytest.mark.parametrize(
    ("how", "text"), [("frames", "5"), ("rate", "1.5"), ("times", "0,0.3,1.25")]
)
def test_a_link_asks_about_the_same_frames_again(site, vlm, how, text):
    overlay = asked(site, sampled(site, how, text)[0])[2]
    numbers, link = vlm.shown.numbers, link_of(overlay)
    assert link == {
        "example": "film", "prompt": PROMPT, "model": "embedded", "run": "ask", how: text,
    }  # fmt: skip
    vlm.shown = None
    assert OpenHandlers(site).open_link(request(**link))[LANES_AT]["start"] == "ask"
    shown, gallery = SeveralHandlers(site).opened(request(**link))
    assert (shown.source, gallery["choice"]) == ("film", [how, text])
    sent = event(plans=[], link=f"?{urlencode(link)}")
    *_, last = CompareHandlers(site).compare(
        None, Sent(), "", "embedded", "", sent, request(**link)
    )
    assert vlm.shown.numbers == numbers
    assert link_of(last[2]) == link
    again = asked(site, Sent(), last[0], "and now ?")
    assert vlm.shown.numbers == numbers
    assert link_of(again[2])[how] == text


def test_a_link_that_only_chooses_frames_is_run_at_once(site):
    opened = OpenHandlers(site).open_link(request(example="film", rate="2"))
    assert opened[LANES_AT]["start"] == "ask"
    stored = OpenHandlers(site).open_link(request(example="film", frames="3"))
    assert stored[LANES_AT]["start"] is None


@pytest.mark.parametrize(
    "words",
    ["frames=99", "rate=x", "times=,", "frames=2&rate=1", "times=" + "1," * 99, "frames=3"],
)
def test_frames_of_a_link_that_cannot_be_chosen_are_left_out(site, words):
    query = read_query(f"?example=film&{words}")
    assert SeveralHandlers(site).opened(request(**query))[0] == Sent()
    linked = CompareHandlers(site).linked(query, [])
    assert linked.example == "film"
    assert linked.image is site.stored.all["film"].run.image


def test_a_link_to_frames_that_the_film_has_not_is_a_sentence(site):
    query = {"example": "film", "times": "60"}
    sent = event(plans=[], link=f"?{urlencode(query)}")
    *_, last = CompareHandlers(site).compare(None, Sent(), "", "embedded", "", sent, request())
    assert "there is no frame at 60 s" in last[1]["text"]
    assert SeveralHandlers(site).opened(request(**query))[0] == Sent()


@pytest.mark.parametrize(
    ("how", "text", "code"),
    [
        ("frames", "5", "frames=5"),
        ("rate", "2", "rate=2.0"),
        ("times", "0,1.5", "times=[0.0, 1.5]"),
    ],
)
def test_the_python_of_a_run_takes_the_same_frames(site, how, text, code):
    save_file, *_ = server_functions(site)
    run = site.run(asked(site, sampled(site, how, text)[0])[0])
    run.traces = {-1: timed(run.traces[-1])}
    given = save_file({"id": f"{run.name}:-1", "kind": "code", "view": {}})
    assert f"tokviz.open_film('film.mp4', {code})" in b64decode(given["data"]).decode()
