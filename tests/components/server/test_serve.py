"""The page is launched also where the machine is busy and its first answer comes late."""

import gradio as gr
import httpx

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.server.fair_queue import queued
from components.server.serve import launch
from components.settings import Settings
from components.site import Site
from tests.components.fake_vlm import FakeVLM
from tests.components.server.test_request_limits import ask
from tests.nginx import free_port


def test_a_first_answer_that_comes_late_does_not_end_the_program(tmp_path, monkeypatch):
    """Gradio asks its own page once and gives up after 3 s; on a busy machine that ended us."""

    def late(*args, **more):
        raise httpx.ReadTimeout("held back")

    monkeypatch.setattr(httpx, "head", late)
    site = Site(
        Settings(server_port=free_port()),
        StoredExamples(tmp_path),
        Models(load=lambda name: FakeVLM()),
    )
    with gr.Blocks() as page:
        gr.Markdown("x")
    launch(site, queued(page, 8))
    try:
        assert ask(site.settings.server_port, "GET", "/")[0] == 200
    finally:
        page.close(verbose=False)
