"""Layers and heads that were too many to be sent with a run."""

import numpy as np
import pytest

from components.look.layer_rows import UNKNOWN, layer_reader
from components.runs.runs import FULL, GONE, KeptRun
from components.site import Site
from tests.view.fakes import fake_trace, picture
from tests.view.test_encode import unpack
from tokviz.view import overlay_maps
from tokviz.view.overlay import overlay_payload
from tokviz.view.page_file import page_html

SITE = Site()
TRACE = fake_trace(layers=4, heads=2)
TOWER = np.random.default_rng(0).random((3, 5, 6)).astype(np.float16)  # [u, g, n]
TRACE.arrays["cls_attention_heads"] = TOWER
read_layer = layer_reader(SITE)


def asked(**fields) -> dict:
    run = SITE.runs.put(KeptRun(picture(), "p", "fake", {FULL: TRACE}))
    return {"id": f"{run.name}:{FULL}", "map": "attention", "layer": 2, "heads": False} | fields


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, TRACE["attention"][:, 2]),
        ({"heads": True, "layer": 3}, TRACE["attention_heads"][:, 3]),
        ({"heads": True, "map": "tower"}, TOWER[2]),
    ],
)
def test_the_rows_are_those_of_the_trace(fields, wanted):
    np.testing.assert_array_equal(unpack(read_layer(asked(**fields))["rows"]), wanted)


def test_rows_beyond_the_room_of_a_payload_are_sent_too(monkeypatch):
    monkeypatch.setattr("components.look.layer_rows.ROOM", 8)
    rows = unpack(read_layer(asked(heads=True))["rows"])
    wanted = TRACE["attention_heads"][:, 2].astype(np.float32)
    np.testing.assert_allclose(rows, wanted, atol=wanted.max() / 254)


@pytest.mark.parametrize(
    "fields",
    [
        {"layer": 4}, {"layer": -1}, {"layer": True}, {"layer": "1"}, {"layer": None},
        {"map": "tower"}, {"map": "tam"}, {"map": None}, {"heads": 1, "map": "tower"},
    ],
)  # fmt: skip
def test_what_was_not_recorded_is_said_not_to_be(fields):
    assert read_layer(asked(**fields)) == {"error": UNKNOWN}


def test_only_whoever_knows_a_run_gets_its_rows():
    assert read_layer(asked(id="x:-1")) == {"error": GONE}
    assert read_layer(None) == {"error": UNKNOWN}


def test_a_payload_says_how_many_heads_the_server_has(monkeypatch):
    monkeypatch.setattr(overlay_maps, "ROOM", 40)
    payload = overlay_payload(TRACE, "id")
    assert payload["heads"] is None
    assert payload["tower_heads"] is None
    assert (payload["head_count"], payload["tower_head_count"]) == (2, 5)
    assert payload["attention_layers"] == [0, 2]
    assert '"savable": false' in page_html(payload)
