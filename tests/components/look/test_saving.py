import base64
import json
from io import BytesIO

import numpy as np
import plotly.io
import pytest
from PIL import Image

from components.answering.answering import answer
from components.answering.run_request import RunRequest
from components.look.saving import BAD, server_functions
from components.runs.lane_request import BY_HAND, read_lanes
from components.runs.runs import FULL, GONE, KeptRun
from components.site import Site
from components.widgets.widget import ASSETS
from tests.view.fakes import fake_trace, picture, pruned, stage
from tokviz.trace import open_trace

SITE = Site()
save_file, *_ = server_functions(SITE)


def a_run() -> KeptRun:
    lane = fake_trace(stages=(stage(pruned(6, 2)),))
    return SITE.runs.put(KeptRun(picture(), "p", "fake", {FULL: fake_trace(), 0: lane}))


def saved(kind: str, lane: int = FULL, **view) -> bytes:
    answer = save_file({"id": f"{a_run().name}:{lane}", "kind": kind, "view": view})
    return base64.b64decode(answer["data"])


def test_every_file_opens_again():
    assert open_trace(saved("trace")).answer == "a dog."
    assert b"<!doctype html>" in saved("page", 0)
    assert Image.open(BytesIO(saved("walk", 0))).n_frames == 6
    layers = plotly.io.from_json(json.dumps(json.loads(saved("charts"))["layers"]))
    assert layers.data
    assert "tokviz.plan('fastervlm', keep=2)" in saved("code", 0).decode()


@pytest.mark.parametrize(
    "name", ["", "x", "x:0", None, 7, "a" * 10_000, "../../etc:0", "x:²", ["x"]]
)
def test_no_other_name_gives_anything(name):
    assert save_file({"id": name, "kind": "trace"}) == {"error": GONE}


@pytest.mark.parametrize("asked", [None, "x", [], {}, {"kind": "passwd"}, {"kind": ["trace"]}])
def test_nonsense_is_refused(asked):
    assert save_file(asked) == {"error": BAD}


def test_a_lane_that_was_not_run_gives_nothing():
    assert save_file({"id": f"{a_run().name}:2", "kind": "page"}) == {"error": GONE}


def test_a_view_that_makes_no_sense_is_left_out():
    text = saved("code", map="<script>", layer="9e9", words="1").decode()
    assert "words = [1]" in text
    assert "<script>" not in text


@pytest.mark.slow
def test_the_python_of_an_example_gives_the_numbers_of_its_trace(tmp_path, monkeypatch):
    """The real model answers again; the stored run was made on another day."""
    trace = open_trace(ASSETS / "traces" / "scene_1--1-fastervlm.safetensors")
    run = SITE.runs.put(
        KeptRun(
            None, trace.prompt, "embedded", {0: trace}, file=str(ASSETS / "examples/scene_1.png")
        )
    )
    view = {"map": "attention", "layer": 3, "words": "0"}
    answer = save_file({"id": f"{run.name}:0", "kind": "code", "view": view})
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(base64.b64decode(answer["data"]).decode(), names)
    assert names["trace"].answer == trace.answer
    shown = trace["attention"][0, 3].astype(np.float32)
    np.testing.assert_allclose(names["values"], shown, atol=2e-4)
    fresh, score = names["trace"], trace.stages[0].reduction.score
    assert set(fresh.arrays) <= set(trace.arrays), "run scripts.store_examples again"
    np.testing.assert_allclose(fresh.stages[0].reduction.score, score, atol=2e-4)


EXAMPLE = ASSETS / "examples" / "scene_1.png"
N = 576
"""Visual tokens of the model that ships."""
LANES = {
    "a mitigation": {"method": "fastervlm", "keep": N // 4, "mitigation": "pai"},
    "a question of its own": {"method": "fastv", "keep": N // 4, "prompt": "is there a dog ?"},
    "painted tokens": {"method": BY_HAND, "keep": 3, "tokens": [70, 3, 141], "n": N},
}


@pytest.mark.parametrize("name", LANES)
@pytest.mark.slow
def test_the_python_of_any_lane_gives_its_numbers(name, tmp_path, monkeypatch):
    """What was asked on the page is asked again by the code that the page hands out."""
    lanes = read_lanes([LANES[name]])
    asked = RunRequest(str(EXAMPLE), "where is the dog ?", "embedded", lanes)
    *_, last = answer(SITE, asked, "s")
    last.run.file = str(EXAMPLE)
    view = {"map": "attention", "layer": 2, "words": "0"}
    code = save_file({"id": f"{last.run.name}:0", "kind": "code", "view": view})
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(base64.b64decode(code["data"]).decode(), names)
    there = last.run.traces[0]
    assert names["trace"].answer == there.answer
    assert names["trace"].prompt == there.prompt
    shown = there["attention"][0, 2].astype(np.float32)
    np.testing.assert_allclose(names["values"], shown, atol=1e-3, equal_nan=True)
