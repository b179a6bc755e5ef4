"""Links to runs on visitors' own pictures: off unless allowed, unguessable, over in time."""

import json
import time

import pytest

from components.ask.opening import OpenHandlers
from components.runs.runs import FULL, KeptRun
from components.runs.shared_runs import ABOUT, SharedRuns
from components.settings import Settings, read_settings
from components.share.sharing import server_functions
from components.site import Site
from tests.view.fakes import fake_trace, picture, pruned, stage, tiled_trace
from tokviz.errors import InputError


def own_run() -> KeptRun:
    lane = fake_trace(6, 6, (" a", " cat"), stages=(stage(pruned(36, 9), "fastv"),))
    return KeptRun(picture(), "what ?", "embedded", {FULL: fake_trace(6, 6), 0: lane})


@pytest.fixture
def site(tmp_path):
    site = Site(Settings(share_hours=24))
    site.shared = SharedRuns(tmp_path / "shared", 24)
    return site


@pytest.fixture
def functions(site):
    return {one.__name__: one for one in server_functions(site)}


def test_a_link_opens_the_run_for_whoever_has_it_and_only_its_maker_deletes_it(site, functions):
    run = site.runs.put(own_run())
    link = functions["share_run"]({"id": f"{run.name}:-1", "view": {"map": "tam", "layer": 2}})
    assert len(link["name"]) >= 32
    assert link["until"].endswith("UTC")
    shown = OpenHandlers(site).shared(link["name"])
    session, message, overlay, lanes = shown[3:7]
    assert overlay["answer"] == "a dog."
    assert overlay["view"]["map"] == "tam"
    assert "kept until" in message["text"]
    assert len(lanes["lanes"]) == 1
    assert site.run(session).image is not None
    assert not functions["unshare"]({"name": link["name"], "key": "wrong"})["gone"]
    assert not functions["unshare"]({"name": link["name"], "key": link["name"]})["gone"]
    assert functions["unshare"](link)["gone"]
    assert "no longer kept" in str(OpenHandlers(site).shared(link["name"])[4])


def test_a_link_keeps_several_pictures_in_their_order(site, functions):
    run = site.runs.put(KeptRun([picture()] * 2, "which ?", "embedded", {FULL: tiled_trace()}))
    link = functions["share_run"]({"id": f"{run.name}:-1"})
    overlay = OpenHandlers(site).shared(link["name"])[5]
    assert [(one["width"], one["height"]) for one in overlay["images"]] == [(100, 100), (200, 100)]
    opened = site.run(overlay["id"].partition(":")[0])
    red, blue = (one.getpixel((40, 40)) for one in opened.image)
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_the_folder_holds_no_key_and_no_uploaded_file(site, functions):
    run = site.runs.put(own_run())
    link = functions["share_run"]({"id": f"{run.name}:0"})
    home = site.shared.folder / link["name"]
    about = json.loads((home / ABOUT).read_text())
    assert link["key"] not in json.dumps(about)
    assert sorted(p.suffix for p in home.iterdir()) == [".json", ".safetensors", ".safetensors"]


def test_a_link_is_over_in_time(site, monkeypatch):
    link = site.shared.share(own_run(), {})
    later = time.time() + 25 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(InputError, match="no longer kept"):
        site.shared.open(link.name)
    assert not list(site.shared.folder.iterdir())


def test_the_oldest_go_when_there_is_no_room(tmp_path):
    one = sum(len(trace.to_bytes()) for trace in own_run().traces.values())
    shared = SharedRuns(tmp_path, 24, room=int(2.6 * one))
    links = [shared.share(own_run(), {}) for _ in range(3)]
    with pytest.raises(InputError):
        shared.open(links[0].name)
    shared.open(links[2].name)


@pytest.mark.parametrize("name", ["", "../../etc", "a" * 22, None, 5, "x" * 5000, ["a"], "." * 30])
def test_a_name_that_is_none_opens_nothing(site, name):
    with pytest.raises(InputError):
        site.shared.open(name)
    assert not site.shared.delete(name, "key")


def test_nothing_is_shared_unless_the_server_allows_it(tmp_path):
    closed = Site(Settings())
    assert server_functions(closed) == []
    with pytest.raises(InputError, match="makes no links"):
        closed.shared.share(own_run(), {})
    with pytest.raises(InputError):
        closed.shared.open("a" * 32)


def test_public_servers_share_nothing_and_one_s_own_machine_does_for_a_week():
    assert read_settings({}).link_hours == 168
    for public in (
        {"GRADIO_SERVER_NAME": "0.0.0.0"},
        {"SPACE_ID": "a/b"},
        {"TOKVIZ_HOSTS": "x.org"},
    ):
        assert read_settings(public).link_hours == 0
    assert read_settings({"TOKVIZ_SHARE_HOURS": "0"}).link_hours == 0
    assert read_settings({"SPACE_ID": "a/b", "TOKVIZ_SHARE_HOURS": "48"}).link_hours == 48


def test_an_example_needs_no_such_link(site, functions):
    assert "error" in functions["share_run"]({"id": "nothing:0"})
    assert "error" in functions["share_run"](None)
