"""Stored examples as files: a click sends a name, and the name gives exactly the value."""

import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from components.look.explorer import Overlay
from components.payload_cache import SHELF, Shelf


@pytest.fixture
def shelf(monkeypatch):
    fresh = Shelf()
    monkeypatch.setattr("components.payload_cache.SHELF", fresh)
    return fresh


def test_a_name_is_sent_and_gives_the_value_with_what_is_its_own(shelf):
    drawn = shelf.put({"panes": [1, 2.5, "<b>"], "view": {}}).with_own(view={"layer": 3})
    assert Overlay().postprocess(drawn) == {"panes": [1, 2.5, "<b>"], "view": {"layer": 3}}
    browser = TestClient(Starlette(routes=[shelf.route()]))
    sent = Overlay().postprocess(drawn)
    assert sent == {"stored": drawn.name, "view": {"layer": 3}}
    for accepts in ("gzip", "identity"):
        file = browser.get(f"/stored/{drawn.name}", headers={"accept-encoding": accepts})
        assert {**file.json(), "view": {"layer": 3}} == drawn
        assert "immutable" in file.headers["cache-control"]


def test_the_same_value_is_kept_once_and_other_names_give_nothing(shelf):
    assert shelf.put({"a": 1}).name == shelf.put({"a": 1}).name
    assert shelf.put({"a": 2}).name != shelf.put({"a": 1}).name
    browser = TestClient(Starlette(routes=[shelf.route()]))
    assert browser.get("/stored/" + "0" * 32).status_code == 404


def test_a_value_on_the_shelf_is_still_a_value():
    drawn = SHELF.put({"lanes": [], "n": 4})
    assert json.loads(json.dumps(drawn)) == {"lanes": [], "n": 4}
    assert drawn | {"n": 5} == {"lanes": [], "n": 5}
