"""An image input that hands over the file's path and leaves opening it to tokviz.images.

Gradio's own component decodes the upload with whatever Pillow offers; ours is opened behind one
door that refuses bombs and foreign formats with a sentence.
"""

from typing import Any

import gradio as gr


class SafeImage(gr.Image):
    """gr.Image whose value in a handler is the path of the upload, unopened, or None."""

    is_template = True
    "Tells gradio to draw it as the component that it extends."

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path
