"""A page with a fake model on a real port, to be spoken to as programs and strangers do."""

import gradio as gr
import pytest

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

SETTINGS = Settings(upload_mb=1, requests_per_minute=5000, metrics="open sesame")


@pytest.fixture(scope="session", autouse=True)
def own_uploads(tmp_path_factory):
    """A folder of uploads for this process alone.

    Equal files have one path in it, and a page that ends deletes its own: tests of another process
    lost the picture that they had sent.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        yield


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """The site whose page is served at `port`."""
    home = tmp_path_factory.mktemp("assets")
    (home / "traces").mkdir()
    fake_trace().save(home / "traces" / "one.safetensors")
    return Site(SETTINGS, StoredExamples(home), Models(load=lambda name: FakeVLM()))


@pytest.fixture(scope="session")
def port(served):
    site = served
    page = queued(build(site), SETTINGS.queue)
    _, url, _ = page.launch(
        **IN_PROCESS,
        theme=theme(),
        max_file_size="1mb",
        show_error=False,
        enable_monitoring=False,
        app_kwargs=app_kwargs(site),
    )
    yield int(url.rstrip("/").rsplit(":", 1)[1])
    page.close()


@pytest.fixture
def own_page():
    """A page of a test's own and its port."""
    with gr.Blocks() as page:
        gr.Markdown("x")
    _, url, _ = page.launch(**IN_PROCESS)
    yield page, int(url.rstrip("/").rsplit(":", 1)[1])
    page.close()
