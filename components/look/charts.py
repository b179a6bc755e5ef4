"""The charts of the answer that the viewer shows.

Plotly takes a second of the browser's time, so the charts stand in a closed box, whose content
Gradio builds when it is opened; the page's script opens it once the reader comes near.
"""

import gradio as gr
import plotly.graph_objects as go

from ..answering.widget_values import charts
from ..runs.runs import KeptRun
from ..screen import NumbersPanel
from ..widgets.section_title import section_title


def numbers_panel(first: KeptRun | None) -> NumbersPanel:
    """Build the three charts."""
    figures: tuple[go.Figure | None, ...] = charts(first) if first else (None, None, None)
    with gr.Column(elem_classes="tv-section"):
        section_title("Numbers behind the picture", "For the answer that is shown above.")
        with gr.Accordion("", open=False, elem_id="tv-charts"), gr.Row():
            plots = [
                gr.Plot(figure, show_label=False, container=False, min_width=280)
                for figure in figures
            ]
    return NumbersPanel(*plots)
