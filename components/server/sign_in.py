"""What may be asked for before signing in? Only what the sign-in page itself needs.

Gradio asks for a sign-in route by route and leaves some open: streams, the cancelling of events,
FastAPI's own description of all routes. Here everything is closed that is not listed. nginx's
auth_basic would close all as well, but knows nothing of the names in TOKVIZ_AUTH.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request

OPEN = re.compile(
    r"/(?:$|login/?$|logout$|healthz$|metrics$|theme\.css$|robots\.txt$|favicon\.ico$"
    r"|manifest\.json$|pwa_icon|assets/|static/|svelte/"
    r"|gradio_api/(?:login_check/?|theme\.css|startup-events)$)"
)
"""The sign-in page and its files; /metrics has a word of its own, and startup-events is what Gradio
asks itself while it starts. Login_check answers only whether one is signed in."""


def may_enter(scope: Any) -> bool:
    """Return whether a request is open to all, or comes from somebody who has signed in.

    Args:
        scope: of the request; its application is Gradio's, which keeps the names by their tokens.
    """
    app = scope.get("app")
    if getattr(app, "auth", None) is None or OPEN.match(scope["path"]):
        return True
    cookies = Request(scope).cookies
    names = [f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}"]
    return any(app.tokens.get(cookies.get(name)) is not None for name in names)
