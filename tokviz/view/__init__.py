"""From arrays to pictures and the data that the browser draws. No torch, no gradio."""
