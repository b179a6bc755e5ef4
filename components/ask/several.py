"""Several pictures in an order, or frames of a film, in place of one picture."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from tokviz.errors import InputError
from tokviz.film import MAX_FRAMES, Film
from tokviz.film.choice import choice_words, read_choice
from tokviz.images import preview_jpeg
from tokviz.view.encode import data_url

from ..error_text import error_text
from ..i18n import translated
from ..runs.pictures import (
    Pictures,
    Sent,
    as_list,
    check_count,
    sent_of,
)
from ..runs.stored_examples import StoredExamples
from ..screen import QUICK, SKIP, Screen
from ..site import Site
from ..widgets.notice import notice
from ..widgets.safe_upload import SafeUpload
from ..widgets.widget import event_payload

SIDE = 160
"""Longest side of the small pictures."""
KINDS = [".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"]
KINDS += [".mp4", ".m4v", ".mov", ".webm"]
EMPTY: dict[str, Any] = {"items": [], "film": False}
NO_FRAMES = "say which frames of the film: how many, how many per second, or at which seconds."
log = logging.getLogger(__name__)


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
            return (SKIP, SKIP, SKIP, notice(error_text(error), "bad"))

    def sample(self, sent: Sent, session: str, event: gr.EventData) -> tuple[Any, ...]:
        """Show other frames of the film: of the uploaded one, or of the example that is shown."""
        try:
            asked = event_payload(event)
            choice = read_choice({str(asked.get("how")): asked.get("text")})
            if not choice:
                raise InputError(NO_FRAMES)
            run = self.site.run(session)
            film = sent if sent.film else self.site.stored.film(run.source if run else "")
            if not film:
                return (SKIP, SKIP, SKIP)
            return (*shown(self.site.pictures, film.choosing(choice)), notice())
        except Exception as error:  # noqa: BLE001  a stranger's file: whatever it does is a sentence
            return (SKIP, SKIP, notice(error_text(error), "bad"))

    def picked(self, event: gr.EventData) -> tuple[Any, ...]:
        """Let an example take the place of an upload; of a film, frames can be chosen."""
        return self.of_example(str(event_payload(event).get("example")))

    def opened(self, request: gr.Request) -> tuple[Any, ...]:
        """Show the frames that the page's address chooses."""
        query = {str(k): str(v) for k, v in dict(request.query_params).items()}
        first = next(iter(self.site.stored.all), "")
        name = "" if query.get("shared") else query.get("example") or first
        return self.again(linked_film(self.site.stored, query), name)

    def again(self, sent: Sent, example: str) -> tuple[Any, ...]:
        """Return the values of an upload that was put aside, or of the example that is shown."""
        try:
            return shown(self.site.pictures, sent) if sent else self.of_example(example)
        except Exception as error:  # noqa: BLE001  the file may be gone by now
            log.info("several pictures are not shown again: %s", error_text(error))
            return self.of_example(example)

    def of_example(self, name: str) -> tuple[Any, ...]:
        """Return the values of no upload, with the choice of frames where a film is shown."""
        film = self.site.stored.film(name)
        image = self.site.stored.all[name].run.image if film else None
        return (Sent(), {**EMPTY, **film_value(image)} if isinstance(image, Film) else EMPTY)

    def arrange(self, sent: Sent, event: gr.EventData) -> tuple[Any, ...]:
        """Put the pictures in another order, leave some out, or all."""
        order = event_payload(event).get("order")
        count = 1 if sent.film else len(sent.paths)
        if not isinstance(order, list) or len(set(map(str, order))) != len(order):
            return (SKIP, SKIP, SKIP)
        if not all(type(i) is int and 0 <= i < count for i in order):
            return (SKIP, SKIP, SKIP)
        try:
            if not order:
                return (*self.of_example(sent.source if sent.film else ""), SKIP)
            return (*shown(self.site.pictures, sent.ordered(order)), SKIP)
        except Exception as error:  # noqa: BLE001  the file may be gone by now
            return (SKIP, SKIP, notice(error_text(error), "bad"))

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
            return (SKIP, SKIP, SKIP, notice(error_text(error), "bad"))

    def first(self, image: str | None, session: str, other_than: str) -> Sent:
        """Return the one picture that the next question would be about, or none."""
        if image:
            names = self.site.stored.with_picture(image)
            return Sent((image,), examples=tuple(names[:1])) if other_than not in names else Sent()
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
    """Return the values of state and gallery."""
    if not sent.paths:
        return (Sent(), EMPTY)
    opened = pictures.open(sent)
    names = [Path(path).name[:60] for path in sent.paths]
    film: dict[str, Any] = {}
    if isinstance(opened, Film):
        names, film = [f"{time:.1f} s" for time in opened.times], film_value(opened)
    items = [
        {"src": data_url(preview_jpeg(picture, SIDE)), "name": name}
        for picture, name in zip(as_list(opened), names, strict=True)
    ]
    return (sent, {**EMPTY, "items": items, **film})


def film_value(film: Film) -> dict[str, Any]:
    """Return what the choice of frames shows: how they were chosen, and what else would give them.

    `choice` is [how, text]; `others` has for each way a text that gives about the same frames.
    """
    ((how, text),) = choice_words(film.chosen).items()
    others = choice_words(
        {
            "frames": len(film),
            "rate": max(round(len(film) / film.duration, 2), 0.01),
            "times": [round(time, 2) for time in film.times],
        }
    )
    return {"film": True, "choice": [how, text], "others": others, "most": MAX_FRAMES}


def linked_film(stored: StoredExamples, query: Mapping[str, str]) -> Sent:
    """Return the film of a link that chooses other frames than the stored ones; else nothing.

    A choice that cannot be made is left out.
    """
    try:
        film, choice = stored.film(query.get("example", "")), read_choice(query)
    except InputError:
        return Sent()
    chosen = film.choosing(choice)
    return chosen if film and choice and chosen != film else Sent()


def wire_several(site: Site, screen: Screen, page: gr.Blocks) -> None:
    """Connect upload, order and frames; whatever else is opened takes their place."""
    panel, handlers = screen.ask, SeveralHandlers(site)
    several, message = panel.several, screen.show.notice
    values = [several.sent, several.gallery]
    several.upload.upload(handlers.upload, several.upload, [panel.image, *values, message], **QUICK)
    several.gallery.arrange(handlers.arrange, [several.sent], [*values, message], **QUICK)
    chosen = [several.sent, screen.session]
    several.gallery.sample(
        handlers.sample, chosen, [*values, message], trigger_mode="multiple", **QUICK
    )
    panel.examples.beside(
        handlers.add,
        [several.sent, panel.image, screen.session],
        [panel.image, *values, message],
        **QUICK,
    )
    panel.examples.pick(handlers.picked, None, values, **QUICK)
    page.load(handlers.opened, None, values, **QUICK)
    for event in (panel.image.upload, panel.trace.upload):
        event(nothing, None, values, **QUICK)


def nothing() -> tuple[Any, ...]:
    """Return the values of no upload."""
    return (Sent(), EMPTY)
