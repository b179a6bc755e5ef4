"""The viewer of the first example, drawn while Gradio's scripts are still being loaded.

Gradio needs a second or more to build the page, and the page's HTML holds all that the viewer shows
already, in Gradio's description of the page. So the header and the viewer's template stand in the
HTML, too, and a script has them drawn at once: see assets/js/page/early.js.
"""

from tokviz.shipped_files import ASSETS

from .explorer import Overlay
from .page_header import HEADER

SCRIPT = """(() => {
const config = window.gradio_config;
if (!config?.head || !config.components) return;
const parts = document.createRange().createContextualFragment(config.head);
const styles = [...parts.querySelectorAll("style")].map((one) => one.outerHTML);
document.head.append(parts);
if (!window.__tokviz) return;
config.head = styles.join("");
window.__tokviz.drawEarly(config);
})();"""
"""Puts the page's head in, as Gradio would later. The styles are left to Gradio as well, since they
have to come after its own."""


def early_html() -> str:
    """Return what stands before Gradio's own part of the page, as HTML."""
    template = (ASSETS / "js" / Overlay.template).read_text("utf-8")
    header = f'<template id="tv-early-header">{HEADER}</template>'
    viewer = f'<template id="tv-early-viewer">{template}</template>'
    return f"{header}{viewer}<script>{SCRIPT}</script>"
