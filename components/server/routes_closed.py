"""Which of Gradio's own routes are closed here? Those that fetch, and those for its developers.

Gradio has no switch for them (6.31), and routes of an application cannot be taken out again.
"""

from __future__ import annotations

import re
from typing import Any

FETCHES = re.compile(r"/(?:gradio_api/)?(?:file=\s*[a-z][a-z0-9+.-]*:|proxy=)", re.I)
"""Paths by which Gradio would fetch an address (also a redirecting one) for a visitor."""
CLOSED = re.compile(
    r"[^=]*/(?:process_recording|deep_link|dev/reload|(?:undo-)?vibe-[a-z-]+|monitoring|profiling)"
    r"(?:/|$)",
    re.I,
)
"""Gradio's tools for whoever builds a page. One of them gives a stranger's video to ffmpeg, which
follows addresses and paths inside of it; one holds a connection that works twenty times a second.
"""
OLD_TOOLS = re.compile(r"[^=]*/mcp/(?:sse|messages)(?:/|$)", re.I)
"""MCP's first transport, which clients have left; its errors repeat the message, in the log too."""


def why_closed(scope: Any) -> str:
    """Return why a request's route is closed, "" where it is open."""
    if FETCHES.search(scope["path"]):
        return "Addresses are not fetched here."
    if CLOSED.match(scope["path"]) or b"deep_link=" in scope.get("query_string", b""):
        return "There is no such thing here."
    if OLD_TOOLS.match(scope["path"]):
        return "Tools are called at /gradio_api/mcp/ (Streamable HTTP)."
    return ""
