"""The endpoints `/answer` and `/answer_stream`: one question about one picture."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

import gradio as gr

from tokviz import METHODS
from tokviz.errors import InputError
from tokviz.film.choice import request as frame_request
from tokviz.trace import export

from ..answering.answering import answer
from ..answering.run_request import RunRequest, ask_about
from ..runs.lane_request import read_lanes
from ..runs.pictures import Sent, sent_of
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
        frames: float,
        rate: float,
        times: list[float] | None,
        more: list[str] | None,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Ask a vision-language model about a picture, with all visual tokens or with fewer.

        Without a method the full answer comes back. With one, the model's visual tokens are really
        reduced to `keep` (the list of methods names them), and both answers come back.

        Args:
            image: the picture, an uploaded file, or data:image/png;base64,... of at most 1.5 MB;
                addresses are not fetched. Of an mp4 or webm film a few frames are shown.
            prompt: the question.
            model: one of the models that this server offers; empty = the first.
            method: a reduction method's name, or empty for the full answer alone.
            keep: how many visual tokens to leave, from 1 on.
            options: the method's own options by name, or nothing.
            details: false = answers, counts and times, under 4 kB; true = the whole records, with
                a line for each visual token.
            frames: how many frames of a film are shown, evenly spread, 1 to 32; 0 = 8. With this,
                `rate` or `times` an animated GIF or WebP is a film, too.
            rate: instead: so many frames per second; 0 = not chosen so.
            times: instead: the frames at these seconds, 1 to 32 numbers; empty = not chosen so.
            more: further pictures after `image`, in their order, together at most eight.

        Returns:
            {"full": record} and, with a method, {"reduced": record}; the record is documented in
            docs/cli.md. {"error": sentence} when the input cannot be used.
        """
        given = (image, prompt, model, method, keep, options, frames, rate, times, more)
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
        frames: float,
        rate: float,
        times: list[float] | None,
        more: list[str] | None,
        request: gr.Request,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Ask as with `/answer`, and get the answers while they are written.

        Args:
            image: as of `/answer`, like all other inputs.

        Returns:
            {"full": {"answer": text so far}, "done": false}, with a method "reduced" as well; the
            last one is what `/answer` returns, with "done": true.
        """
        given = (image, prompt, model, method, keep, options, frames, rate, times, more)
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
        self, image: Any, prompt: Any, model: Any, method: Any, keep: Any, options: Any, *files: Any
    ) -> RunRequest:
        """Return what is asked for; refuse what can be refused before the picture is opened.

        Raises:
            TokvizError: a model, method, budget, option or choice of frames that cannot be used.
        """
        chosen = model or self.site.models.names[0]
        self.site.models.check(chosen)
        lane = {"method": method, "keep": _whole(keep), "options": options or {}}
        if method:
            METHODS[method]  # raises for a wrong name
        lanes = read_lanes([lane] if method else [])
        for one in lanes:
            one.plan()
        shown = read_files(image, *files)
        return ask_about(self.site.settings, shown, prompt, chosen, lanes)


def read_files(image: str | None, frames: Any, rate: Any, times: Any, more: Any) -> Any:
    """Return what a question is about: one file, or a `Sent` of several or of a film's frames.

    Args:
        image: path of the first file.
        frames, rate, times: which frames of a film; 0 or nothing = not chosen so.
        more: paths of further pictures.

    Raises:
        InputError: frames that cannot be chosen so, too many files, or a film among pictures.
    """
    paths = [path for path in (image, *(more or ())) if path]
    chosen: dict[str, Any] = {
        "frames": _whole(frames) or None,
        "rate": rate or None,
        "times": times or None,
    }
    if any(one is not None for one in chosen.values()):
        frame_request(**chosen)
        if len(paths) > 1:
            raise InputError(f"a film must come alone, got {len(paths)} files.")
        return Sent(tuple(paths), True, **chosen)
    return sent_of(paths) if len(paths) > 1 else (paths or [None])[0]


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
