"""Checks of inputs: as many as are wanted, of the right kinds, and only files that were uploaded.

Gradio looks only at dicts whose `meta._type` says that they are files, and compares their paths as
text. A dict without `meta` reached the image component unchecked. So every input is looked through
here, whatever it looks like: `Page` does it for all events, endpoints and tools, and the upload
components do it once more for the file that they hand over.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ..error_text import error_text
from ..i18n import plain

log = logging.getLogger(__name__)

ADDRESS = "Addresses are not fetched: save the file and upload it."
NOT_UPLOADED = (
    "This file was not uploaded here, or it is no longer kept: only uploaded files can be used. "
    "Upload it again."
)


def refused(sentence: str) -> gr.Error:
    """Return an error that Gradio shows to the visitor and does not log as a fault."""
    return gr.Error(sentence, print_exception=False)


def refuse_address(place: object) -> None:
    """Raise the sentence that Gradio shows when a file is given as an address."""
    if "://" in str(place or ""):
        raise refused(ADDRESS)


def check_path(place: object) -> None:
    """Raise gr.Error unless a path, all links followed, is in the upload folder.

    Whether the file exists is not said: inside the folder the handler finds that out, outside of it
    the sentence is the same for all.
    """
    refuse_address(place)
    try:
        home = Path(get_upload_folder()).resolve()
        found = Path(str(place)).resolve()
        inside = home in found.parents and isinstance(place, str | Path)
        # Python 3.11 and 3.12 raise for links in a circle, 3.13 leaves them as they are
        inside = inside and not any(one.is_symlink() for one in (found, *found.parents))
    except (OSError, ValueError, RuntimeError):  # links in a circle, a zero byte, a name too long
        inside = False
    if not inside:
        raise refused(NOT_UPLOADED)


def check_files(value: Any) -> None:
    """Check every file that a value from outside names, at any depth.

    Args:
        value: what a visitor sent, as JSON gave it or as one of Gradio's models.

    Raises:
        gr.Error: a dict in it has a `path` that is no path in the upload folder.
    """
    todo = [value]
    while todo:  # a loop, because a stranger decides how deep this is
        item = todo.pop()
        if isinstance(item, dict):
            if item.get("path") is not None:
                check_path(item["path"])
            todo.extend(item.values())
        elif isinstance(item, list | tuple):
            todo.extend(item)


def is_quiet(error: Exception) -> bool:
    """Return whether an error is a sentence for the visitor already, and no fault for the log."""
    return isinstance(error, gr.Error) and not error.print_exception


def filled(event: Any, inputs: list[Any]) -> list[Any]:
    """Return the values of an event's inputs, those that an endpoint's caller left out at its end.

    An endpoint that was given another input stays open to those who call it as before. Gradio's own
    error about a wrong count quotes what was sent, also to the log.

    Raises:
        gr.Error: too few values, or too many, with the names of what is wanted.
    """
    wanted, least = len(event.inputs), least_inputs(event)
    if not least <= len(inputs) <= wanted:
        count = f"{wanted} inputs" if least == wanted else f"{least} to {wanted} inputs"
        names = ", ".join(input_names(event)) or "none"
        raise refused(f"{name_of(event)} takes {count} ({names}), got {len(inputs)}.")
    return [*inputs, *(deepcopy(block.value) for block in event.inputs[len(inputs) :])]


def least_inputs(event: Any) -> int:
    """Return how many inputs must be sent: those of a public endpoint up to its last needed one."""
    if event.api_visibility != "public":
        return len(event.inputs)
    needed = [number for number, block in enumerate(event.inputs) if block.value is None]
    return max(needed, default=-1) + 1


def name_of(event: Any) -> str:
    """Return what an event is called from outside."""
    return f"/{event.api_name}" if isinstance(event.api_name, str) else "This event"


def input_names(event: Any) -> list[str]:
    """Return the labels of an event's inputs."""
    names = ((getattr(block, "label", None) or block.get_block_name()) for block in event.inputs)
    return [plain(name) for name in names]


class Page(gr.Blocks):
    """gr.Blocks that checks every input before a component or a handler sees it.

    Whatever goes wrong is a sentence to who asked and one line in the log; only a fault of ours has
    its traceback there. Gradio writes a traceback for each wrong input and answers {"error": null}.
    """

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *args: Any, **more: Any
    ) -> Any:
        """Turn the inputs of any event or endpoint into those of its function."""
        check_files(inputs)
        given = filled(block_fn, inputs)
        try:
            return await super().preprocess_data(block_fn, given, *args, **more)
        except Exception as error:
            if is_quiet(error):
                raise
            name = name_of(block_fn)
            log.warning("an input of %s was refused: %s", name, type(error).__name__)
            kinds = ", ".join(input_names(block_fn))
            raise refused(f"An input of {name} is of the wrong kind: it takes {kinds}.") from None

    async def call_function(
        self,
        block_fn: Any,
        processed_input: list[Any],
        iterator: Any = None,
        requests: Any = None,
        event_id: str | None = None,
        *args: Any,
        **more: Any,
    ) -> dict[str, Any]:
        """Call an event's function; keep what it yields where the end of the event finds it.

        Gradio (6.31) keeps it only after the first output was made ready. An event that was
        cancelled before was never closed: its run held the model until Python looked for garbage.
        """
        found: dict[str, Any] = await super().call_function(
            block_fn, processed_input, iterator, requests, event_id, *args, **more
        )
        if event_id is not None and found["iterator"] is not None:
            self.app.iterators[event_id] = found["iterator"]
        return found

    async def process_api(self, block_fn: Any, *args: Any, **more: Any) -> dict[str, Any]:
        """Run an event or endpoint."""
        if getattr(block_fn, "fn", block_fn) is None:
            raise refused("This event is the browser's alone.")
        try:
            return await super().process_api(block_fn, *args, **more)
        except Exception as error:
            if is_quiet(error):
                raise
            raise refused(error_text(error)) from None  # which writes its traceback
