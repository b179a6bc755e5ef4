"""Build the page from the settings, launch it, serve it until the program has to stop."""

import gc
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from tokviz.capture import Capture

from ..ask.opening import draw_all
from ..endpoints.mcp_tools import answer_tool_calls
from ..error_text import QuietFormatter
from ..i18n import translations
from ..page import build, theme
from ..runs.journal import JsonLines
from ..runs.models import Models, check_placement, code_of_models
from ..runs.stored_examples import StoredExamples
from ..settings import Settings
from ..site import Site
from ..widgets.widget import head
from .connections import guard
from .fair_queue import queued
from .lifecycle import app_kwargs, listen_for_stop, serve_until_stopped
from .session_memory import remember_little
from .upload_folder import CLEANUP_INTERVAL_S, MAX_AGE_S, keep_clean

LINE = "%(levelname)s %(name)s: %(message)s"


def serve(settings: Settings, load_options: Mapping[str, Any]) -> None:
    """Serve the page until the program has to stop.

    Args:
        settings: how the page is run.
        load_options: further arguments of `tokviz.load`, such as device.
    """
    check_placement(load_options)
    site, page = site_and_page(settings, load_options)
    start_logging(settings)
    listen_for_stop(site.stopping)
    clean_uploads(settings, page)
    try:
        launch(site, page)
        gc.freeze()  # what the start has made stays, so it is not looked through again
        gc.enable()
        serve_until_stopped(site, page)
    except KeyboardInterrupt:
        page.close(verbose=False)
    gc.freeze()  # Python would look through every object once more: seconds, for nothing


def site_and_page(settings: Settings, load_options: Mapping[str, Any]) -> tuple[Site, gr.Blocks]:
    """Return a site and its page, not launched."""
    stored = StoredExamples(more=settings.examples)
    models = Models(
        settings.models,
        options=load_options,
        personal=settings.personal,
        capture=Capture(heads_mb=settings.single_heads_mb),
    )
    site = Site(settings, stored, models)
    return site, queued(build(site, (CLEANUP_INTERVAL_S, MAX_AGE_S)), settings.queue)


def start_logging(settings: Settings) -> None:
    """Write the log in lines for people, or in JSON."""
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("mcp").setLevel(logging.WARNING)  # it writes a line for each message
    if not settings.json_logs:  # Gradio asks itself whether it is up
        logging.getLogger("httpx").setLevel(logging.WARNING)
    form_logs("", settings)


def form_logs(logger: str, settings: Settings) -> None:
    """Make a logger's own handlers write lines for people, or JSON, without errors' messages."""
    form = JsonLines() if settings.json_logs else QuietFormatter(LINE)
    for handler in logging.getLogger(logger).handlers:
        handler.setFormatter(form)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # each file asked of the Hub


def clean_uploads(settings: Settings, page: gr.Blocks) -> None:
    """Bound the folder of uploads from now on; what belongs to the page itself stays."""
    lasting: set[str] = set().union(
        *(getattr(block, "keep_in_cache", set()) for block in page.blocks.values())
    )
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    keep_clean(folder, settings.uploads_mb * 2**20, lasting)


def launch(site: Site, page: gr.Blocks) -> None:
    """Open the server to visitors."""
    settings = site.settings
    page.launch(
        server_name=settings.server_name,
        server_port=settings.server_port,
        root_path=os.environ.get("GRADIO_ROOT_PATH"),
        theme=theme(),
        head=head(),
        i18n=translations(),
        max_file_size=f"{settings.upload_mb}mb",
        allowed_paths=[],
        enable_monitoring=False,
        run_history=False,
        show_error=False,
        footer_links=[],
        state_session_capacity=2000,
        auth=list(settings.auth) or None,
        app_kwargs=app_kwargs(site),
        mcp_server=settings.mcp,
        prevent_thread_lock=True,
        _frontend=False,  # Gradio would ask its page once, and end the program after 3 s of silence
    )
    form_logs("uvicorn", settings)
    guard(page.server, settings.connections, settings.trust_proxy)
    remember_little(page)
    answer_tool_calls(page.mcp_server_obj, site)
    site.later.start(partial(make_ready, site), site.stopping)


def make_ready(site: Site) -> None:
    """Do what nobody needs for the first page, so that nobody waits for it later.

    These are the payloads of the stored examples, then torch, transformers and the code of models.
    """
    # what fails here fails again for whoever asks, and is told then
    with suppress(Exception):
        draw_all(site)
    with suppress(Exception):
        code_of_models()
