"""One question about several example pictures: put together by clicks, and from a link."""

import json
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from components.answering.links import read_query
from components.ask.opening import MESSAGE_AT, OpenHandlers
from components.ask.panel import AskHandlers
from components.ask.several import SeveralHandlers
from components.compare.panel import CompareHandlers
from components.runs.models import Models
from components.runs.pictures import Sent
from components.runs.runs import FULL, KeptRun
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.components.fake_vlm import FakeVLM
from tests.films import clock, write_animation
from tests.view.fakes import BLUE, RED, fake_trace, picture

SENT, GALLERY, SAID = 1, 2, 3
LANES_AT, MODEL_AT = 6, -1
NAMES = ("blue", "red", "green")


@pytest.fixture(scope="module")
def vlm():
    return FakeVLM()


@pytest.fixture(scope="module")
def site(tmp_path_factory, vlm):
    """Three examples with pictures, one whose name has a comma, and one known by its trace."""
    home = tmp_path_factory.mktemp("assets")
    (home / "traces").mkdir()
    listed = []
    for name, colour in zip((*NAMES, "a,b"), (BLUE, RED, (40, 200, 40), RED), strict=True):
        picture(colour).save(home / f"{name}.png")
        listed.append({"name": name, "file": f"{name}.png"})
        fake_trace(prompt=f"what is {name} ?").save(home / "traces" / f"{name}.safetensors")
    fake_trace().save(home / "traces" / "bare.safetensors")
    (home / "traces/index.json").write_text(json.dumps(listed))
    write_animation(home / "film.gif", clock(3))
    return Site(Settings(), StoredExamples(home), Models(load=lambda name: vlm))


def event(**data):
    return SimpleNamespace(_data=data)


def request(**query):
    return SimpleNamespace(session_hash="tab", query_params=query)


def added(site, *names, sent=None, image=None, session=""):
    """What is there after examples were added in turn, and what the last one said."""
    found = (None, sent or Sent())
    for name in names:
        found = SeveralHandlers(site).add(found[SENT], image, session, event(example=name))
        image = None
    return found


def colours(vlm):
    """What the pictures of the last question show, by the middle of their squares."""
    pixels = [one.getpixel((one.width // 3, one.height // 3)) for one in vlm.shown]
    return [["red", "green", "blue"][pixel.index(max(pixel))] for pixel in pixels]


def asked(site, sent, prompt="which ?"):
    *_, last = AskHandlers(site).ask(None, sent, prompt, "embedded", "", request())
    return last


def test_examples_stand_in_the_order_in_which_they_were_added(site, vlm):
    found = added(site, "red", "blue")
    assert [item["name"] for item in found[GALLERY]["items"]] == ["red.png", "blue.png"]
    assert "2 pictures" in found[SAID]["text"]
    asked(site, found[SENT])
    assert colours(vlm) == ["red", "blue"]
    turned = SeveralHandlers(site).arrange(found[SENT], event(order=[1, 0]))[0]
    assert turned.source == "blue,red"


def test_the_shown_example_or_the_uploaded_picture_comes_first(site, tmp_path):
    shown = site.stored.all["green"].run.name
    assert added(site, "red", session=shown)[SENT].source == "green,red"
    assert added(site, "green", session=shown)[SENT].source == "green"
    own = tmp_path / "own.png"
    picture().save(own)
    mixed = added(site, "red", image=str(own), session=shown)
    assert [item["name"] for item in mixed[GALLERY]["items"]] == ["own.png", "red.png"]
    assert mixed[SENT].source == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "no such example"), ("red,blue", "no such example"), (None, "no such example"),
        (["red"], "no such example"), ("bare", "no picture file"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_a_sentence(site, name, said):
    found = added(site, name)
    assert found[SAID]["kind"] == "bad"
    assert said in found[SAID]["text"]


def test_a_film_and_a_ninth_picture_are_refused(site):
    film = Sent((str(site.stored.assets / "film.gif"),), film=True)
    assert "must come alone" in added(site, "red", sent=film)[SAID]["text"]
    eight = added(site, *["red", "blue"] * 4)
    assert len(eight[GALLERY]["items"]) == 8
    assert "t most 8 pictures" in added(site, "red", sent=eight[SENT])[SAID]["text"]


def test_a_link_asks_about_all_pictures_in_their_order(site, vlm):
    """The page opens the first example, then its script asks as the address says."""
    overlay = asked(site, added(site, "green", "red", "blue")[SENT])[2]
    link = {k: v for k, v in overlay["link"].items() if v is not None}
    assert link == {"example": "green,red,blue", "prompt": "which ?", "model": "embedded",
                    "run": "ask"}  # fmt: skip
    vlm.shown = None
    opened = OpenHandlers(site).open_link(request(**link))
    assert "3 example pictures" in opened[MESSAGE_AT]["text"]
    assert opened[1] == "which ?"
    assert opened[LANES_AT]["start"] == "ask"
    sent = event(plans=[], link=f"?{urlencode(link)}")
    *_, last = CompareHandlers(site).compare(
        None, Sent(), "", "embedded", "", sent, request(**link)
    )
    assert colours(vlm) == ["green", "red", "blue"]
    assert {k: v for k, v in last[2]["link"].items() if v is not None} == link
    again = AskHandlers(site).ask(None, Sent(), "and now ?", "embedded", last[0], request())
    assert list(again)[-1][2]["link"]["example"] == "green,red,blue"


def test_an_example_whose_name_has_a_comma_is_one(site, vlm):
    opened = OpenHandlers(site).open_link(request(example="a,b"))
    assert opened[1] == "what is a,b ?"
    assert opened[LANES_AT]["start"] is None
    asked_about = CompareHandlers(site).linked(read_query("?example=a,b"), [])
    assert asked_about.example == "a,b"


@pytest.mark.parametrize("names", ["red,nothing", "red,", ",", ",".join(["red"] * 9), "x" * 10_000])
def test_a_link_to_pictures_that_are_not_here_is_a_sentence(site, names):
    opened = OpenHandlers(site).open_link(request(example=names))
    assert opened[MESSAGE_AT]["kind"] == "bad"
    sent = event(plans=[], link=f"?{urlencode({'example': names})}")
    (only,) = CompareHandlers(site).compare(None, Sent(), "", "embedded", "", sent, request())
    assert only[1]["kind"] == "bad"


def test_a_run_on_one_s_own_pictures_has_no_link_of_this_kind(site, tmp_path):
    own = tmp_path / "own.png"
    picture().save(own)
    overlay = asked(site, added(site, "red", image=str(own))[SENT])[2]
    assert overlay["link"] == {}


def test_a_kept_run_of_several_examples_is_no_example(site):
    run = site.runs.put(KeptRun([picture()], "p", "m", {FULL: fake_trace()}, source="red,blue"))
    assert added(site, "green", session=run.name)[SENT].source == "green"
