"""A run in a notebook cell: the page of `page_file` in a frame that can reach nothing around it.

The frame has an origin of its own (`sandbox` without same-origin), so that a trace from a stranger
sees neither the notebook nor its server. The whole page is in the notebook's file, which is why it
is bounded; what does not fit is left out and said so.
"""

from __future__ import annotations

import html

from tokviz.errors import TokvizError
from tokviz.trace import Trace
from tokviz.view.explorer import explorer_payload
from tokviz.view.page_file import page_html

HEIGHT = 720
"""Pixels."""
MAX_BYTES = 3 * 2**20
"""Of the page inside the frame, before it is escaped."""


def frame(trace: Trace) -> str:
    """Return one HTML element that shows the run with its overlay alive.

    A run that cannot be drawn gives a sentence that says why.
    """
    try:
        page = page_html(explorer_payload(trace, "notebook"), MAX_BYTES)
    except TokvizError as error:
        return f"<p>{html.escape(str(error))}</p>"
    title = html.escape(f"tokviz: {trace.prompt}"[:120])
    return (
        f'<iframe title="{title}" sandbox="allow-scripts allow-downloads" width="100%" '
        f'height="{HEIGHT}" style="border: 0" srcdoc="{html.escape(page)}"></iframe>'
    )
