"""Stored examples as files: a click sends a name, and the name gives exactly the value."""

import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from components.widgets.explorer import Overlay
from components.widgets.payload_cache import PayloadCache


@pytest.fixture
def cache():
    return PayloadCache()


def test_a_name_is_sent_and_gives_the_value_with_what_is_its_own(cache):
    drawn = cache.put({"panes": [1, 2.5, "<b>"], "view": {}}).with_own(view={"layer": 3})
    assert Overlay().postprocess(drawn) == {"panes": [1, 2.5, "<b>"], "view": {"layer": 3}}
    browser = TestClient(Starlette(routes=[cache.route()]))
    sent = Overlay().postprocess(drawn)
    assert sent == {"stored": drawn.name, "view": {"layer": 3}}
    for accepts in ("gzip", "identity"):
        file = browser.get(f"/stored/{drawn.name}", headers={"accept-encoding": accepts})
        assert {**file.json(), "view": {"layer": 3}} == drawn
        assert "immutable" in file.headers["cache-control"]


def test_the_same_value_is_kept_once_and_other_names_give_nothing(cache):
    assert cache.put({"a": 1}).name == cache.put({"a": 1}).name
    assert cache.put({"a": 2}).name != cache.put({"a": 1}).name
    browser = TestClient(Starlette(routes=[cache.route()]))
    assert browser.get("/stored/" + "0" * 32).status_code == 404


def test_a_cached_value_is_still_a_value(cache):
    drawn = cache.put({"lanes": [], "n": 4})
    assert json.loads(json.dumps(drawn)) == {"lanes": [], "n": 4}
    assert drawn | {"n": 5} == {"lanes": [], "n": 5}
