"""The payload with which the browser draws one run: one JSON object, sent once.

Everything that the overlay shows is in the payload, so changes of layer, head, word, keep and
opacity need no server. Texts are plain strings, which the script writes into text nodes, not into
markup.

Fields (arrays as in `encode.pack`; letters as in `trace.SCHEMA`, p panes, k stages):

    id, title, model, prompt, answer    strings
    n                number of visual tokens before any reduction
    images           one {src, width, height, time} per image; src is a JPEG data URL or null, time
                     [first, last] second of a frame of a film or null
    panes            one {image, role, view, tiles, unseen} per picture to draw; boxes are x0, y0,
                     x1, y1 in pixels of the original image, `view` may reach outside it (padding)
    box              f4 [n, 4] in original pixels; NaN for newlines and separators
    pane, row, col   i2 [n]; row and col count inside the token's tile, -1 without a box
    tile             i2 [n]
    kind             u1 [n]: 0 patch, 1 newline, 2 separator
    words            per answer token {text, lead, special, part, prob, candidates: [[text, prob],
                     ...]}; part: it only continues the character of the token before
    whole_words      per word {text, content}; content: it is neither a function word nor a sign
    finish           why the answer ended, a key of `tokviz.trace.stages.FINISHES`; "" = not known
    attention        f2 or u1 [t, l, n], mean over heads; null with a reason in `missing`
    gaps             layers of the language model without attention, number -> what they have
                     instead; null = all have it. Their maps and shares are NaN
    heads            f2 or u1 [t, l, h, n], the same for single heads; null where they are too many,
                     a page then asks its server for one layer; head_count is h, 0 = not recorded
    share            f2 [t, l], attention on all visual tokens together
    before           f2 [t, l], attention on the prompt before the image, or null
    tower            f2 [u, n], attention of [CLS] to each patch, or what each patch receives
    tower_heads      f2 [u, g, n] or null; tower_head_count is g; tower_kind is "cls" or "received"
    tower_layers     the layers that the rows of `tower` are; null = all of them
    tam              f2 [t, n], Token Activation Map of each answer token
    phi              f2 [l, n], sink statistic; sinks u1 [l, n], 1 = attention sink in that layer
    sink_note        one sentence about the sinks of this run
    fates            u1 [k, n] after each stage: 0 kept, 1 merged, 2 pruned
    head_fates       u1 [k, j, n], the same in each of j key heads, or null
    group            i4 [k, n], output token after each stage, -1 = pruned; place i4 [k, n] the
                     source token that represents it
    went             i2 [n], stage that merged or removed a token, -1 = it is kept unmerged
    score            f4 [n], the first stage's importance or null
    roles            the method's own names for tokens: one {name, tokens} each
    registers        u1 [n], 1 = the vision tower uses this patch as a register, or null
    stages           one {title, where, layer, left, removes, heads} per stage; heads: key heads
                     that keep different tokens, 0 = all keep the same
    missing          map name -> why it cannot be shown
    notes            sentences for the user
    facts            what the run is about, as `run_facts` gives it
    view             how to open it: {map, layer, words, keep, ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from tokviz.errors import TokvizError
from tokviz.images import PREVIEW_SIDE, open_image, preview_jpeg
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import LAST_ROW
from tokviz.view.encode import data_url, pack
from tokviz.view.fates import fate_fields
from tokviz.view.overlay_maps import attention_fields, mean_fields, sink_fields, tower_fields
from tokviz.view.run_facts import run_facts
from tokviz.view.word_prob import answer_words_of
from tokviz.view.words import token_words, trace_words

MAX_PANES = 64
MAX_PICTURES = 32
"""Encoded pictures that are kept, of 0.1 to 0.4 MB each."""
SLIM_SIDE = 480
"""Longest side of a picture in a compare lane."""
ANSWERING = "Appears when the model has answered."
NO_TAM = "The Token Activation Map needs the last hidden states, which this run did not record."
NO_ROWS = (
    "The Token Activation Map needs the last hidden states of all rows of the prompt, and the last "
    "layers of this model compute only its last row."
)


def overlay_payload(
    trace: Trace,
    run_id: str,
    *,
    title: str = "",
    tam: np.ndarray | None = None,
    sinks: np.ndarray | None = None,
    sink_note: str = "",
    registers: np.ndarray | None = None,
    view: Mapping[str, Any] | None = None,
    slim: bool = False,
) -> dict[str, Any]:
    """Return everything that the overlay of one run draws; see the module's text for the fields.

    Args:
        trace: the run.
        run_id: name of the run on the server.
        title: title of the picture, for its label.
        tam: [t, n] Token Activation Maps, if they were computed.
        sinks: bool [l, n], attention sinks.
        sink_note: one sentence about them.
        registers: bool [n], patches that the vision tower uses as registers.
        view: how to open it.
        slim: send only the picture, the fates and the mean attention of all words, as one word (for
            a lane of the comparison).
    """
    missing: dict[str, str] = {}
    payload = {
        "id": run_id,
        "title": title,
        "model": trace.source,
        "prompt": trace.prompt,
        "answer": trace.answer,
        "finish": trace.finish,
        "n": trace.n,
        "images": pictures(trace, SLIM_SIDE if slim else PREVIEW_SIDE),
        "missing": missing,
        "notes": list(trace.notes),
        "facts": run_facts(trace),
        "view": dict(view or {}),
        **_layout_fields(trace),
        **fate_fields(trace),
    }
    if slim:
        payload |= mean_fields(trace, sinks)
    else:
        payload |= {
            "words": answer_words(trace),
            "whole_words": whole_words(trace),
            **attention_fields(trace, missing),
            **tower_fields(trace, missing),
            **sink_fields(trace, sinks, missing),
            "tam": None if tam is None else pack(tam, "f2"),
            "sink_note": sink_note,
            "registers": None if registers is None else pack(registers, "u1"),
        }
        if tam is None:
            missing["tam"] = NO_ROWS if trace.model.get(LAST_ROW) else NO_TAM
    return payload


def pending_payload(
    images: Sequence[Image.Image], prompt: str, tokens: Sequence[str], sources: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the payload while an answer is being written: the pictures and the words so far.

    `sources` are the pictures as data URLs, for a caller that draws many steps of one answer; an
    empty one stays out, and the page keeps the picture that it has.
    """
    nothing = np.zeros(0, np.int16)
    sources = sources or [data_url(preview_jpeg(image)) for image in images]
    panes = [
        {"image": number, "role": "whole", "view": [0.0, 0.0, *map(float, image.size)]}
        for number, image in enumerate(images)
    ]
    return {
        "id": "pending",
        "phase": "streaming",
        "title": "",
        "model": "",
        "prompt": prompt,
        "answer": "",
        "finish": "",
        "n": 0,
        "images": [
            ({"src": src} if src else {}) | {"width": image.width, "height": image.height}
            for src, image in zip(sources, images, strict=True)
        ],
        "panes": [{**pane, "tiles": [], "unseen": []} for pane in panes],
        "box": pack(np.zeros((0, 4)), "f4"),
        "kind": pack(nothing, "u1"),
        **{name: pack(nothing, "i2") for name in ("pane", "tile", "row", "col")},
        "words": [{**word, "prob": None, "candidates": []} for word in token_words(tokens)],
        "stages": [],
        "missing": dict.fromkeys(("attention", "tam", "tower", "phi"), ANSWERING),
        "notes": [],
        "view": {},
    }


def pictures(trace: Trace, side: int = PREVIEW_SIDE) -> list[dict[str, Any]]:
    """Return each image as {src, width, height}; a stored picture that cannot be opened is null.

    Stored pictures are decoded and encoded again, so that only the pixels of an untrusted trace
    reach the browser.
    """
    shown: list[dict[str, Any]] = []
    side = side_among(len(trace.layout.sizes), side)
    for number, (width, height) in enumerate(trace.layout.sizes):
        src = safe_picture(trace.images[number], side) if number < len(trace.images) else None
        time = next((tile.time for tile in trace.layout.tiles if tile.image == number), None)
        shown.append({"src": src, "width": int(width), "height": int(height), "time": time})
    return shown


@lru_cache(maxsize=MAX_PICTURES)
def safe_picture(stored: bytes, side: int) -> str | None:
    """Return a stored picture, decoded and encoded again, as a data URL; None where that fails.

    All lanes of a run have the same picture, and each is drawn several times.
    """
    try:
        return data_url(preview_jpeg(open_image(stored, PREVIEW_SIDE**2), side))
    except TokvizError:
        return None


def side_among(count: int, side: int) -> int:
    """Return the longest side of each of several pictures, so that all together stay small."""
    return side if count <= 2 else max(side * 2 // 3, 240) if count <= 6 else max(side // 2, 240)


def whole_words(trace: Trace) -> list[dict[str, Any]]:
    """Return the answer's words as {text, content}; those that say something have `content`."""
    return [{"text": one.text, "content": one.content} for one in answer_words_of(trace)]


def answer_words(trace: Trace) -> list[dict[str, Any]]:
    """Return the answer tokens with their probabilities and candidates."""
    words = trace_words(trace)
    probs, likely = trace.arrays.get("answer_prob"), trace.arrays.get("candidate_prob")
    for number, word in enumerate(words):
        word["prob"] = None if probs is None else _number(probs[number])
        word["candidates"] = []
        if likely is not None and number < len(trace.candidate_tokens):
            texts = trace.candidate_tokens[number]
            pairs = zip(texts, likely[number], strict=False)
            word["candidates"] = [[text, _number(p)] for text, p in pairs]
    return words


def _number(value: Any) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def _layout_fields(trace: Trace) -> dict[str, Any]:
    layout = trace.layout
    keys = list(dict.fromkeys((tile.image, tile.role) for tile in layout.tiles))[:MAX_PANES]
    pane_of_tile = [keys.index(k) if (k := (t.image, t.role)) in keys else -1 for t in layout.tiles]
    panes = [_pane(trace, number, key, pane_of_tile) for number, key in enumerate(keys)]
    return {
        "panes": panes,
        "box": pack(layout.box, "f4"),
        "pane": pack(np.array(pane_of_tile, np.int16)[layout.tile], "i2"),
        "tile": pack(layout.tile, "i2"),
        "row": pack(layout.row, "i2"),
        "col": pack(layout.col, "i2"),
        "kind": pack(layout.kind, "u1"),
    }


def _pane(
    trace: Trace, number: int, key: tuple[int, str], pane_of_tile: Sequence[int]
) -> dict[str, Any]:
    image, role = key
    width, height = trace.layout.sizes[image]
    boxes = [t.box for t, p in zip(trace.layout.tiles, pane_of_tile, strict=True) if p == number]
    corners = np.array([*boxes, (0, 0, width, height)], np.float64)
    return {
        "image": image,
        "role": role,
        "view": [*corners[:, :2].min(0).tolist(), *corners[:, 2:].max(0).tolist()],
        "tiles": [list(map(float, box)) for box in boxes],
        "unseen": [list(map(float, strip)) for strip in trace.layout.unseen(image)],
    }
