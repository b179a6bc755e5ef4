"""A run's picture is sent once, whatever the number of lanes and updates."""

from components.answering.answering import answer
from components.answering.run_request import RunRequest
from components.runs.lane_request import LaneRequest
from tests.components.fake_vlm import FakeVLM, fake_site
from tests.view.fakes import picture
from tokviz.view.encode import data_url


def test_updates_after_the_first_and_lanes_come_without_the_picture():
    request = RunRequest(picture(), "what ?", "embedded", [LaneRequest("fastervlm", 9)] * 2)
    updates = list(answer(fake_site(FakeVLM()), request, "tab"))
    pending = [update.picture["images"][0] for update in updates if update.picture]
    assert pending[0]["src"]
    assert all("src" not in image for image in pending[1:])
    running = [update.lanes for update in updates if update.lanes][:-1]
    assert all(not (value["catalogue"] or value["mitigations"]) for value in running)
    lanes = updates[-1].lanes
    assert lanes["catalogue"]
    assert lanes["full"]["overlay"]["images"][0]["src"]
    assert all(lane["overlay"]["images"][0]["src"] == "" for lane in lanes["lanes"])


class EncodingVLM(FakeVLM):
    """Its first lane carries the pictures, as `tokviz.models.runs.streaming` gives them."""

    def _stream(self, *asked):
        for views in super()._stream(*asked):
            views[0].previews = (b"made once",)
            yield views


def test_the_page_takes_the_picture_that_the_run_has_encoded(monkeypatch):
    monkeypatch.setattr("components.answering.answering.preview_jpeg", None)
    request = RunRequest(picture(), "what ?", "embedded", [])
    first = next(u.picture for u in answer(fake_site(EncodingVLM()), request, "tab") if u.picture)
    assert first["images"][0]["src"] == data_url(b"made once")
