"""One run as an interactive web page in a single file that works offline.

The file contains its scripts, its styles, and the run as JSON with every `<` escaped. Its content
policy allows no network access and no other script.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokviz.errors import InputError
from tokviz.shipped_files import ASSETS
from tokviz.trace import Trace
from tokviz.view.overlay import overlay_payload
from tokviz.view.script import linked

MAX_BYTES = 5 * 2**20
SPARE = (("heads", "tower_heads"), ("tam", "phi"), ("attention",))
"""Fields that are left out if a page would be too large, in this order."""
LOOK = (
    "body { margin: 0; padding: 18px clamp(10px, 2vw, 40px); background: var(--tv-card); } "
    ".tv-question, .tv-words { max-height: none; }"
)
"""A page of its own may be as long as the question and the answer are."""
USE_TEXTS = 'Object.assign(globalThis, JSON.parse(document.getElementById("texts").textContent));\n'
"""Runs before the scripts, which look up some of their texts as they are read."""


def page_html(
    payload: Mapping[str, Any],
    room: int | None = None,
    texts: Mapping[str, Any] | None = None,
    language: str = "en",
) -> str:
    """Return the page of a payload of `overlay_payload`.

    Args:
        payload: the run.
        room: largest number of bytes of the page; None = MAX_BYTES.
        texts: global names of the scripts -> their values, for a page in another language.
        language: what the page says its language is, as in HTML's `lang`.

    Raises:
        InputError: the run does not fit even without its single heads.
    """
    room = MAX_BYTES if room is None else room
    payload = dict(payload) | {"savable": False, "missing": dict(payload["missing"])}
    for spare in ((), *SPARE):
        for name in spare:
            if payload.get(name) is not None:
                payload[name] = None
                payload["missing"][name] = "Left out to keep this file small."
        text = _page(payload, texts or {}, language)
        if len(text.encode()) <= room:
            return text
    raise InputError(
        f"this run is too large for one web page of {room / 2**20:.1f} MB; save its trace instead."
    )


def _page(payload: Mapping[str, Any], texts: Mapping[str, Any], language: str) -> str:
    css = (ASSETS / "css" / "tokviz.css").read_text("utf-8")
    script = f"{USE_TEXTS if texts else ''}{linked('page/offline.js')}"
    body = (ASSETS / "js" / "explorer/explorer.html").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    title = html.escape(f"tokviz: {payload['prompt']}"[:120])
    data = _as_json("run", payload) + (_as_json("texts", texts) if texts else "")
    return (
        f'<!doctype html>\n<html lang="{html.escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{css}\n{LOOK}</style>\n</head>\n<body>\n{body}\n"
        f"{data}<script>{script}</script>\n</body>\n</html>\n"
    )


def _as_json(name: str, value: Mapping[str, Any]) -> str:
    data = json.dumps(value, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{data}</script>\n'


def save_page(trace: Trace, path: str | Path, **shown: Any) -> None:
    """Write the page of a trace to a file.

    Args:
        trace: the run.
        path: the file.
        **shown: tam, sinks, sink_note, registers and view of `overlay_payload`.
    """
    Path(path).write_text(page_html(overlay_payload(trace, "file", **shown)), "utf-8")
