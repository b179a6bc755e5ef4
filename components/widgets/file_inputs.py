"""Checks of file inputs: only files in the upload folder are allowed, no other file of the server.

Gradio looks only at dicts whose `meta._type` says that they are files, and compares their paths as
text. A dict without `meta` reached the image component unchecked, and a dict for an MCP tool was
read by the server's own client. So every input is looked through here, whatever it looks like:
`Page` does it for all events and endpoints, `check_tools` for the tools of MCP clients, and the
upload components do it once more for the file that they hand over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

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
        inside = home in Path(str(place)).resolve().parents and isinstance(place, str | Path)
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


class Page(gr.Blocks):
    """gr.Blocks that checks the files of every input before a component or a handler sees it."""

    def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **more: Any) -> Any:
        """Return what turns the inputs of any event or endpoint into those of its function.

        Not awaited here: a traceback of Gradio's own would then name this file as if it were ours.
        """
        check_files(inputs)
        return super().preprocess_data(block_fn, inputs, *args, **more)


def check_tools(server: Any) -> None:
    """Check the files that MCP clients name, before Gradio's client on the server reads them.

    Args:
        server: Gradio's MCP server of a launched page; None = there is none.
    """
    if server is None:
        return
    convert = server.convert_strings_to_filedata

    def checked(value: Any, positions: list[list[str | int]]) -> Any:
        check_files(value)  # as it came; convert adds paths of its own, of pictures sent as data:
        return convert(value, positions)

    server.convert_strings_to_filedata = checked
