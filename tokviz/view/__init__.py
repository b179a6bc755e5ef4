"""Arrays to pictures: what the browser draws. numpy, Pillow, plotly; no torch, no gradio."""
