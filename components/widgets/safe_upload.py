"""Upload components that take files and nothing else, and hand over the path of the file, unopened.

Gradio's image component decodes an upload with whatever Pillow offers, and all of its components
fetch a file that is given as an address; ours are opened in two places only (tokviz.images,
tokviz.trace), which refuse bombs, foreign formats and addresses with a sentence.
"""

from pathlib import Path
from typing import Any

import gradio as gr


def refuse_address(place: str | Path | None) -> None:
    """Raise the sentence that Gradio shows when a file is given as an address."""
    if "://" in str(place or ""):
        raise gr.Error(
            "Addresses are not fetched: save the file and upload it.", print_exception=False
        )


class SafeImage(gr.Image):
    """gr.Image whose value in a handler is the path of the upload, unopened, or None."""

    is_template = True
    "Tells gradio to draw it as the component that it extends."

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        refuse_address(url_or_file_path)
        return await super().async_move_resource_to_block_cache(url_or_file_path)


class SafeUpload(gr.UploadButton):
    """gr.UploadButton that takes uploads only."""

    is_template = True

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        refuse_address(url_or_file_path)
        return await super().async_move_resource_to_block_cache(url_or_file_path)
