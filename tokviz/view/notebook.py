"""A run in a notebook cell: the page of `page_file` in an isolated frame.

The frame has its own origin (`sandbox` without same-origin), so that a trace from an untrusted
source can access neither the notebook nor its server. The whole page is stored in the notebook's
file, so its size is limited; the page says which fields were left out.
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
"""Largest size of the page inside the frame, before escaping."""


def frame(trace: Trace) -> str:
    """Return one HTML element that shows the run with its interactive overlay.

    For a run that cannot be drawn it is a sentence with the reason.
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
