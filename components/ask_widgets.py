"""The widgets of the left column: picture, question, examples, stored traces."""

from dataclasses import dataclass

import gradio as gr

from components.ask.examples import Examples
from components.safe_upload import SafeImage


@dataclass
class AskPanel:
    """Widgets that handlers read and write."""

    image: SafeImage
    prompt: gr.Textbox
    model: gr.Dropdown
    ask: gr.Button
    stop: gr.Button
    examples: Examples
    trace: gr.UploadButton
