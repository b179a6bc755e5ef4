"""Upload components that take files and nothing else, and hand over the path of the file, unopened.

Gradio's image component decodes an upload with whatever Pillow offers, and all of its components
fetch a file that is given as an address; ours are opened behind one door (tokviz.images,
tokviz.trace) that refuses bombs, foreign formats and addresses with a sentence.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from tokviz.errors import InputError


class NoFetching:
    """Refuses files that are given as an address, which Gradio would fetch for any visitor."""

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        if "://" in str(url_or_file_path or ""):
            raise InputError("addresses are not fetched: save the file and upload it.")
        return await super().async_move_resource_to_block_cache(url_or_file_path)  # type: ignore[misc]


class SafeImage(NoFetching, gr.Image):
    """gr.Image whose value in a handler is the path of the upload, unopened, or None."""

    is_template = True
    "Tells gradio to draw it as the component that it extends."

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path


class SafeUpload(NoFetching, gr.UploadButton):
    """gr.UploadButton that takes uploads only."""

    is_template = True
