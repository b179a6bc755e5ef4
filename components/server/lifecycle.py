"""The server around the page: is it well, what has it done, and how does it stop?"""

from __future__ import annotations

import hmac
import logging
import os
import signal
import threading
import time
from functools import partial
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import tokviz

from ..i18n import texts_route
from ..runs.journal import Journal
from ..runs.stops import Stops
from ..site import Site
from .chosen_language import ChosenLanguage
from .frontend_files import FrontendFiles
from .hosts import served_hosts
from .mcp_messages import McpMessages
from .odd_requests import OddRequests, wrong_body
from .request_limits import Limits, RequestLimits
from .security_headers import SecurityHeaders

log = logging.getLogger(__name__)
PATIENCE = 5.0
"""Seconds that running answers get to end once the server is told to stop."""
HANDOVER = 1.0
"""Seconds for what was said last to reach the browser."""


def healthz(stopping: threading.Event, request: Request) -> Response:
    """Return 200 while the server takes requests and 503 once it was told to stop."""
    state = "stopping" if stopping.is_set() else "ok"
    return JSONResponse(
        {"status": state, "version": tokviz.__version__}, 503 if stopping.is_set() else 200
    )


def metrics(journal: Journal, secret: str, request: Request) -> Response:
    """Return the counts in Prometheus' text format to whoever knows the secret."""
    sent = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(sent, f"Bearer {secret}".encode()):
        text = "Send the word that TOKVIZ_METRICS is set to: Authorization: Bearer <word>\n"
        return PlainTextResponse(text, 401, {"www-authenticate": "Bearer"})
    try:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415  an extra
    except ImportError:
        return PlainTextResponse("Metrics need the package prometheus-client.\n", 501)
    registry = CollectorRegistry()
    registry.register(journal)  # type: ignore[arg-type]
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


def app_kwargs(site: Site) -> dict[str, Any]:
    """Return what the page's web application gets beside Gradio's own routes."""
    settings = site.settings
    limits = Limits(
        upload_bytes=(settings.upload_mb + 1) * 2**20,
        requests=settings.requests_per_minute,
        open_requests=settings.connections,
        trust_proxy=settings.trust_proxy,
        hosts=served_hosts(settings.server_name, settings.hosts, os.environ),
    )
    routes = [
        Route("/healthz", partial(healthz, site.stopping)),
        site.stored.cache.route(),
        texts_route(),
    ]
    if settings.metrics:
        routes.append(Route("/metrics", partial(metrics, site.journal, settings.metrics)))
    layers = [
        Middleware(SecurityHeaders),
        Middleware(RequestLimits, limits=limits),
        Middleware(OddRequests),
        Middleware(ChosenLanguage),
        Middleware(FrontendFiles),
    ]
    if settings.mcp:
        layers.append(Middleware(McpMessages))
    handlers = {RequestValidationError: wrong_body}
    return {"routes": routes, "middleware": layers, "exception_handlers": handlers}


def listen_for_stop(stopping: threading.Event) -> None:
    """Stop gracefully on SIGTERM, as containers send it."""
    signal.signal(signal.SIGTERM, lambda signum, frame: stopping.set())


def serve_until_stopped(site: Site, page: gr.Blocks) -> None:
    """Stay; once told to stop, let running answers end at their next token, then close."""
    while not site.stopping.wait(1.0):
        pass
    log.info("stopping")
    hand_over(site.stops)
    page.close(verbose=False)


def hand_over(stops: Stops) -> None:
    """Refuse new runs, wait for those that run to end and for what they said to arrive."""
    busy = stops.stop_all()
    deadline = time.monotonic() + PATIENCE
    while stops.running and time.monotonic() < deadline:
        time.sleep(0.05)
    if busy:
        time.sleep(HANDOVER)
