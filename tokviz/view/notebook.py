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

LEAST_HEIGHT = 780
"""Pixels that picture, one line of question and one of words take in a cell of usual width."""
LINE_LETTERS, LINE_HEIGHT = 90, 36
FIT = (
    '<script>if (!window.tokvizFit) { window.tokvizFit = true; addEventListener("message", (e) => {'
    "const height = e.data && e.data.tokvizHeight; "
    "if (Number.isInteger(height) && height >= 100 && height <= 6000) "
    'for (const frame of document.querySelectorAll("iframe.tokviz-frame")) '
    'if (frame.contentWindow === e.source) frame.style.height = height + "px"; }); }</script>'
)
"""Makes a frame as high as its page says, within bounds: the trace may be a stranger's."""
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
        f'<iframe class="tokviz-frame" title="{title}" sandbox="allow-scripts allow-downloads" '
        f'width="100%" height="{likely_height(trace)}" style="border: 0" '
        f'srcdoc="{html.escape(page)}"></iframe>{FIT}'
    )


def likely_height(trace: Trace) -> int:
    """Return the pixels that question, picture and words take in a cell of usual width.

    For viewers of notebooks that run no script beside the frame.
    """
    lines = len(trace.prompt) // LINE_LETTERS + len(trace.answer) // LINE_LETTERS
    return LEAST_HEIGHT + LINE_HEIGHT * lines
