"""A run whose single heads, and some of whose layers, do not fit into what is sent with it."""

import numpy as np
import pytest

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import serve
from tests.components.fake_vlm import FakeVLM
from tests.view.fakes import fake_trace
from tokviz.view import overlay_maps

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VALUES = "() => Array.from(window.__tokviz.explorers[0].values)"
ARRIVED = "(count) => window.__tokviz.explorers[0].scene.late.arrived === count"


@pytest.fixture(scope="module")
def large_url(tmp_path_factory):
    home = tmp_path_factory.mktemp("large")
    (home / "traces").mkdir()
    fake_trace(6, 6, layers=5).save(home / "traces" / "large.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlay_maps, "ROOM", 300)  # two layers of the mean, no heads
        site = Site(Settings(), StoredExamples(home), Models(load=lambda name: FakeVLM()))
        yield from serve(site)


def test_layers_and_heads_come_when_they_are_looked_at(watched, large_url):
    trace = fake_trace(6, 6, layers=5)
    page = watched(large_url)
    assert page.evaluate("() => window.__tokviz.explorers[0].scene.sentLayers") == [0, 3]

    page.evaluate(
        "() => { const x = window.__tokviz.explorers[0];"
        " x.view.words = new Set([1]); x.layer(2); x.update(); }"
    )
    page.wait_for_function(ARRIVED, arg=1)
    page.wait_for_function("() => window.__tokviz.explorers[0].look")
    wanted = trace["attention"][1, 2].astype(np.float32)
    np.testing.assert_allclose(page.evaluate(VALUES), wanted, atol=wanted.max() / 250)

    page.get_by_role("button", name="Show all 2 heads").click()
    page.get_by_role("button", name="head 1 ").click()
    page.wait_for_function("() => window.__tokviz.explorers[0].look")
    wanted = trace["attention_heads"][1, 2, 1].astype(np.float32)
    np.testing.assert_allclose(page.evaluate(VALUES), wanted, atol=wanted.max() / 250)
    assert page.evaluate("() => window.__tokviz.explorers[0].scene.late.arrived") == 2
