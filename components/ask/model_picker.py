"""Choose a model: the list, what is known of one before it runs, and its download.

On a public page the list is the host's. On a page for one person at this machine every known model
is in it, and any id of the Hub or folder can be written into it.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

import tokviz
from tokviz.errors import InputError, Stopped, TokvizError
from tokviz.models.checkpoints.cards import ModelCard
from tokviz.models.checkpoints.download import hub_answers, is_here
from tokviz.models.checkpoints.fit import RUNS, fit, needed_bytes
from tokviz.models.checkpoints.memory import free_bytes
from tokviz.models.checkpoints.placement import Placement
from tokviz.models.checkpoints.token_bound import CPU_VISUAL_TOKENS

from ..error_text import error_text
from ..i18n import reader_language, told, translated
from ..runs.models import Models, pinned
from ..screen import QUICK, SKIP, ModelPicker, Screen
from ..site import Site
from ..widgets.notice import notice

LOAD: dict[str, Any] = {
    "concurrency_limit": 4,
    "concurrency_id": "load",
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""Settings of the event that downloads: it keeps neither questions nor other tabs waiting."""
FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")
"""Headers that a proxy writes: what has one comes from another machine."""
NOT_FROM_AFAR = "only who sits at this machine can choose models that are not in the list."
HINT = "Choose one, or write a Hub id (owner/name) or a folder of this machine."
MOST = (
    f"Empty: {CPU_VISUAL_TOKENS:,} on a CPU, no bound on a GPU. 0: as many as the model makes. "
    "Enter applies it."
)
KEPT = "tokviz-model"
"""Under which name the browser remembers the chosen model."""


def model_picker(models: Models) -> ModelPicker:
    """Build the list of models and, on a personal page, the card of the chosen one."""
    first, placement = models.names[0], models.known_placement()
    model = gr.Dropdown(
        choices(models, placement),
        value=first,
        label=translated("Model"),
        info=translated(HINT) if models.personal else None,
        allow_custom_value=models.personal,
        visible=len(models.names) > 1,
        elem_id="tv-model",
    )
    card = gr.HTML(
        card_html(models, first, placement) if models.personal else "",
        visible=models.personal,
        elem_id="tv-model-card",
        apply_default_css=False,
    )
    with gr.Row(visible=models.personal, elem_id="tv-model-load"):
        fetch = gr.Button(
            translated("Load it now"), size="sm", visible=False, elem_id="tv-model-fetch"
        )
        stop = gr.Button(
            translated("Stop loading"), size="sm", visible=False, elem_id="tv-model-stop"
        )
    with gr.Accordion(
        translated("Large pictures"), open=False, visible=models.personal, elem_id="tv-model-most"
    ):
        most = gr.Number(
            models.options.get("max_visual_tokens"),
            label=translated("Visual tokens of a picture at most"),
            info=translated(MOST),
            precision=0,
            minimum=0,
        )
    kept = gr.BrowserState("", storage_key=KEPT, secret=KEPT)
    return ModelPicker(model, card, fetch, stop, most, kept)


def choices(models: Models, placement: Placement | None) -> list[tuple[str, str]]:
    """Return (line, name) of each model; on a personal page a line says whether it fits.

    Args:
        models: what is offered.
        placement: where models are loaded; None = not known yet, then no line says it.
    """
    if not models.personal:
        return models.choices
    free = free_bytes(placement.device) if placement else None
    return [(line_of(models, name, placement, free), name) for name in models.names]


def line_of(models: Models, name: str, placement: Placement | None, free: int | None) -> str:
    """Return the line of a model in the list, such as "Gemma 3 12B · 49.0 GB · too large"."""
    card = card_of(models, name)
    if card is None:
        return name
    if placement is None:
        return card.title
    needed = needed_bytes(card, placement)
    room = fit(needed, free)
    room = "" if room == RUNS else told(room, reader_language())
    parts = [card.title, f"{needed / 1e9:.1f} GB", room]
    return " · ".join(filter(None, parts))


def card_of(models: Models, name: str) -> ModelCard | None:
    """Return the card of a model, if it has one."""
    return tokviz.MODELS.get(pinned(models.place(name))[0])


def card_html(models: Models, name: str, placement: Placement | None) -> str:
    """Return what is known of a model before it runs, as HTML."""
    code = reader_language()
    said = " ".join(told(fact, code) for fact in facts(models, name, placement))
    return f'<p class="tv-small">{escape(said)}</p>'


def facts(models: Models, name: str, placement: Placement | None) -> list[str]:
    """Return what is known of a model before it runs, in sentences."""
    card = card_of(models, name)
    if card is not None and name == "embedded":
        return [card.note]
    found = [where(models, name, card)]
    if card is None or placement is None:
        return found
    needed, free = needed_bytes(card, placement), free_bytes(placement.device)
    room = f"{needed / 1e9:.1f} GB of memory for {card.parameters} weights in "
    room += number_type(placement)
    if free is not None:
        room += f", {free / 1e9:.1f} GB are free: {fit(needed, free)}"
    found += [f"{room}.", "Its tower has a [CLS] token." if card.has_cls else "No [CLS] token."]
    return [*found, card.note] if card.note else found


def number_type(placement: Placement) -> str:
    """Return the number type of the weights, in words."""
    kind = str(placement.dtype).removeprefix("torch.")
    return f"{placement.bits} bits" if placement.bits else kind


def where(models: Models, name: str, card: ModelCard | None) -> str:
    """Return where a model is: in memory, on this machine, or to be downloaded."""
    if models.is_loaded(name):
        return "In memory."
    if on_disk(models, name):
        return "On this machine."
    if not hub_answers():
        return "Not on this machine, and the Hub cannot be reached from here."
    if card is None:
        return "To be downloaded: its size is looked at before anything large is fetched."
    return f"To be downloaded, about {card.memory_gb:g} GB."


def on_disk(models: Models, name: str) -> bool:
    """Return whether nothing has to be downloaded."""
    place, revision = pinned(models.place(name))
    return "/" not in place or place.startswith(("/", ".", "~")) or is_here(place, revision)


def is_direct(request: gr.Request) -> bool:
    """Return whether a request comes from a browser on this machine, not through a proxy."""
    return not any(name in request.headers for name in FORWARDED)


class PickerHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site, self.models = site, site.models

    def placement(self) -> Placement | None:
        """Return where models are loaded; None on a public page, which does not say it."""
        return self.models.placement() if self.models.personal else None

    def add(self, place: str, request: gr.Request) -> str:
        """Return the name of a chosen or written model; raises InputError."""
        if place in self.models.names:
            return place
        if not is_direct(request):
            raise InputError(NOT_FROM_AFAR)
        return self.models.add(str(place or ""))

    def choose(self, place: str, request: gr.Request) -> tuple[Any, ...]:
        """Show what is known of a model, and remember it in this browser."""
        placement = self.placement()
        try:
            name = self.add(place, request)
        except TokvizError as error:
            first = self.models.names[0]
            return (notice(error_text(error), "bad"), SKIP, *self.shown(first, placement))
        return (notice(), self.models.place(name), *self.shown(name, placement))

    def shown(self, name: str, placement: Placement | None) -> tuple[Any, Any, Any]:
        """Return the list, the card and the button of a model."""
        large = name != "embedded" and not self.models.is_loaded(name)
        fetch = gr.Button(visible=self.models.personal and large)
        card = card_html(self.models, name, placement) if self.models.personal else ""
        return gr.Dropdown(choices(self.models, placement), value=name), card, fetch

    def recall(self, kept: str, request: gr.Request) -> tuple[Any, ...]:
        """Choose the remembered model; a link that names one comes first. Nothing is loaded."""
        named = dict(request.query_params).get("model")
        name = named if named in self.models.names else None
        if name is None and isinstance(kept, str) and kept and not named:
            try:
                name = self.by_place(kept, request)
            except TokvizError:  # a folder that has gone, or another server's model
                name = None
        return self.shown(name or self.models.names[0], self.models.known_placement())

    def wait(self) -> None:
        """Return when it can be told what fits into memory, which needs torch."""
        self.site.later.wait()

    def complete(self, name: str) -> tuple[Any, Any, Any]:
        """Show of every model whether it fits; which one is chosen stays as it is."""
        known = name if name in self.models.names else self.models.names[0]
        placement = self.placement()
        _, card, fetch = self.shown(known, placement)
        return gr.Dropdown(choices(self.models, placement)), card, fetch

    def by_place(self, place: str, request: gr.Request) -> str:
        """Return the name of the model at a place; raises InputError."""
        for name in self.models.names:
            if self.models.place(name) == place:
                return name
        return self.add(place, request)

    def fetch(self, name: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Download and load a model, telling how far it is."""
        session = f"{request.session_hash} loads"
        try:
            name = self.add(name, request)
            with self.site.stops.run(session) as flag:
                yield (notice("Loading the model …", "busy"), SKIP, *loading(True))
                for line in self.models.load_with_progress(name, flag):
                    yield (notice(f"Loading the model: {line}.", "busy"), SKIP, SKIP, SKIP)
            done = notice("The model is loaded. Type a question and press Ask.")
            card = card_html(self.models, name, self.placement())
            yield (done, card, gr.Button(visible=False), gone())
        except Stopped as error:
            yield (notice(error_text(error), "warn"), SKIP, *loading(False))
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
            yield (notice(error_text(error), "bad"), SKIP, *loading(False))

    def bound(self, most: float | None, name: str, request: gr.Request) -> tuple[Any, ...]:
        """Bound the visual tokens of a picture from the next question on."""
        try:
            if not is_direct(request):
                raise InputError(NOT_FROM_AFAR)
            self.models.bound_tokens(most)  # type: ignore[arg-type]
        except TokvizError as error:
            return (notice(error_text(error), "bad"), *self.shown(name, self.placement()))
        said = "From the next question on, the model is loaded again with this bound."
        return (notice(said), *self.shown(name, self.placement()))

    def stop(self, request: gr.Request) -> None:
        """Stop this tab's download."""
        self.site.stops.stop(f"{request.session_hash} loads")


def loading(goes_on: bool) -> tuple[gr.Button, gr.Button]:
    """Return the buttons that begin and stop a download."""
    return gr.Button(visible=not goes_on), gr.Button(visible=goes_on)


def gone() -> gr.Button:
    """Return a button that is not there."""
    return gr.Button(visible=False)


def wire_picker(site: Site, screen: Screen, page: gr.Blocks) -> None:
    """Connect the list of models."""
    picker, handlers = screen.ask.picker, PickerHandlers(site)
    message = screen.show.notice
    recalled = page.load(handlers.recall, picker.kept, picker.outputs, **QUICK)
    if site.models.personal:
        waited = recalled.then(handlers.wait, None, None, **QUICK)
        waited.then(handlers.complete, picker.model, picker.outputs, **QUICK)
    picker.model.input(
        handlers.choose, picker.model, [message, picker.kept, *picker.outputs], **QUICK
    )
    buttons = [message, picker.card, picker.fetch, picker.stop]
    picker.fetch.click(handlers.fetch, picker.model, buttons, **LOAD)
    picker.stop.click(handlers.stop, None, None, **QUICK)
    picker.most.submit(
        handlers.bound, [picker.most, picker.model], [message, *picker.outputs], **QUICK
    )
