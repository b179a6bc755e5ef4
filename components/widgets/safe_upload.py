"""Upload components that take files and nothing else, and hand over the path of the file, unopened.

Gradio's image component decodes an upload with whatever Pillow offers, and all of its components
fetch a file that is given as an address; ours are opened in two places only (tokviz.images,
tokviz.trace), which refuse bombs, foreign formats and addresses with a sentence.
"""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio.processing_utils import save_file_to_cache

from .file_inputs import check_path, refuse_address


class SafeImage(gr.Image):
    """gr.Image whose value in a handler is the path of the upload, unopened, or None.

    A handler sets it to a path. That file is copied as it is: Gradio would refuse one that lies
    beside an installed package, and write others anew.
    """

    is_template = True
    "Tells gradio to draw it as the component that it extends."

    def preprocess(self, payload: Any) -> str | None:
        if payload is None:
            return None
        if payload.path is None:
            refuse_address(payload.url)
            return None
        check_path(payload.path)
        return str(payload.path)

    def postprocess(self, value: Any) -> ImageData | None:
        if value is None:
            return None
        copy = save_file_to_cache(value, self.GRADIO_CACHE)
        return ImageData(path=copy, orig_name=Path(copy).name)

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        refuse_address(url_or_file_path)
        return await super().async_move_resource_to_block_cache(url_or_file_path)


class SafeFiles(gr.File):
    """gr.File whose value in a handler is a list of the paths of uploads."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        files = getattr(payload, "root", [payload] if payload else [])
        for file in files:
            check_path(file.path)
        return [str(file.path) for file in files]

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        refuse_address(url_or_file_path)
        return await super().async_move_resource_to_block_cache(url_or_file_path)


class SafeUpload(gr.UploadButton):
    """gr.UploadButton that takes uploads only."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        for file in getattr(payload, "root", [payload] if payload else []):
            check_path(file.path)
        return super().preprocess(payload)

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        refuse_address(url_or_file_path)
        return await super().async_move_resource_to_block_cache(url_or_file_path)
