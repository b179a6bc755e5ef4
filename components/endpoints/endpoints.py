"""The page's endpoints for programs: few, named, the same records as the command line.

`answer`, `answer_stream`, `methods`, `analyses` and `models` are reachable with gradio_client, with
curl (see docs/api.md) and, when the server is started with TOKVIZ_MCP=1, as tools of an MCP client.
All the page's own events are private.
"""

from typing import Any

import gradio as gr

from ..screen import MODEL
from ..site import Site
from .asking import Asking
from .inputs import answer_inputs
from .lists import analyses, listing, methods

PUBLIC: dict[str, Any] = {**MODEL, "api_visibility": "public"}


def add_endpoints(site: Site) -> None:
    """Add the endpoints to the page that is being built."""
    with gr.Column(visible=False):
        given = answer_inputs(site.models.names)
        found, partial = gr.JSON(label="records"), gr.JSON(label="records so far")
        button, other = gr.Button(), gr.Button()
    asking = Asking(site)
    button.click(asking.answer, given, found, api_name="answer", **PUBLIC)
    other.click(asking.answer_stream, given, partial, api_name="answer_stream", **PUBLIC)
    gr.api(methods, api_name="methods", queue=False)
    gr.api(analyses, api_name="analyses", queue=False)
    gr.api(listing(site), api_name="models", queue=False)
