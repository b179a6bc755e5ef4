"""The page's endpoints for programs: few, named, the same records as the command line.

`answer`, `methods`, `analyses` and `models` are reachable with gradio_client, with curl (see
docs/api.md) and, when the server is started with TOKVIZ_MCP=1, as tools of an MCP client. All the
page's own events are private.
"""

import json
from typing import Any

import gradio as gr

from tokviz import METHODS, catalog
from tokviz.trace import export

from .answering.answering import answer
from .answering.run_request import ask_about
from .error_text import error_text
from .runs.lane_request import read_lanes
from .runs.runs import FULL
from .screen import MODEL
from .site import Site
from .widgets.safe_upload import SafeImage

PUBLIC = {"api_visibility": "public"}


class Options(gr.JSON):
    """Names and values. Says that it is an object, which the tools of MCP clients need to know."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "names and values"}


class Endpoints:
    """The functions that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def answer(
        self,
        image: str | None,
        prompt: str,
        model: str,
        method: str,
        keep: float,
        options: dict[str, Any] | None,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Ask a vision-language model about a picture, with all visual tokens or with fewer.

        Without a method the full answer comes back. With one, the model's visual tokens are really
        reduced to `keep` (the list of methods names them), and both answers come back.

        Args:
            image: the picture, an uploaded file, or data:image/png;base64,... of at most 1.5 MB;
                addresses are not fetched.
            prompt: the question.
            model: one of the models that this server offers; empty = the first.
            method: a reduction method's name, or empty for the full answer alone.
            keep: how many visual tokens to leave, from 1 on.
            options: the method's own options by name, or nothing.

        Returns:
            {"full": record} and, with a method, {"reduced": record}; the record is documented in
            docs/cli.md. {"error": sentence} when the input cannot be used.
        """
        try:
            lane = {"method": method, "keep": whole(keep), "options": options or {}}
            if method:
                METHODS[method]  # a wrong name ends here, before the model runs
            lanes = read_lanes([lane] if method else [])
            chosen = model or self.site.models.names[0]
            asked = ask_about(self.site.settings, image, prompt, chosen, lanes)
            *_, last = answer(self.site, asked, f"api {request.session_hash}")
            return records(last)
        except Exception as error:  # noqa: BLE001  the edge: logged, and shown as a sentence
            return {"error": error_text(error)}


def whole(number: Any) -> Any:
    """JSON has one kind of number: 9.0 is the whole number 9."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def records(progress: Any) -> dict[str, Any]:
    """Return the finished run's traces as records, a lane that was refused as its sentence."""
    traces = progress.run.traces
    found: dict[str, Any] = {"full": export.answer_record(traces[FULL])}
    for number, card in enumerate(progress.lanes["lanes"]):
        done = number in traces
        found["reduced"] = (
            export.answer_record(traces[number]) if done else {"error": card["error"]}
        )
    return found


def methods() -> list[dict[str, Any]]:
    """List every token-reduction method: name, where it acts, what it needs, options, paper."""
    return catalog.rows("methods")


def analyses() -> list[dict[str, Any]]:
    """List every analysis: name, what it means, what it does not mean, cost, paper."""
    return catalog.rows("analyses")


def listing(site: Site) -> Any:
    """Return the endpoint that lists what this server offers."""

    def models() -> list[str]:
        """List the names of the vision-language models that this server offers."""
        return list(site.models.names)

    return models


def answer_tools_in_json(server: Any) -> None:
    """Make the tools of an MCP server answer in JSON; Gradio would write Python's notation.

    Args:
        server: Gradio's MCP server of a launched page; None = there is none.
    """
    if server is None:
        return

    def content(data: list[Any], root_url: str) -> list[Any]:
        texts = (json.dumps(one, ensure_ascii=False) for one in data)
        return [server.types.TextContent(type="text", text=text) for text in texts]

    server.postprocess_output_data = content


def add_api(site: Site) -> None:
    """Add the endpoints to the page that is being built."""
    with gr.Column(visible=False):
        given = [
            SafeImage(type="filepath", label="image"),
            gr.Textbox(label="prompt"),
            gr.Textbox("", label="model"),
            gr.Textbox("", label="method"),
            gr.Number(0, label="keep", precision=None),
            Options({}, label="options"),
        ]
        found = gr.JSON(label="records")
        button = gr.Button()
    ask = Endpoints(site).answer
    button.click(ask, given, found, api_name="answer", **{**MODEL, **PUBLIC})
    gr.api(methods, api_name="methods", queue=False)
    gr.api(analyses, api_name="analyses", queue=False)
    gr.api(listing(site), api_name="models", queue=False)
