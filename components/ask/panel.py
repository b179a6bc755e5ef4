"""Ask: a picture, a question, an answer; examples and stored traces open without a model."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.events import Dependency
from PIL import Image

from tokviz.errors import TokvizError
from tokviz.film import Film
from tokviz.images import letterboxed

from ..answering.run_request import ask_about_shown
from ..error_text import error_text
from ..i18n import translated
from ..runs.models import photograph_hint
from ..runs.pictures import Sent, as_list
from ..screen import MODEL, QUICK, AskPanel, Screen, SeveralPanel, StopButton, run_and_show
from ..site import Site
from ..widgets.examples import Examples
from ..widgets.gallery import Gallery
from ..widgets.notice import notice
from ..widgets.safe_upload import SafeImage, SafeUpload
from .model_picker import model_picker
from .several import EMPTY, several_upload

PLACEHOLDER = "Drop or choose a picture"


def ask_panel(site: Site, first: dict[str, Any]) -> AskPanel:
    """Build the left column."""
    run = first["run"]
    with gr.Column(elem_id="tv-ask"):
        image = SafeImage(
            type="filepath",
            sources=["upload", "clipboard"],
            label=translated("Your picture"),
            placeholder=translated(PLACEHOLDER),
            height=172,
            elem_id="tv-picture",
            buttons=[],
        )
        gallery = Gallery(EMPTY, elem_id="tv-several")
        prompt = gr.Textbox(
            run.prompt if run else "",
            label=translated("Your question"),
            placeholder="Is there a dog?",
            lines=2,
            max_lines=6,
            submit_btn=False,
            elem_id="tv-prompt",
        )
        with gr.Row(equal_height=True, elem_id="tv-ask-row"):
            ask = gr.Button(
                translated("Ask"), variant="primary", elem_id="tv-ask-go", min_width=90, scale=3
            )
            stop = gr.Button(
                translated("Stop"), interactive=False, elem_id="tv-stop", min_width=70, scale=1
            )
        picker = model_picker(site.models)
        examples = Examples(site.stored.value(first["example"]), elem_id="tv-examples")
        several = SeveralPanel(gr.State(Sent()), several_upload(), gallery)
        trace = SafeUpload(
            translated("Open a trace file"),
            file_types=[".safetensors", ".json", ".npz"],
            size="sm",
            elem_id="tv-open-trace",
            variant="secondary",
        )
    return AskPanel(image, prompt, picker, ask, stop, examples, trace, several)


class AskHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def ask(
        self,
        image: str | None,
        several: Sent,
        prompt: str,
        model: str,
        session: str,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Answer with all tokens about the given pictures, or those that are shown."""
        asked = ask_about_shown(self.site, session, prompt, model, upload=several or image)
        yield from run_and_show(self.site, asked, str(request.session_hash))

    def letterbox(
        self, prompt: str, model: str, session: str, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Answer about the shown picture with grey bars, of which nothing is cut off."""
        asked = ask_about_shown(self.site, session, prompt, model)
        if asked.image is not None and not isinstance(asked.image, Film):
            asked.image = [letterboxed(picture) for picture in as_list(asked.image)]
            asked.example = asked.source = ""  # a link would show the picture without its bars
        yield from run_and_show(self.site, asked, str(request.session_hash))

    def check_image(self, image: str | None, model: str) -> dict[str, Any]:
        """Say at once when an upload cannot be used, and what is allowed."""
        try:
            if image:
                picture = self.site.pictures.picture(image)
                hint = photograph_hint(self.site.models) if model == "embedded" else ""
                told = f"Picture of {size_text(picture)}{self.tokens_text(picture, model)}."
                return notice(f"{told} Type a question and press Ask. {hint}".strip())
        except TokvizError as error:
            return notice(error_text(error), "bad")
        return notice()

    def tokens_text(self, picture: Image.Image, model: str) -> str:
        """Return the visual tokens that a picture gives, where the model is in memory."""
        vlm = self.site.models.in_memory(model)
        return f": {vlm.visual_tokens(picture):,} visual tokens" if vlm is not None else ""


def size_text(picture: Image.Image) -> str:
    """Return a picture's size in words, and whether it is read at a smaller one."""
    width, height = picture.info.get("full_size", picture.size)
    read = f", read at {picture.width} × {picture.height}" if "full_size" in picture.info else ""
    return f"{width} × {height} pixels{read}"


def wire_ask(site: Site, screen: Screen) -> Dependency:
    """Connect the left column; return the event that asks."""
    panel, asking = screen.ask, AskHandlers(site)
    asked = gr.on(
        [panel.ask.click, panel.prompt.submit],
        asking.ask,
        [panel.image, panel.several.sent, panel.prompt, panel.model, screen.session],
        screen.outputs,
        show_progress="minimal",
        show_progress_on=[screen.show.notice],
        **MODEL,
    )
    screen.show.overlay.letterbox(
        asking.letterbox,
        [panel.prompt, panel.model, screen.session],
        screen.outputs,
        show_progress="hidden",
        **MODEL,
    )
    panel.stop.click(StopButton(site).stop, None, None, **QUICK)
    given = [panel.image, panel.model]
    panel.image.upload(asking.check_image, given, screen.show.notice, **QUICK)
    return asked
