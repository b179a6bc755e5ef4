"""Arrays to pictures: what the browser draws. numpy, Pillow and plotly only; no torch, no gradio."""
