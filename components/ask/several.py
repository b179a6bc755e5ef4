"""Several pictures in an order, or a number of frames of a film, in place of one picture."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from tokviz.errors import InputError
from tokviz.film import DEFAULT_FRAMES, MAX_FRAMES, Film
from tokviz.images import preview_jpeg
from tokviz.view.encode import data_url

from ..error_text import error_text
from ..i18n import translated
from ..runs.pictures import Pictures, Sent, as_list, check_count, sent_of
from ..screen import QUICK, SKIP, AskPanel, Screen
from ..site import Site
from ..widgets.gallery import Gallery
from ..widgets.notice import notice
from ..widgets.safe_upload import SafeUpload
from ..widgets.widget import event_payload

SIDE = 160
"""Longest side of the small pictures."""
KINDS = [".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"]
KINDS += [".mp4", ".m4v", ".mov", ".webm"]
EMPTY: dict[str, Any] = {"items": [], "film": False}


def several_upload() -> SafeUpload:
    """Build the button that takes several pictures, or a film."""
    return SafeUpload(
        translated("Several pictures, or a film"),
        file_count="multiple",
        file_types=KINDS,
        size="sm",
        elem_id="tv-several-upload",
        variant="secondary",
    )


def several_pictures() -> tuple[Gallery, gr.Slider]:
    """Build the row of small pictures and the number of frames."""
    gallery = Gallery(EMPTY, elem_id="tv-several")
    frames = gr.Slider(
        1,
        MAX_FRAMES,
        DEFAULT_FRAMES,
        step=1,
        label=translated("Frames of the film"),
        visible=False,
        elem_id="tv-frames",
    )
    return gallery, frames


class SeveralHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def upload(self, files: Any) -> tuple[Any, ...]:
        """Take over the uploaded files; say at once when one cannot be used."""
        paths = [str(file) for file in (files if isinstance(files, list) else [files]) if file]
        try:
            sent = sent_of(paths)
            return (None, *shown(self.site.pictures, sent), notice(said(sent)))
        except Exception as error:  # noqa: BLE001  a stranger's file: whatever it does is a sentence
            return (SKIP, SKIP, SKIP, SKIP, notice(error_text(error), "bad"))

    def sample(self, sent: Sent, frames: int) -> tuple[Any, ...]:
        """Show other frames of the film."""
        try:
            return (*shown(self.site.pictures, replace(sent, frames=frames)), SKIP)
        except Exception as error:  # noqa: BLE001  a stranger's file: whatever it does is a sentence
            return (SKIP, SKIP, SKIP, notice(error_text(error), "bad"))

    def arrange(self, sent: Sent, event: gr.EventData) -> tuple[Any, ...]:
        """Put the pictures in another order, leave some out, or all."""
        order = event_payload(event).get("order")
        count = 1 if sent.film else len(sent.paths)
        if not isinstance(order, list) or len(set(map(str, order))) != len(order):
            return (SKIP, SKIP, SKIP, SKIP)
        if not all(type(i) is int and 0 <= i < count for i in order):
            return (SKIP, SKIP, SKIP, SKIP)
        left = sent.ordered(order) if order else Sent()
        try:
            return (*shown(self.site.pictures, left), SKIP)
        except Exception as error:  # noqa: BLE001  the file may be gone by now
            return (SKIP, SKIP, SKIP, notice(error_text(error), "bad"))

    def add(
        self, sent: Sent, image: str | None, session: str, event: gr.EventData
    ) -> tuple[Any, ...]:
        """Put a stored example behind the pictures that are there.

        Those are the row's, else the uploaded one, else the example that the page shows.
        """
        try:
            name = str(event_payload(event).get("example"))
            if sent.film:
                raise InputError("a film must come alone: remove it first.")
            file = self.site.stored.picture_file(name)
            before = sent or self.first(image, session, name)
            more = Sent((*before.paths, file), examples=(*before.names, name))
            check_count(more.paths)
            return (None, *shown(self.site.pictures, more), notice(said(more)))
        except Exception as error:  # noqa: BLE001  an uploaded file may be gone by now
            return (SKIP, SKIP, SKIP, SKIP, notice(error_text(error), "bad"))

    def first(self, image: str | None, session: str, other_than: str) -> Sent:
        """Return the one picture that the next question would be about, or none."""
        if image:
            return Sent((image,))
        run = self.site.run(session)
        if run is None or run.source in ("", other_than) or run.source not in self.site.stored.all:
            return Sent()
        try:
            return Sent((self.site.stored.picture_file(run.source),), examples=(run.source,))
        except InputError:  # a film, or a trace without a picture file
            return Sent()


def said(sent: Sent) -> str:
    """Return the sentence about an upload."""
    if sent.film:
        return "A film: these frames are shown to the model. Type a question and press Ask."
    count = len(sent.paths)
    return f"{count} picture{'s' * (count != 1)}, in this order. Type a question and press Ask."


def shown(pictures: Pictures, sent: Sent) -> tuple[Any, ...]:
    """Return the values of state, gallery and slider."""
    if not sent.paths:
        return (Sent(), EMPTY, gr.Slider(visible=False))
    opened = pictures.open(sent)
    names = [Path(path).name[:60] for path in sent.paths]
    if isinstance(opened, Film):
        names = [f"{time:.1f} s" for time in opened.times]
    items = [
        {"src": data_url(preview_jpeg(picture, SIDE)), "name": name}
        for picture, name in zip(as_list(opened), names, strict=True)
    ]
    return (sent, {"items": items, "film": sent.film}, gr.Slider(visible=sent.film))


def wire_several(site: Site, screen: Screen) -> None:
    """Connect upload, order and frames; whatever else is opened takes their place."""
    panel, handlers = screen.ask, SeveralHandlers(site)
    several, message = panel.several, screen.show.notice
    values = [several.sent, several.gallery, several.frames]
    several.upload.upload(handlers.upload, several.upload, [panel.image, *values, message], **QUICK)
    arranged = [several.sent]
    several.gallery.arrange(handlers.arrange, arranged, [*values, message], **QUICK)
    panel.examples.beside(
        handlers.add,
        [several.sent, panel.image, screen.session],
        [panel.image, *values, message],
        **QUICK,
    )
    several.frames.release(
        handlers.sample, [several.sent, several.frames], [*values, message], **QUICK
    )
    for event in other_pictures(panel):
        event(nothing, None, values, **QUICK)


def other_pictures(panel: AskPanel) -> list[Dependency]:
    """Return the events that put another picture in place of several."""
    return [panel.image.upload, panel.examples.pick, panel.trace.upload]


def nothing() -> tuple[Any, ...]:
    """Return the values of no upload."""
    return (Sent(), EMPTY, gr.Slider(visible=False))
