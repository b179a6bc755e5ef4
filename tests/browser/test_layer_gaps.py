"""A run of a model some of whose layers are linear attention: the page says so, layer by layer."""

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from skimage import data

import tokviz
from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import serve
from tests.models.tiny import TINY, save
from tokviz.trace.layer_gaps import layer_gaps

pytestmark = [pytest.mark.browser, pytest.mark.slow]
X = "window.__tokviz.explorers[0]"
SEEN = f"() => [...{X}.values].filter(Number.isFinite).length"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of the tiny Qwen3.5 and one with fewer tokens, stored as an example."""
    home = tmp_path_factory.mktemp("hybrid")
    vlm = tokviz.load(save(TINY["qwen3_5"], tmp_path_factory.mktemp("qwen3_5")))
    picture = Image.fromarray(data.astronaut()).resize((320, 320))
    question = "what is in the picture?"
    full = vlm.answer(picture, question, None, 6)
    fewer = vlm.answer(picture, question, tokviz.plan("fastv", keep="30%"), 6)
    (home / "traces").mkdir()
    full.save(home / "traces" / "hybrid.safetensors")
    fewer.save(home / "traces" / "hybrid--0.safetensors")
    return full, Site(Settings(), StoredExamples(home), Models(load=lambda name: vlm))


@pytest.fixture(scope="module")
def hybrid_url(runs):
    yield from serve(runs[1])


def test_a_layer_without_attention_has_no_map_and_says_why(watched, hybrid_url, runs):
    trace = runs[0]
    gaps = layer_gaps(trace)
    page = watched(hybrid_url)
    opened = page.evaluate(f"() => {X}.view.layer")
    assert opened not in gaps
    bars = page.locator(".tv-bar")
    expect(page.locator(".tv-bar.tv-gap")).to_have_count(len(gaps))
    for layer in range(trace.model["layers"]):
        bars.nth(layer).click()
        page.wait_for_function(f"(layer) => {X}.look && {X}.view.layer === layer", arg=layer)
        said = f"Layer {layer} is linear attention: it has no attention map."
        assert (page.evaluate(SEEN) > 0) == (layer not in gaps)
        assert (said in page.inner_text("body")) == (layer in gaps)
    own = np.isfinite(trace["attention"][0, :, 0])
    assert page.evaluate(f"() => {X}.scene.sentLayers") == np.flatnonzero(own).tolist()
