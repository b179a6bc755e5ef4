"""The page: places the panels and connects their events."""

from html import escape
from typing import Any

import gradio as gr

from tokviz import ANALYSES, METHODS, MITIGATIONS

from .ask.model_picker import wire_picker
from .ask.opening import opened, wire_opening
from .ask.panel import ask_panel, wire_ask
from .ask.several import wire_several
from .board.panel import board_panel, wire_board
from .compare.brush import wire_brush
from .compare.keep_sweep import keep_sweep, wire_sweep
from .compare.panel import compare_panel, wire_compare
from .desk.panel import desk_panel, wire_desk
from .endpoints.endpoints import add_endpoints
from .history.panel import history_panel, wire_history
from .lessons.panel import wire_lessons
from .look.charts import numbers_panel
from .look.panel import show_panel
from .maps.panel import maps_panel, wire_maps
from .screen import Screen, StopButton
from .site import Site
from .widgets.file_inputs import Page
from .widgets.page_header import HEADER
from .widgets.section_title import TRANSLATE

TITLE = "tokviz: see which visual tokens a model really uses"


def theme() -> gr.themes.Base:
    """Return a plain theme with system fonts only, so that no font is fetched from another host."""
    system = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]
    return gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=system, font_mono=mono)


def left_out() -> str:
    """Return a sentence that names the plugins that failed, as HTML; "" when none did."""
    names = sorted(name for table in (METHODS, ANALYSES, MITIGATIONS) for name in table.broken)
    if not names:
        return ""
    return escape(f"Plugins that were left out (the log says why): {', '.join(names)}.")


def build(site: Site, delete_cache: tuple[int, int] | None = None) -> gr.Blocks:
    """Build the page. Nothing is loaded but the stored examples.

    Args:
        site: what the handlers get.
        delete_cache: (interval, age) in seconds: how often Gradio deletes uploads older than that.
    """
    first: dict[str, Any] = opened(site)
    with Page(
        title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=delete_cache
    ) as page:
        gr.HTML(HEADER, elem_id="tv-head", apply_default_css=False, js_on_load=TRANSLATE)
        if left_out():
            note = f'<p class="tv-small">{left_out()}</p>'
            gr.HTML(note, elem_id="tv-left-out", apply_default_css=False)
        session = gr.State(first["run_name"], time_to_live=7200)
        with gr.Row(elem_id="tv-main"):
            ask = ask_panel(site, first)
            show = show_panel(site, first["overlay"])
        history = history_panel()
        compare = compare_panel(site, first["lanes"])
        board = board_panel(site)
        strip = keep_sweep(site)
        desk = desk_panel(site)
        numbers = numbers_panel(first["run"])
        more_maps = maps_panel(site)
        screen = Screen(session, show, compare, numbers, ask)
        asking = wire_ask(site, screen)
        wire_several(site, screen, page)
        wire_brush(site, screen)
        comparing = wire_compare(site, screen)
        wire_board(site, screen, board)
        wire_sweep(site, screen, strip)
        wire_desk(site, screen, desk)
        wire_history(site, screen, history)
        wire_maps(site, screen, more_maps)
        wire_picker(site, screen, page)
        wire_opening(site, screen, page, [asking, comparing])
        wire_lessons(site, screen, page)
        page.unload(StopButton(site).closed)
        add_endpoints(site)
    return page
