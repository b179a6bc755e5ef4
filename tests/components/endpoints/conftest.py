"""A page with tools for MCP clients, whose model's steps can be counted."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import pytest

from components.endpoints.mcp_tools import answer_tool_calls
from components.page import build, theme
from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.server.fair_queue import queued
from components.server.lifecycle import app_kwargs
from components.settings import Settings
from components.site import Site
from tests.components.fake_vlm import FakeVLM
from tests.serving import IN_PROCESS
from tests.view.fakes import fake_trace

HTTP = httpx.Client(timeout=60)
"""Kept open: a client for each request costs more than the request."""
ACCEPT = {"accept": "application/json, text/event-stream"}


class CountingVLM(FakeVLM):
    """Counts its steps, as a real model's forward passes; may be slow, or fail in the middle."""

    def __init__(self):
        super().__init__()
        self.steps_taken, self.fails_at = 0, None

    def _step(self, view, plan, image, step):
        self.steps_taken += 1
        if step == self.fails_at:
            raise RuntimeError(f"a fault about {self.asked[-1][0]}")
        super()._step(view, plan, image, step)

    @contextmanager
    def slow(self, steps=2000, pause=0.01):
        old = self.steps, self.pause
        self.steps, self.pause = steps, pause
        yield
        self.steps, self.pause = old


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """The page's model, site and port."""
    home = tmp_path_factory.mktemp("assets")
    (home / "traces").mkdir()
    fake_trace().save(home / "traces" / "one.safetensors")
    vlm, settings = CountingVLM(), Settings(requests_per_minute=5000, mcp=True, trust_proxy=True)
    site = Site(settings, StoredExamples(home), Models(load=lambda name: vlm))
    page = queued(build(site), settings.queue)
    _, url, _ = page.launch(
        **IN_PROCESS,
        theme=theme(),
        show_error=False,
        enable_monitoring=False,
        mcp_server=True,
        app_kwargs=app_kwargs(site),
    )
    answer_tool_calls(page.mcp_server_obj, site)
    yield SimpleNamespace(vlm=vlm, site=site, url=url.rstrip("/"), page=page)
    page.close()


def post_message(url, message):
    """Return the status and the JSON of the answer to one message of an MCP client."""
    head = {**ACCEPT, "content-type": "application/json"}
    body = json.dumps(message)  # a lone surrogate is written as \ud800
    got = HTTP.post(f"{url}/gradio_api/mcp/", content=body, headers=head)
    lines = [line for line in got.text.splitlines() if line.startswith("data: ")]
    return got.status_code, json.loads(lines[-1].removeprefix("data: ") if lines else got.text)


def rpc(url, method, **params):
    """Return what a request of an MCP client gets."""
    return post_message(url, {"jsonrpc": "2.0", "id": 7, "method": method, "params": params})[1]


def call_tool(url, tool, /, **arguments):
    """Return whether a tool's result is an error, and its text."""
    result = rpc(url, "tools/call", name=tool, arguments=arguments)["result"]
    return result["isError"], result["content"][0]["text"]
