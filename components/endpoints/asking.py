"""The endpoints `/answer` and `/answer_stream`: one question about one picture."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

import gradio as gr

from tokviz import METHODS
from tokviz.trace import export

from ..answering.answering import answer
from ..answering.run_request import RunRequest, ask_about
from ..runs.lane_request import read_lanes
from ..runs.runs import FULL, KeptRun
from ..site import Site
from .public_text import public_text, texts_in, without
from .short_forms import MAX_ANSWER, cut, short_answer
from .steps import in_threads


class Asking:
    """The endpoints that run the model."""

    def __init__(self, site: Site) -> None:
        self.site = site

    async def answer(
        self,
        image: str | None,
        prompt: str,
        model: str,
        method: str,
        keep: float,
        options: dict[str, Any] | None,
        details: bool,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Ask a vision-language model about a picture, with all visual tokens or with fewer.

        Without a method the full answer comes back. With one, the model's visual tokens are really
        reduced to `keep` (the list of methods names them), and both answers come back.

        Args:
            image: the picture, an uploaded file, or data:image/png;base64,... of at most 1.5 MB;
                addresses are not fetched. Of an mp4 or webm film eight frames are shown.
            prompt: the question.
            model: one of the models that this server offers; empty = the first.
            method: a reduction method's name, or empty for the full answer alone.
            keep: how many visual tokens to leave, from 1 on.
            options: the method's own options by name, or nothing.
            details: false = answers, counts and times, under 4 kB; true = the whole records, with
                a line for each visual token.

        Returns:
            {"full": record} and, with a method, {"reduced": record}; the record is documented in
            docs/cli.md. {"error": sentence} when the input cannot be used.
        """
        given = (image, prompt, model, method, keep, options)
        last: dict[str, Any] = {}
        async with aclosing(self._parts(given, details, request)) as parts:
            async for part in parts:
                last = part
        last.pop("done", None)
        return last

    async def answer_stream(
        self,
        image: str | None,
        prompt: str,
        model: str,
        method: str,
        keep: float,
        options: dict[str, Any] | None,
        details: bool,
        request: gr.Request,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Ask as with `/answer`, and get the answers while they are written.

        Args:
            image: as of `/answer`, like all other inputs.

        Returns:
            {"full": {"answer": text so far}, "done": false}, with a method "reduced" as well; the
            last one is what `/answer` returns, with "done": true.
        """
        given = (image, prompt, model, method, keep, options)
        async with aclosing(self._parts(given, details, request)) as parts:
            async for part in parts:
                yield part

    async def _parts(
        self, given: tuple[Any, ...], details: bool, request: gr.Request
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the answers so far, then the records; whatever goes wrong is a sentence."""
        session = f"api {request.session_hash}"
        try:
            steps = answer(self.site, self._read(*given), session)
            async with aclosing(in_threads(steps, partial(self.site.stops.stop, session))) as found:
                async for update in found:
                    if update.lanes is None:
                        continue
                    if update.run is None:
                        yield _texts(update.lanes)
                    else:
                        whole = _records(update.run, update.lanes, given[1:])
                        yield {**(whole if details else short_answer(whole)), "done": True}
        except Exception as error:  # noqa: BLE001  the edge: logged, and shown as a sentence
            yield {"error": public_text(error, *given[1:]), "done": True}

    def _read(
        self, image: Any, prompt: Any, model: Any, method: Any, keep: Any, options: Any
    ) -> RunRequest:
        """Return what is asked for; refuse what can be refused before the picture is opened.

        Raises:
            TokvizError: a model, method, budget or option that cannot be used.
        """
        chosen = model or self.site.models.names[0]
        self.site.models.check(chosen)
        lane = {"method": method, "keep": _whole(keep), "options": options or {}}
        if method:
            METHODS[method]  # raises for a wrong name
        lanes = read_lanes([lane] if method else [])
        for one in lanes:
            one.plan()
        return ask_about(self.site.settings, image, prompt, chosen, lanes)


def _whole(number: Any) -> Any:
    """JSON has one kind of number: 9.0 is the whole number 9."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _records(run: KeptRun, lanes: dict[str, Any], given: tuple[Any, ...]) -> dict[str, Any]:
    """Return the finished run's traces as records, a lane that was refused as its sentence."""
    found: dict[str, Any] = {"full": export.answer_record(run.traces[FULL])}
    for number, card in enumerate(lanes["lanes"]):
        if number in run.traces:
            found["reduced"] = export.answer_record(run.traces[number])
        else:
            found["reduced"] = {"error": without(card["error"], texts_in(given))}
    return found


def _texts(lanes: dict[str, Any]) -> dict[str, Any]:
    """Return how far the answers have come."""
    cards = dict(zip(("full", "reduced"), (lanes["full"], *lanes["lanes"]), strict=False))
    texts = {name: {"answer": cut(card["text"], MAX_ANSWER)} for name, card in cards.items()}
    return {**texts, "done": False}
