"""A cancelled or left job ends on the server: the model takes no further step."""

import asyncio
import gc
import threading
import time
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

import tokviz
from components.page import build
from components.runs.models import Models
from components.server.fair_queue import queued
from components.site import Site
from tests.components.endpoints.conftest import HTTP
from tests.components.endpoints.test_tools import wait_until
from tests.models.tiny import llava
from tests.serving import IN_PROCESS, PATIENT
from tests.view.fakes import BLUE, picture

pytestmark = pytest.mark.slow

ENDPOINTS = ["/answer", "/answer_stream"]


@pytest.fixture(scope="module")
def client(tools):
    return Client(tools.url, verbose=False, httpx_kwargs=PATIENT)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "blue.png"
    picture(BLUE).save(path)
    return {"image": handle_file(path), "prompt": "what ?", "method": "fastervlm", "keep": 9}


def steps_later(vlm):
    """Return how many steps the model takes in a while."""
    before = vlm.steps_taken
    time.sleep(0.3)
    return vlm.steps_taken - before


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_cancel_stops_the_model(tools, client, asked, endpoint):
    with tools.vlm.slow():
        before = tools.vlm.steps_taken
        job = client.submit(**asked, api_name=endpoint)
        assert wait_until(lambda: tools.vlm.steps_taken > before + 4)
        job.cancel()
        assert steps_later(tools.vlm) == 0
        assert not tools.site.stops.running
    assert client.predict(**asked, api_name="/answer")["full"]["answer"] == "blue dog."


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_cancelling_a_job_that_waits_leaves_the_running_one(tools, client, asked, endpoint):
    """Gradio cancels all of a client's jobs at an endpoint."""
    with tools.vlm.slow():
        before = tools.vlm.steps_taken
        running = client.submit(**asked, api_name=endpoint)
        assert wait_until(lambda: tools.vlm.steps_taken > before)
        waiting = client.submit(**asked, api_name=endpoint)
        assert wait_until(lambda: waiting.communicator.event_id)  # the client knows its job
        assert len(tools.page._queue) == 1
        waiting.cancel()
        assert len(tools.page._queue) == 0
        assert steps_later(tools.vlm) > 0
        running.cancel()
        assert steps_later(tools.vlm) == 0


def test_a_job_cancelled_while_its_first_output_is_made_ready_is_closed(
    tools, client, asked, monkeypatch
):
    """It was found by nobody: the model was held until Python looked for garbage."""
    ready, whole = threading.Event(), tools.page.postprocess_data

    async def slow(*args, **more):
        ready.set()
        await asyncio.sleep(5)
        return await whole(*args, **more)

    monkeypatch.setattr(tools.page, "postprocess_data", slow)
    gc.disable()
    try:
        with tools.vlm.slow():
            job = client.submit(**asked, api_name="/answer_stream")
            assert ready.wait(30)
            job.cancel()
            assert wait_until(lambda: not tools.site.stops.running, 5)
    finally:
        gc.enable()


def test_a_caller_who_hangs_up_ends_the_run(tools, asked):
    """As with curl and Ctrl-C: nobody will read the answer."""
    base = f"{tools.url}/gradio_api/call/answer"
    files = {"files": ("b.png", Path(asked["image"]["path"]).read_bytes())}
    path = HTTP.post(f"{tools.url}/gradio_api/upload", files=files).json()[0]
    given = [{"path": path, "meta": {"_type": "gradio.FileData"}}, "what ?"]
    with tools.vlm.slow():
        before = tools.vlm.steps_taken
        event = HTTP.post(base, json={"data": given}).json()["event_id"]
        with HTTP.stream("GET", f"{base}/{event}", timeout=30):
            assert wait_until(lambda: tools.vlm.steps_taken > before)
        assert wait_until(lambda: not tools.site.stops.running, 15)
        assert steps_later(tools.vlm) == 0


def test_forward_passes_of_a_real_model_stop(asked):
    """Counted at the decoder's first layer: a cancelled job computes no further token."""
    model, processor = llava()
    model.generation_config.eos_token_id = None
    passes = []

    def count(*_):
        passes.append(1)
        time.sleep(0.03)

    model.model.language_model.layers[0].register_forward_hook(count)
    vlm = tokviz.load((model, processor))
    site = Site(models=Models(load=lambda name: vlm))
    page = queued(build(site), 9)
    _, url, _ = page.launch(**IN_PROCESS)
    try:
        job = Client(url, verbose=False, httpx_kwargs=PATIENT).submit(
            **asked | {"method": ""}, api_name="/answer"
        )
        assert wait_until(lambda: len(passes) > 3, 60)
        job.cancel()
        after = len(passes)
        time.sleep(0.5)
        assert after == len(passes) < site.settings.max_new_tokens
    finally:
        page.close()
