"""How many requests may one address send in a minute, and which of them count?

The library `limits` (5.8) was tried in place of `Meter`. In memory it keeps every address until a
minute is over, however many there are (33 MB for 100,000 of them), and goes through all of them a
hundred times a second to find the old ones: a request of a new address then costs 290 us, here
1 to 2 us (90,000 addresses, a busy machine). A flood is what this stands against, so these few
lines stay. nginx counts as well, and `deploy/nginx.conf` shows how; it cannot tell requests that
cost work from files of the page.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

BODILESS = ("GET", "HEAD", "OPTIONS")
DRAWN = re.compile(r"/(?:$|config|theme\.css|gradio_api/(?:info|openapi))", re.I)
"""Pages that are made anew for each request, of a megabyte and more; the others are files."""
STREAM_ROUTES = re.compile(
    r"/(?:gradio_api/)?(?:queue/data|call/|heartbeat/|upload_progress|stream/|mcp)", re.I
)
"""A request for an unknown stream makes Gradio log a traceback, so requests for these count."""
MAX_ADDRESSES = 100_000


class Meter:
    """Counts requests per address in whole minutes; remembers a bounded number of addresses."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.clock = most, clock
        self.minute = -1
        self.counts: Counter[str] = Counter()

    def allows(self, address: str, count: int = 1) -> bool:
        """Count a request, or bytes; return whether they are within the limit."""
        minute = int(self.clock() // 60)
        if minute != self.minute or len(self.counts) > MAX_ADDRESSES:
            self.minute, self.counts = minute, Counter()
        self.counts[address] += count
        return self.counts[address] <= self.most


def draws_page(scope: Any) -> bool:
    """Return whether a request has a page made for it."""
    return scope["method"] in BODILESS and bool(DRAWN.match(scope["path"]))


class RequestCounts:
    """Counts the requests of a minute that cost work: pages, events, streams, passwords."""

    def __init__(self, requests: int, logins: int) -> None:
        self.requests, self.logins = Meter(requests), Meter(logins)
        self.pages = Meter(max(1, requests // 2))

    def allow(self, scope: Any, address: str) -> bool:
        """Count a request; return whether it is within the limits."""
        path = scope["path"].rstrip("/")
        drawn = draws_page(scope)
        if scope["method"] in BODILESS and not drawn and not STREAM_ROUTES.match(path):
            return True
        if path.endswith("/login") and not self.logins.allows(address):
            return False
        return (self.pages if drawn else self.requests).allows(address)
